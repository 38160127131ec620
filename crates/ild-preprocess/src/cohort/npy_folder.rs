//! `train/` or `valid/` of the NPY output: which file belongs to which case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ild_cli::FileError;

use ild_io::SliceStack;
use ild_io::cohort::list;

use crate::Result;
use crate::cohort::record::Records;
use crate::cohort::split::Part;
use crate::stages::npy_summary::NpyRow;
use crate::stages::npz_to_npy::{key_of, write_slices};

/// The NPY output, held by this run.
pub(crate) struct NpyOutput {
    /// `train/`, then `valid/`.
    pub(crate) folders: [NpyFolder; 2],
    _lock: ild_cli::FolderLock,
}

impl NpyOutput {
    /// Takes the folder, making it if need be, and removes what a killed run left half written.
    pub(crate) fn open(npy_dir: &Path) -> Result<Self> {
        let lock = ild_cli::FolderLock::hold(npy_dir)?;
        ild_cli::sweep_temporary(npy_dir).map_err(FileError::at(npy_dir, "cleaned"))?;
        Ok(Self {
            folders: [
                NpyFolder::open(npy_dir, Part::Train)?,
                NpyFolder::open(npy_dir, Part::Valid)?,
            ],
            _lock: lock,
        })
    }

    /// Writes the slices of `stack`, which is in the file `npz` of `part`; nothing for the test
    /// part, which is never trained on.
    pub(crate) fn write(&self, part: Part, npz: &Path, stack: &SliceStack) -> Result<()> {
        let (Some(folder), Some(case)) =
            (self.folders.iter().find(|folder| folder.part == part), npz.file_stem())
        else {
            return Ok(());
        };
        let key = key_of(npz).hashed();
        write_slices(&case.to_string_lossy(), npz, stack, key, folder).map(|_| ())
    }
}

/// `npy/train` or `npy/valid`.
pub(crate) struct NpyFolder {
    root: PathBuf,
    /// Which of the two.
    pub(crate) part: Part,
    /// What is finished.
    pub(crate) records: Records,
}

impl NpyFolder {
    pub(crate) fn open(npy_dir: &Path, part: Part) -> Result<Self> {
        let folder = Self {
            root: npy_dir.to_owned(),
            part,
            records: Records::new(npy_dir, &format!("npz-to-npy/{}", part.name())),
        };
        for path in [folder.sub("imgs"), folder.sub("gts")] {
            std::fs::create_dir_all(&path).map_err(FileError::at(&path, "made"))?;
        }
        Ok(folder)
    }

    fn sub(&self, kind: &str) -> PathBuf {
        self.root.join(self.part.name()).join(kind)
    }

    pub(crate) fn relative_image(&self, slice: &str) -> PathBuf {
        Path::new(self.part.name()).join("imgs").join(format!("{slice}.npy"))
    }

    pub(crate) fn relative_label(&self, slice: &str) -> PathBuf {
        Path::new(self.part.name()).join("gts").join(format!("{slice}.npy"))
    }

    pub(crate) fn image(&self, slice: &str) -> PathBuf {
        self.root.join(self.relative_image(slice))
    }

    pub(crate) fn label(&self, slice: &str) -> PathBuf {
        self.root.join(self.relative_label(slice))
    }

    /// Removes slices that this program wrote for cases, or from slices, that are here no more;
    /// lists those it did not write.
    pub(crate) fn tidy<'a>(
        &self,
        rows: impl Iterator<Item = &'a NpyRow> + Clone,
    ) -> Result<Vec<String>> {
        let expected: BTreeSet<&str> = rows
            .clone()
            .filter_map(|row| row.facts.as_ref())
            .flat_map(|facts| facts.slices.iter().map(String::as_str))
            .collect();
        let done: BTreeSet<&str> =
            rows.clone().filter(|row| row.facts.is_some()).map(|row| row.case.as_str()).collect();
        let mut ours: BTreeSet<String> = rows.map(|row| row.case.clone()).collect();
        if self.records.folder().is_dir() {
            for path in list(self.records.folder())? {
                let Some(case) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
                if !done.contains(case) {
                    ours.insert(case.to_owned());
                    self.records.forget(case)?;
                }
            }
        }
        let mut notes = Vec::new();
        for path in [self.sub("imgs"), self.sub("gts")]
            .iter()
            .map(|folder| list(folder))
            .collect::<ild_io::Result<Vec<_>>>()?
            .concat()
        {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if expected.contains(stem.as_str()) {
                continue;
            }
            let of_ours = ours.contains(case_of(&stem)) || ours.contains(&stem);
            if of_ours && ild_cli::outputs::is_ours(&path) {
                ild_cli::outputs::remove(&path)?;
            } else {
                notes.push(format!(
                    "{}: not from this input; training will use it unless it is removed",
                    path.display()
                ));
            }
        }
        Ok(notes)
    }
}

/// `case` of `case-007`.
fn case_of(slice: &str) -> &str {
    match slice.rsplit_once('-') {
        Some((case, number))
            if number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            case
        }
        _ => slice,
    }
}
