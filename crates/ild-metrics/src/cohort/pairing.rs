//! Which file belongs to which case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// How many names a message shows.
const SHOWN: usize = 3;

/// Case → file.
pub type CaseFiles = BTreeMap<String, PathBuf>;

/// The cases in `folder`, by name: every `.npz` and every file that ends in `suffix`; when the
/// folder itself holds none, those in the folders directly in it. Of a case in both formats the
/// NIfTI file is taken.
///
/// # Errors
/// Refuses a folder that cannot be listed or holds no such file (the message says which names were
/// looked for), and one where two folders hold the same case.
pub fn case_files(folder: &Path, suffix: &str) -> Result<CaseFiles> {
    let entries = list(folder)?;
    let mut found = cases_among(&entries, suffix);
    if found.is_empty() {
        for sub in entries.iter().filter(|path| path.is_dir() && !hidden(path)) {
            for (case, path) in cases_among(&list(sub)?, suffix) {
                if let Some(other) = found.insert(case, path.clone()) {
                    return Err(Error::rejected(
                        folder,
                        "one file per case",
                        format!("{} and {}", other.display(), path.display()),
                        "name the folder that holds only one of them",
                    ));
                }
            }
        }
    }
    if found.is_empty() { Err(no_cases(folder, suffix, &entries)) } else { Ok(found) }
}

fn cases_among(paths: &[PathBuf], suffix: &str) -> CaseFiles {
    let mut found = CaseFiles::new();
    for path in paths.iter().filter(|path| path.is_file() && !hidden(path)) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let nifti =
            name.strip_suffix(suffix).or_else(|| name.strip_suffix(suffix.strip_suffix(".gz")?));
        let Some(case) =
            nifti.or_else(|| name.strip_suffix(".npz")).filter(|case| !case.is_empty())
        else {
            continue;
        };
        if nifti.is_some() || !found.contains_key(case) {
            found.insert(case.to_owned(), path.clone());
        }
    }
    found
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let refused = |cause: std::io::Error| {
        Error::rejected(folder, "a folder that can be read", cause.to_string(), "check the path")
    };
    let entries = std::fs::read_dir(folder).map_err(refused)?;
    let mut paths =
        entries.map(|entry| Ok(entry.map_err(refused)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn no_cases(folder: &Path, suffix: &str, entries: &[PathBuf]) -> Error {
    let names: Vec<_> = entries
        .iter()
        .take(SHOWN)
        .filter_map(|p| p.file_name())
        .map(|name| name.to_string_lossy())
        .collect();
    let found = if names.is_empty() {
        "an empty folder".to_owned()
    } else {
        format!("only {}", names.join(", "))
    };
    Error::rejected(
        folder,
        format!("files that end in .npz or {suffix}"),
        found,
        "check the folder and the suffix flags",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        folder
    }

    #[test]
    fn label_maps_win_over_npz_and_other_files_are_left_out() {
        let made = folder(&[
            "a.nii.gz",
            "a.npz",
            "b.nii",
            "c.npz",
            "a.json",
            ".d.npz",
            "npz/a.npz",
            "probabilities/a_ILD1.nii.gz",
        ]);
        let found = case_files(made.path(), ".nii.gz").unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|(case, path)| (case.as_str(), path.extension().unwrap().to_str().unwrap()))
            .collect();
        assert_eq!(names, [("a", "gz"), ("b", "nii"), ("c", "npz")]);
    }

    #[test]
    fn cases_one_folder_down_are_found_once() {
        let made = folder(&["CT_ILD/a.npz", "CT_ILD/b.npz", "readme.txt"]);
        assert_eq!(case_files(made.path(), ".nii.gz").unwrap().len(), 2);
        let twice = folder(&["x/a.npz", "y/a.npz"]);
        assert!(
            case_files(twice.path(), ".nii.gz")
                .unwrap_err()
                .to_string()
                .contains("one file per case")
        );
    }

    #[test]
    fn an_empty_folder_says_what_was_looked_for() {
        let made = folder(&["notes.txt"]);
        let message = case_files(made.path(), "_seg.nii.gz").unwrap_err().to_string();
        assert!(message.contains("_seg.nii.gz") && message.contains("only notes.txt"), "{message}");
        assert!(case_files(&made.path().join("absent"), ".nii.gz").is_err());
    }
}
