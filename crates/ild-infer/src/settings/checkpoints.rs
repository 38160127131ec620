//! `--checkpoint`: one file of weights, or several that answer together.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// At least one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints(Vec<PathBuf>);

impl Checkpoints {
    /// The files, in the order in which they were named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }
}

impl FromStr for Checkpoints {
    type Err = &'static str;

    /// A file whose own name has a comma is one file.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains(',') || ild_cli::inputs::is_file(Path::new(text)) {
            return Ok(Self(vec![text.into()]));
        }
        let files = text.split(',').map(str::trim).filter(|file| !file.is_empty());
        let files: Vec<PathBuf> = files.map(Into::into).collect();
        if files.is_empty() { Err("no file is named") } else { Ok(Self(files)) }
    }
}

impl Serialize for Checkpoints {
    /// One file as its path, so that records of earlier versions read the same.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<PathBuf> {
        text.parse::<Checkpoints>().unwrap().0
    }

    #[test]
    fn commas_divide_files_and_not_a_files_own_name() {
        assert_eq!(files("a.safetensors"), [PathBuf::from("a.safetensors")]);
        assert_eq!(files("a, b,c"), ["a", "b", "c"].map(PathBuf::from));
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a,b.safetensors");
        std::fs::write(&odd, b"x").unwrap();
        assert_eq!(files(odd.to_str().unwrap()), [odd]);
    }
}
