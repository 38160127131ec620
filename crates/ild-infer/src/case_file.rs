//! Which cases there are to segment.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::{Error, Result};

/// How many file names a refusal shows.
const SHOWN_NAMES: usize = 3;

/// A case on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFile {
    /// Name without suffixes.
    pub id: String,
    /// The NPZ or NIfTI file.
    pub path: PathBuf,
}

impl CaseFile {
    /// Whether it is a preprocessed stack rather than a CT.
    #[must_use]
    pub fn is_npz(&self) -> bool {
        self.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz"))
    }

    /// A file that the user named himself: any suffix of ours is taken off.
    fn named(path: &Path, suffix: &str) -> Result<Self> {
        let name = utf8_name(path)?;
        let id = [suffix, ".npz", ".nii.gz", ".nii"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| {
            Error::refused(
                path,
                "an .npz, .nii.gz or .nii file",
                format!("`{name}`"),
                "convert it with `ild-io convert`",
            )
        })?;
        Ok(Self { id: id.to_owned(), path: path.to_owned() })
    }
}

fn utf8_name(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| {
        Error::refused(path, "a file name in UTF-8", "another encoding", "rename the file")
    })
}

/// The cases at `input`, sorted by name: the file itself, or in a folder (or the folders directly
/// in it) every `.npz` and every file that ends in `suffix`.
///
/// # Errors
/// Refuses a place without cases (says which names were looked for) and two files with the same
/// case name.
pub fn find_cases(input: &Path, suffix: &str) -> Result<Vec<CaseFile>> {
    if !input.is_dir() {
        if !input.exists() {
            return Err(Error::refused(
                input,
                "an NPZ, a CT or a folder of them",
                "nothing at this path",
                "check the spelling",
            ));
        }
        return Ok(vec![CaseFile::named(input, suffix)?]);
    }
    let here = list(input)?;
    let mut cases = cases_among(&here, suffix)?;
    if cases.is_empty() {
        for folder in here.iter().filter(|path| path.is_dir() && !is_hidden(path)) {
            cases.extend(cases_among(&list(folder)?, suffix)?);
        }
    }
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = cases.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let found = format!(
            "`{}` twice: {} and {}",
            pair[0].id,
            pair[0].path.display(),
            pair[1].path.display()
        );
        return Err(Error::refused(
            input,
            "one file per case",
            found,
            "give the folder that holds only one of them",
        ));
    }
    if cases.is_empty() { Err(no_cases(input, suffix, &here)) } else { Ok(cases) }
}

fn cases_among(paths: &[PathBuf], suffix: &str) -> Result<Vec<CaseFile>> {
    let is_case = |path: &&PathBuf| {
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let fits =
            name.ends_with(".npz") || (name.ends_with(suffix) && !is_for_looking(path, &name));
        fits && path.is_file() && !is_hidden(path)
    };
    paths.iter().filter(is_case).map(|path| CaseFile::named(path, suffix)).collect()
}

/// Whether the file is one that `ild-preprocess nii-to-npz --save-nii` puts beside `<case>.npz`:
/// grey values to look at, no CT.
fn is_for_looking(path: &Path, name: &str) -> bool {
    let case = ["_img.nii.gz", "_gt.nii.gz"].iter().find_map(|end| name.strip_suffix(end));
    case.is_some_and(|case| path.with_file_name(format!("{case}.npz")).is_file())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |source| ild_io::Error::Io { path: folder.to_owned(), what: "read", source };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn no_cases(folder: &Path, suffix: &str, here: &[PathBuf]) -> Error {
    let names: Vec<String> = here
        .iter()
        .take(SHOWN_NAMES)
        .filter_map(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let found = if names.is_empty() {
        "an empty folder".to_owned()
    } else {
        format!("only {}", names.join(", "))
    };
    Error::refused(
        folder,
        format!("files ending in .npz or {suffix}"),
        found,
        "--img-name-suffix names another ending of CT files",
    )
}

/// `I/N`: every N-th case, beginning with case I (from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// The cases of this shard; shards of one cohort are disjoint and together complete.
    #[must_use]
    pub fn of<T>(self, cases: Vec<T>) -> Vec<T> {
        cases
            .into_iter()
            .enumerate()
            .filter(|(i, _)| i % self.count == self.index)
            .map(|(_, case)| case)
            .collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("expected I/N with I from 0 to N-1, e.g. 0/8 to 7/8".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Serialize for Shard {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_cases_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b_0000.nii.gz", "a.npz", "a.json", "c.nii.gz", ".hidden.npz"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let ids: Vec<String> = find_cases(folder.path(), "_0000.nii.gz")
            .unwrap()
            .into_iter()
            .map(|case| case.id)
            .collect();
        assert_eq!(ids, ["a", "b"]);
        let file = folder.path().join("c.nii.gz");
        assert_eq!(
            find_cases(&file, "_0000.nii.gz").unwrap(),
            [CaseFile { id: "c".into(), path: file }]
        );
    }

    #[test]
    fn npz_folders_of_preprocessing_are_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("CT_ILD")).unwrap();
        std::fs::write(folder.path().join("CT_ILD/x.npz"), b"x").unwrap();
        assert_eq!(find_cases(folder.path(), "_0000.nii.gz").unwrap()[0].id, "x");
    }

    #[test]
    fn pictures_beside_an_npz_are_no_cases() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.npz", "x_img.nii.gz", "x_gt.nii.gz", "y_img.nii.gz"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let ids: Vec<String> =
            find_cases(folder.path(), ".nii.gz").unwrap().into_iter().map(|case| case.id).collect();
        assert_eq!(ids, ["x", "y_img"], "y_img belongs to no NPZ");
    }

    #[test]
    fn an_empty_folder_says_which_names_were_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let text = find_cases(folder.path(), "_ct.nii.gz").unwrap_err().to_string();
        assert!(text.contains(".npz or _ct.nii.gz") && text.contains("empty folder"), "{text}");
        assert!(find_cases(Path::new("no/such/place"), "x").unwrap_err().is_rejection());
    }

    #[test]
    fn shards_are_disjoint_and_complete() {
        let mut all: Vec<u32> = (0..3)
            .flat_map(|i| format!("{i}/3").parse::<Shard>().unwrap().of((0..10).collect()))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert!("3/3".parse::<Shard>().is_err() && "1".parse::<Shard>().is_err());
    }
}
