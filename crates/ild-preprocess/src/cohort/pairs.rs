//! Which CT belongs to which label file.

use std::path::{Path, PathBuf};

use ild_cli::Refusal;
use ild_io::cohort::{
    Beside, Depth, Dicom, Files, Twice, Wanted, bare_case, case_files, list, shown,
};

use crate::{Error, Result};

/// Where cases are looked for, and how their files are named.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Folder of CT (or MR) files.
    pub image_dir: PathBuf,
    /// Folder of label files.
    pub label_dir: PathBuf,
    /// A CT file is `<case><suffix>`, a folder or zip of DICOM `<case>`.
    pub image_suffix: String,
    /// A label file is `<case><suffix>`, a DICOM Segmentation `<case>.dcm`.
    pub label_suffix: String,
}

/// A label file with its CT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Name without suffix.
    pub case: String,
    /// The CT: a file, or a folder or zip archive of DICOM.
    pub image: PathBuf,
    /// Its labels.
    pub label: PathBuf,
}

impl Pair {
    /// The files that are read of it: label and CT, of a DICOM folder those of the series.
    ///
    /// # Errors
    /// When no series can be chosen.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = vec![self.label.clone()];
        match self.image.is_dir() {
            true => files.extend(ild_io::dicom_ct_files(&self.image, None)?),
            false => files.push(self.image.clone()),
        }
        Ok(files)
    }
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

/// Pairs up the files of two folders (which may be the same folder).
///
/// # Errors
/// Refuses folders that are not there, folders without a single pair (says which names were looked
/// for and what is there), and a CT and a label that are called alike but not the same.
pub fn find_pairs(sources: &Sources) -> Result<Pairs> {
    let mut found = Pairs::default();
    let images = sources.files(&sources.image_dir, &sources.image_suffix, None, Dicom::Series)?;
    // In a shared folder `case_0000.nii.gz` ends like a label file too.
    let same_folder =
        sources.image_dir == sources.label_dir && sources.image_suffix != sources.label_suffix;
    let not = same_folder.then_some(sources.image_suffix.as_str());
    let (folder, suffix) = (&sources.label_dir, &sources.label_suffix);
    let mut labels = sources.files(folder, suffix, not, Dicom::Segmentation)?;
    found.unnameable.extend(images.unnameable.into_iter().chain(labels.unnameable));
    for (case, image) in images.cases {
        match labels.cases.remove(&case) {
            Some(label) => found.pairs.push(Pair { case, image, label }),
            None => found.images_alone.push(image),
        }
    }
    found.labels_alone = labels.cases.into_values().collect();
    found.unnameable.sort();
    found.unnameable.dedup();
    if found.pairs.is_empty() && found.unnameable.is_empty() {
        return Err(no_pairs(sources, &found));
    }
    found.refuse_slips(sources)?;
    Ok(found)
}

impl Sources {
    fn files(
        &self,
        folder: &Path,
        suffix: &str,
        but_not: Option<&str>,
        dicom: Dicom,
    ) -> Result<Files> {
        let wanted = Wanted {
            suffix: Some(suffix),
            but_not,
            npz: false,
            dicom,
            depth: Depth::Here,
            twice: Twice::Refused,
        };
        Ok(case_files(folder, &wanted)?)
    }
}

impl Pairs {
    /// The names of the cases.
    pub fn names(&self) -> Vec<&str> {
        self.pairs.iter().map(|pair| pair.case.as_str()).collect()
    }

    fn refuse_slips(&self, sources: &Sources) -> Result<()> {
        let bare = |paths: &[PathBuf], suffix: &str| -> Vec<String> {
            let names = paths.iter().filter_map(|path| path.file_name());
            names.map(|name| bare_case(&name.to_string_lossy(), &[suffix]).to_owned()).collect()
        };
        let labels = bare(&self.labels_alone, &sources.label_suffix);
        let images = bare(&self.images_alone, &sources.image_suffix);
        // Cases that are paired are no near misses of anything.
        let beside =
            Beside::new(labels.iter().map(String::as_str), images.iter().map(String::as_str));
        let paired = Beside { both: self.names().into_iter().collect(), ..beside };
        Ok(paired.refuse_slips(&sources.label_dir, "label", "CT")?)
    }
}

fn no_pairs(sources: &Sources, found: &Pairs) -> Error {
    let names = |paths: &[PathBuf]| {
        let names: Vec<String> = paths
            .iter()
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        if names.is_empty() {
            return "none".to_owned();
        }
        shown(&names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let among = |files: &[PathBuf], folder: &Path| {
        let all = list(folder).unwrap_or_default();
        match (files.len(), all.len()) {
            (_, 0) => "none, the folder is empty".to_owned(),
            (found, all) if found == all => names(files),
            _ => format!("{} among {}", names(files), names(&all)),
        }
    };
    Refusal::of(&sources.label_dir)
        .expected(format!(
            "label files `<case>{}` with a CT `{}/<case>{}`",
            sources.label_suffix,
            sources.image_dir.display(),
            sources.image_suffix
        ))
        .found(format!(
            "no pair; labels: {}; CTs: {}",
            among(&found.labels_alone, &sources.label_dir),
            among(&found.images_alone, &sources.image_dir)
        ))
        .next("set --img-name-suffix and --gt-name-suffix to what follows the case name")
        .into()
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
    fn a_label_and_a_ct_that_are_one_but_for_a_slip_are_refused() {
        let (images, labels) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        touch(images.path(), &["a1_0000.nii.gz", "case_02_0000.nii.gz"]);
        touch(labels.path(), &["a1.nii.gz", "Case-2.nii.gz"]);
        let error = find_pairs(&sources(images.path(), labels.path())).unwrap_err();
        assert!(error.is_rejection());
        assert!(error.to_string().contains("the nearest is `case_02`"), "{error}");
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
