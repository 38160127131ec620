//! `--prompt gt|auto|FILE|DIR`, and the stamp that every output carries.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::{Error, Result};

/// What was asked for with `--prompt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptSource {
    /// The labels that the case carries.
    GroundTruth,
    /// Candidates found inside an automatic lung mask.
    Auto,
    /// Boxes or points (`.json`), or a label map (`.nii`, `.nii.gz`).
    File(PathBuf),
    /// One such file per case, called `<case>.json`, `<case>.nii.gz` or `<case>.nii`.
    Folder(PathBuf),
}

impl FromStr for PromptSource {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "gt" => Ok(Self::GroundTruth),
            "auto" => Ok(Self::Auto),
            path if Path::new(path).is_dir() => Ok(Self::Folder(path.into())),
            path if is_prompt_file(path) => Ok(Self::File(path.into())),
            other => Err(format!(
                "expected `gt`, `auto`, a file ending in .json, .nii or .nii.gz, or a folder of such files, found `{other}`"
            )),
        }
    }
}

fn is_prompt_file(path: &str) -> bool {
    [".json", ".nii", ".nii.gz"].iter().any(|end| path.ends_with(end))
}

impl Serialize for PromptSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::GroundTruth => serializer.serialize_str("gt"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::File(path) | Self::Folder(path) => path.serialize(serializer),
        }
    }
}

impl PromptSource {
    /// The prompt file of `case`; `None` for `gt` and `auto`.
    ///
    /// # Errors
    /// Refuses a folder without a file for this case; says which names were looked for.
    pub fn file_for(&self, case: &str) -> Result<Option<PathBuf>> {
        match self {
            Self::GroundTruth | Self::Auto => Ok(None),
            Self::File(path) => Ok(Some(path.clone())),
            Self::Folder(folder) => {
                let names = ["json", "nii.gz", "nii"].map(|end| format!("{case}.{end}"));
                let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
                found.map(Some).ok_or_else(|| {
                    Error::refused(
                        folder,
                        format!("a prompt called {}", names.join(" or ")),
                        "none of them",
                        "add the file, or leave the case out",
                    )
                })
            }
        }
    }

    /// The stamp in every output: what the result owes to the ground truth is never left open.
    #[must_use]
    pub fn stamp(&self) -> &'static str {
        match self {
            Self::GroundTruth => "prompt from ground truth",
            Self::Auto => "automatic prompt",
            Self::File(path) if path.extension().is_some_and(|end| end == "json") => {
                "prompt from a file of boxes or points"
            }
            Self::File(_) => "prompt from a mask",
            Self::Folder(_) => "prompt from files",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_files_are_told_apart() {
        assert_eq!("gt".parse(), Ok(PromptSource::GroundTruth));
        assert_eq!("auto".parse(), Ok(PromptSource::Auto));
        assert_eq!("a/b.json".parse(), Ok(PromptSource::File("a/b.json".into())));
        assert!("ground-truth".parse::<PromptSource>().unwrap_err().contains("`ground-truth`"));
    }

    #[test]
    fn a_folder_gives_each_case_its_file_and_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), "{}").unwrap();
        let source: PromptSource = folder.path().to_str().unwrap().parse().unwrap();
        assert_eq!(source.file_for("a").unwrap(), Some(folder.path().join("a.json")));
        assert!(source.file_for("b").unwrap_err().to_string().contains("b.json or b.nii.gz"));
    }
}
