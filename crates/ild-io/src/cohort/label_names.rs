//! What the labels of a mask are called, and who says so.

use std::path::{Path, PathBuf};

use super::Sidecar;
use crate::{LabelTable, Result};

/// Files with the names of labels, in a folder of masks or the one above it.
const TABLES: [&str; 2] = ["labels.json", "dataset.json"];

/// The names of labels, if anybody says them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelNames {
    /// The names.
    pub table: Option<LabelTable>,
    /// The file that says them.
    pub from: Option<PathBuf>,
}

impl LabelNames {
    /// Of the masks in `folder`: the file `given` by the user, else `labels.json` or
    /// `dataset.json` in the folder or in the one above it.
    ///
    /// # Errors
    /// When that file is no table of labels.
    pub fn of_folder(given: Option<&Path>, folder: &Path) -> Result<Self> {
        let near = || {
            let folders = [Some(folder), folder.parent()];
            folders
                .into_iter()
                .flatten()
                .flat_map(|folder| TABLES.map(|name| folder.join(name)))
                .find(|path| path.is_file())
        };
        let Some(path) = given.map(Path::to_owned).or_else(near) else {
            return Ok(Self::default());
        };
        Ok(Self { table: Some(LabelTable::read(&path)?), from: Some(path) })
    }

    /// Of one mask: the file `given` by the user, else the sidecar that `ild-infer` wrote beside
    /// it, else as [`LabelNames::of_folder`].
    ///
    /// # Errors
    /// When a file is no table of labels.
    pub fn of_mask(given: Option<&Path>, mask: &Path, case: &str) -> Result<Self> {
        let sidecar = Sidecar::beside(mask, case).and_then(|sidecar| sidecar.label_table);
        match sidecar.filter(|_| given.is_none()) {
            Some(table) => Ok(Self {
                table: Some(table),
                from: Some(mask.with_file_name(format!("{case}.json"))),
            }),
            None => Self::of_folder(given, mask.parent().unwrap_or(Path::new("."))),
        }
    }

    /// The names, or none: an id that nobody named is called `label 1`, never by the name of
    /// another cohort's class.
    #[must_use]
    pub fn or_numbers(self) -> LabelTable {
        self.table.unwrap_or_else(|| LabelTable::new(Default::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NNUNET: &str = r#"{"labels": {"background": 0, "Emphysema": 1, "Nodule": 2}}"#;

    #[test]
    fn a_mask_has_the_names_beside_it_or_above_it_and_never_anothers() {
        let folder = tempfile::tempdir().unwrap();
        let masks = folder.path().join("labelsTr");
        std::fs::create_dir(&masks).unwrap();
        let of = || LabelNames::of_mask(None, &masks.join("a.nii.gz"), "a").unwrap().or_numbers();
        assert_eq!(of().name(1), "label 1");
        std::fs::write(folder.path().join("dataset.json"), NNUNET).unwrap();
        assert_eq!((of().name(1), of().name(2)), ("Emphysema".to_owned(), "Nodule".to_owned()));
        let sidecar = r#"{"label_table": {"1": {"name": "GGO", "color": [1, 2, 3]}}}"#;
        std::fs::write(masks.join("a.json"), sidecar).unwrap();
        assert_eq!(of().name(1), "GGO", "what was written with the mask comes first");
        let given = folder.path().join("mine.json");
        std::fs::write(&given, r#"{"1": "Mine"}"#).unwrap();
        let names = LabelNames::of_mask(Some(&given), &masks.join("a.nii.gz"), "a").unwrap();
        assert_eq!((names.or_numbers().name(1), names_from(&given)), ("Mine".to_owned(), true));
    }

    fn names_from(given: &Path) -> bool {
        LabelNames::of_folder(Some(given), Path::new("x")).unwrap().from.as_deref() == Some(given)
    }
}
