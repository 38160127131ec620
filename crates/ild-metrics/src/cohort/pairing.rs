//! Which file belongs to which case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_io::cohort::{self, Depth, Dicom, Twice, Wanted};

use crate::Result;

/// Case → file.
pub type CaseFiles = BTreeMap<String, PathBuf>;

/// The cases in `folder`, by name: every `.npz`, every DICOM Segmentation and every file that ends in `suffix`; when the
/// folder itself holds none, those in the folders directly in it. Of a case in both formats the
/// volume is taken.
///
/// # Errors
/// Refuses a folder that is not there or holds no such file (the message says which names were
/// looked for), and one where two folders hold the same case.
pub fn case_files(folder: &Path, suffix: &str) -> Result<CaseFiles> {
    let wanted = Wanted {
        suffix: Some(suffix),
        dicom: Dicom::Segmentation,
        but_not: None,
        npz: true,
        depth: Depth::BelowIfNoneHere,
        twice: Twice::Volume,
    };
    let found = cohort::case_files(folder, &wanted)?;
    Ok(found.or_refuse(folder, &wanted, "check the folder and the suffix flags")?.cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_maps_win_over_npz_and_other_files_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a.nii.gz",
            "a.npz",
            "b.nii",
            "c.npz",
            "a.json",
            ".d.npz",
            "npz/a.npz",
            "probabilities/a_ILD1.nii.gz",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let found = case_files(folder.path(), ".nii.gz").unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|(case, path)| (case.as_str(), path.extension().unwrap().to_str().unwrap()))
            .collect();
        assert_eq!(names, [("a", "gz"), ("b", "nii"), ("c", "npz")]);
    }
}
