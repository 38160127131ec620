//! Which CT belongs to which label file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where cases are looked for, and how their files are named.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Folder of CT (or MR) files.
    pub image_dir: PathBuf,
    /// Folder of label files.
    pub label_dir: PathBuf,
    /// A CT file is `<case><suffix>`.
    pub image_suffix: String,
    /// A label file is `<case><suffix>`.
    pub label_suffix: String,
}

/// A label file with its CT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Name without suffix.
    pub case: String,
    /// The CT.
    pub image: PathBuf,
    /// Its labels.
    pub label: PathBuf,
}

/// Everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Cases, sorted by name.
    pub pairs: Vec<Pair>,
    /// Label files without a CT.
    pub labels_alone: Vec<PathBuf>,
    /// CTs without a label file.
    pub images_alone: Vec<PathBuf>,
    /// Files whose names are not UTF-8.
    pub unnameable: Vec<PathBuf>,
}

/// How many file names a refusal shows.
const SHOWN_NAMES: usize = 3;

/// Pairs up the files of two folders (which may be the same folder).
///
/// # Errors
/// Refuses folders that are not there and folders without a single pair; says which names were
/// looked for and what is there.
pub fn find_pairs(sources: &Sources) -> Result<Pairs> {
    let mut found = Pairs::default();
    let images = cases_in(&sources.image_dir, &sources.image_suffix, None, &mut found.unnameable)?;
    // In a shared folder `case_0000.nii.gz` ends like a label file too.
    let same_folder =
        sources.image_dir == sources.label_dir && sources.image_suffix != sources.label_suffix;
    let not = same_folder.then_some(sources.image_suffix.as_str());
    let mut labels =
        cases_in(&sources.label_dir, &sources.label_suffix, not, &mut found.unnameable)?;
    for (case, image) in images {
        match labels.remove(&case) {
            Some(label) => found.pairs.push(Pair { case, image, label }),
            None => found.images_alone.push(image),
        }
    }
    found.labels_alone = labels.into_values().collect();
    found.unnameable.sort();
    found.unnameable.dedup();
    if found.pairs.is_empty() && found.unnameable.is_empty() {
        return Err(no_pairs(sources, &found));
    }
    Ok(found)
}

/// Case name → file, for the files of `folder` that end in `suffix`; hidden files are left alone.
fn cases_in(
    folder: &Path,
    suffix: &str,
    not: Option<&str>,
    unnameable: &mut Vec<PathBuf>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut cases = BTreeMap::new();
    for path in list(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(suffix)) {
                unnameable.push(path);
            }
            continue;
        };
        if name.starts_with('.') || not.is_some_and(|other| name.ends_with(other)) {
            continue;
        }
        if let Some(case) = name.strip_suffix(suffix).filter(|case| !case.is_empty()) {
            cases.insert(case.to_owned(), path);
        }
    }
    Ok(cases)
}

/// The entries of a folder.
///
/// # Errors
/// When there is no such folder (a refusal) or it cannot be read.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => {
            Error::refused(folder, "a folder", "nothing at this path", "check the spelling")
        }
        std::io::ErrorKind::NotADirectory => {
            Error::refused(folder, "a folder", "a file", "name the folder that holds the files")
        }
        _ => Error::File(ild_io::Error::Io { path: folder.to_owned(), what: "read", source }),
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn no_pairs(sources: &Sources, found: &Pairs) -> Error {
    let names = |paths: &[PathBuf]| {
        let shown: Vec<String> = paths
            .iter()
            .take(SHOWN_NAMES)
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    let any = |folder: &Path| {
        let all = list(folder).unwrap_or_default();
        if all.is_empty() {
            "the folder is empty".to_owned()
        } else {
            format!("the folder holds {}", names(&all))
        }
    };
    Error::refused(
        &sources.label_dir,
        format!(
            "label files `<case>{}` with a CT `{}/<case>{}`",
            sources.label_suffix,
            sources.image_dir.display(),
            sources.image_suffix
        ),
        format!(
            "no pair: labels {} ({}), CTs {} ({})",
            names(&found.labels_alone),
            any(&sources.label_dir),
            names(&found.images_alone),
            any(&sources.image_dir)
        ),
        "set --img-name-suffix and --gt-name-suffix to what follows the case name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(image_dir: &Path, label_dir: &Path) -> Sources {
        Sources {
            image_dir: image_dir.to_owned(),
            label_dir: label_dir.to_owned(),
            image_suffix: "_0000.nii.gz".into(),
            label_suffix: ".nii.gz".into(),
        }
    }

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            std::fs::write(folder.join(name), b"x").unwrap();
        }
    }

    #[test]
    fn cases_without_a_partner_are_listed_on_both_sides() {
        let (images, labels) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        touch(
            images.path(),
            &["b_0000.nii.gz", "a_0000.nii.gz", "only_ct_0000.nii.gz", "._a_0000.nii.gz"],
        );
        touch(labels.path(), &["a.nii.gz", "b.nii.gz", "only_label.nii.gz", "notes.txt"]);
        let found = find_pairs(&sources(images.path(), labels.path())).unwrap();
        assert_eq!(
            found.pairs.iter().map(|pair| pair.case.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(found.labels_alone, [labels.path().join("only_label.nii.gz")]);
        assert_eq!(found.images_alone, [images.path().join("only_ct_0000.nii.gz")]);
    }

    #[test]
    fn ct_and_label_may_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["a_0000.nii.gz", "a.nii.gz"]);
        let found = find_pairs(&sources(folder.path(), folder.path())).unwrap();
        assert_eq!(found.pairs.len(), 1);
        assert_eq!(found.pairs[0].label, folder.path().join("a.nii.gz"));
        assert!(found.labels_alone.is_empty());
    }

    #[test]
    fn folders_without_a_pair_are_refused_with_the_names_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["scan.nii"]);
        let error = find_pairs(&sources(folder.path(), folder.path())).unwrap_err();
        assert!(error.is_rejection());
        let text = error.to_string();
        for part in ["`<case>.nii.gz`", "<case>_0000.nii.gz`", "scan.nii", "--gt-name-suffix"] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        let absent = find_pairs(&sources(&folder.path().join("absent"), folder.path()))
            .unwrap_err()
            .to_string();
        assert!(
            absent.contains("absent: expected a folder, found nothing at this path"),
            "{absent}"
        );
    }
}
