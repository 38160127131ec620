//! What the labels of a mask are called, and who says so.

use std::path::{Path, PathBuf};

use ild_cli::{Refusal, inputs};
use ndarray::{Array, Dimension};

use super::{Sidecar, bare_case};
use crate::files::{dicom_seg, nrrd, slice_stack};
use crate::{Format, LabelMap, LabelTable, Result, read_label_map};

/// Files with the names of labels, in a folder of masks or the one above it.
const TABLES: [&str; 2] = ["labels.json", "dataset.json"];

/// Reads the label map at `path`, in axial order, under the ids of `table`: what the mask says of
/// its names decides, not what number they have in it.
///
/// # Errors
/// What [`read_label_map`] refuses, and names that `table` lacks.
pub fn read_mask(path: &Path, table: &LabelTable) -> Result<LabelMap> {
    let LabelMap { labels, geometry } = read_label_map(path)?;
    let labels = LabelNames::own(path)?.under(table, labels, path)?;
    Ok(LabelMap { labels, geometry })
}

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
                .find(|path| inputs::is_file(path))
        };
        let Some(path) = given.map(Path::to_owned).or_else(near) else {
            return Ok(Self::default());
        };
        Ok(Self { table: Some(LabelTable::read(&path)?), from: Some(path) })
    }

    /// Of one mask: the file `given` by the user, else what the mask says itself
    /// ([`LabelNames::own`]), else as [`LabelNames::of_folder`].
    ///
    /// # Errors
    /// When a file is no table of labels.
    pub fn of_mask(given: Option<&Path>, mask: &Path) -> Result<Self> {
        let own = if given.is_none() { Self::own(mask)? } else { Self::default() };
        match own.table {
            Some(_) => Ok(own),
            None => Self::of_folder(given, mask.parent().unwrap_or(Path::new("."))),
        }
    }

    /// Of a mask that somebody else made: what it says itself, else a table in its own folder (nnU-Net
    /// writes `dataset.json` beside its predictions).
    ///
    /// # Errors
    /// When a file is no table of labels.
    pub fn beside(mask: &Path) -> Result<Self> {
        let own = Self::own(mask)?;
        let near = TABLES.map(|name| mask.with_file_name(name));
        let near = near.into_iter().find(|path| inputs::is_file(path));
        match near.filter(|_| own.table.is_none()) {
            Some(path) => Ok(Self { table: Some(LabelTable::read(&path)?), from: Some(path) }),
            None => Ok(own),
        }
    }

    /// What a mask says itself: the segments of a `.seg.nrrd` or a DICOM SEG, the label table in
    /// an NPZ, the sidecar `<case>.json` that `ild-infer` or `ild-io convert` wrote beside it.
    ///
    /// # Errors
    /// When the file cannot be read, or its names are no names of labels.
    pub fn own(mask: &Path) -> Result<Self> {
        let name = mask.file_name().unwrap_or_default().to_string_lossy();
        let case = bare_case(&name, &[]);
        let table = match Format::of(mask)? {
            Format::Nrrd => nrrd::label_names(mask)?,
            Format::Npz => slice_stack::read_label_table(mask)?,
            Format::DicomSeg => Some(dicom_seg::label_names(mask)?),
            _ => None,
        };
        if table.is_some() {
            return Ok(Self { table, from: Some(mask.to_owned()) });
        }
        let from = mask.with_file_name(format!("{case}.json"));
        let sidecar = Sidecar::beside(mask, case)?.unwrap_or_default();
        if sidecar.broken_table {
            return Err(Refusal::of(from)
                .expected("under `label_table`, label ids with name and colour")
                .found("something else")
                .next("write the mask again, or take the file away")
                .into());
        }
        let from = sidecar.label_table.is_some().then_some(from);
        Ok(Self { table: sidecar.label_table, from })
    }

    /// `labels` of the mask at `path`, which are named so, under the ids that `table` gives these
    /// names. Where either side names nothing, ids are all there is.
    ///
    /// # Errors
    /// When `table` lacks a name ([`LabelTable::renumbered`]), and when it has none for a DICOM
    /// Segmentation.
    pub fn under<D: Dimension>(
        &self,
        table: &LabelTable,
        labels: Array<u8, D>,
        path: &Path,
    ) -> Result<Array<u8, D>> {
        match &self.table {
            // Segments are numbered from 1, whatever the ids of their labels were.
            Some(_)
                if table.is_empty() && Format::of(path).is_ok_and(|f| f == Format::DicomSeg) =>
            {
                Err(Refusal::of(path)
                    .expected("a cohort that says what its labels are called")
                    .found("label ids alone, and a DICOM Segmentation, whose numbers are no ids")
                    .next("name the labels of the cohort with --labels or a labels.json")
                    .into())
            }
            Some(own) if own != table && !table.is_empty() => table.renumbered(labels, own, path),
            _ => Ok(labels),
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
        std::fs::write(masks.join("a.nii.gz"), b"x").unwrap();
        let of = || LabelNames::of_mask(None, &masks.join("a.nii.gz")).unwrap().or_numbers();
        assert_eq!(of().name(1), "label 1");
        std::fs::write(folder.path().join("dataset.json"), NNUNET).unwrap();
        assert_eq!((of().name(1), of().name(2)), ("Emphysema".to_owned(), "Nodule".to_owned()));
        let sidecar = r#"{"label_table": {"1": {"name": "GGO", "color": [1, 2, 3]}}}"#;
        std::fs::write(masks.join("a.json"), sidecar).unwrap();
        assert_eq!(of().name(1), "GGO", "what was written with the mask comes first");
        let given = folder.path().join("mine.json");
        std::fs::write(&given, r#"{"1": "Mine"}"#).unwrap();
        let names = LabelNames::of_mask(Some(&given), &masks.join("a.nii.gz")).unwrap();
        assert_eq!((names.or_numbers().name(1), names_from(&given)), ("Mine".to_owned(), true));
    }

    fn names_from(given: &Path) -> bool {
        LabelNames::of_folder(Some(given), Path::new("x")).unwrap().from.as_deref() == Some(given)
    }
}
