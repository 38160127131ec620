//! `--prompt`: what was asked for.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::prompt::PromptKind;
use crate::{Error, Result};

/// What was asked for with `--prompt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptSource {
    /// Made by the program itself.
    Own(PromptKind),
    /// Boxes or points (`.json`), or a label map (`.nii`, `.nii.gz`, `.nrrd`, a DICOM Segmentation).
    File(PathBuf),
    /// One such file per case, called `<case>.json`, `<case>.nii.gz`, `<case>.seg.nrrd` and so on.
    Folder(PathBuf),
}

/// The words of `--prompt`.
const WORDS: [(&str, PromptKind); 5] = [
    ("gt", PromptKind::GroundTruth),
    ("gt-other", PromptKind::AnotherLesion),
    ("gt-empty", PromptKind::EmptyBox),
    ("auto", PromptKind::Automatic),
    ("heuristic", PromptKind::Heuristic),
];

impl FromStr for PromptSource {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some((_, kind)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(Self::Own(*kind));
        }
        match text {
            path if Path::new(path).is_dir() => Ok(Self::Folder(path.into())),
            path if is_prompt_file(path) => Ok(Self::File(path.into())),
            other => Err(format!(
                "expected gt, auto, heuristic, gt-other, gt-empty, a file ending in .json, .nii, .nii.gz, .nrrd or .dcm (a DICOM Segmentation), or a folder of such files, found `{other}`"
            )),
        }
    }
}

/// Endings of prompts, in the order in which a folder is searched.
const FILE_ENDINGS: [&str; 7] = ["json", "nii.gz", "nii", "seg.nrrd", "nrrd", "seg.dcm", "dcm"];

fn is_prompt_file(path: &str) -> bool {
    FILE_ENDINGS.iter().any(|end| path.ends_with(&format!(".{end}")))
}

impl Serialize for PromptSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Own(kind) => serializer.serialize_str(word(*kind)),
            Self::File(path) | Self::Folder(path) => path.serialize(serializer),
        }
    }
}

fn word(kind: PromptKind) -> &'static str {
    WORDS.iter().find(|(_, k)| *k == kind).map_or("file", |(word, _)| word)
}

/// What a case is prompted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasePrompt {
    /// Where it comes from.
    pub kind: PromptKind,
    /// The file, when there is one.
    pub file: Option<PathBuf>,
}

impl CasePrompt {
    /// The word of `--prompt`, or the file.
    #[must_use]
    pub fn source(&self) -> String {
        self.file.as_ref().map_or_else(|| word(self.kind).to_owned(), |f| f.display().to_string())
    }
}

impl PromptSource {
    /// The prompt of `case`.
    ///
    /// # Errors
    /// Refuses a folder without a file for this case; says which names were looked for.
    pub fn of_case(&self, case: &str) -> Result<CasePrompt> {
        match self {
            Self::Own(kind) => Ok(CasePrompt { kind: *kind, file: None }),
            Self::File(path) => Ok(from_file(path.clone())),
            Self::Folder(folder) => {
                let names = FILE_ENDINGS.map(|end| format!("{case}.{end}"));
                let mut files = names.iter().map(|name| folder.join(name));
                let found = files.find(|path| ild_cli::inputs::is_file(path));
                found.map(from_file).ok_or_else(|| {
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

    /// Whether it is made from the labels of the cases.
    #[must_use]
    pub fn uses_ground_truth(&self) -> bool {
        matches!(self, Self::Own(kind) if kind.uses_ground_truth())
    }

    /// What it is in words, for the whole run.
    #[must_use]
    pub fn stamp(&self) -> &'static str {
        match self {
            Self::Own(kind) => kind.stamp(),
            Self::File(path) => from_file(path.clone()).kind.stamp(),
            Self::Folder(_) => "prompt from files",
        }
    }
}

fn from_file(path: PathBuf) -> CasePrompt {
    let drawn = path.extension().is_some_and(|end| end == "json");
    let kind = if drawn { PromptKind::Drawn } else { PromptKind::Mask };
    CasePrompt { kind, file: Some(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_files_are_told_apart() {
        assert_eq!("gt".parse(), Ok(PromptSource::Own(PromptKind::GroundTruth)));
        assert_eq!("heuristic".parse(), Ok(PromptSource::Own(PromptKind::Heuristic)));
        assert_eq!("a/b.json".parse(), Ok(PromptSource::File("a/b.json".into())));
        assert!("ground-truth".parse::<PromptSource>().unwrap_err().contains("`ground-truth`"));
    }

    #[test]
    fn a_folder_gives_each_case_its_file_and_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), "{}").unwrap();
        let source: PromptSource = folder.path().to_str().unwrap().parse().unwrap();
        let prompt = source.of_case("a").unwrap();
        assert_eq!(prompt.file, Some(folder.path().join("a.json")));
        assert_eq!(prompt.kind, PromptKind::Drawn);
        assert!(source.of_case("b").unwrap_err().to_string().contains("b.json or b.nii.gz"));
    }

    #[test]
    fn whatever_is_made_from_labels_says_so() {
        for (word, kind) in WORDS {
            assert_eq!(
                kind.uses_ground_truth(),
                kind.stamp().contains("ground truth"),
                "{word}: {}",
                kind.stamp()
            );
        }
    }
}
