//! The output folder of stage 1: which file belongs to which case, and that no case is in two
//! parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ild_cli::{FileError, one_line};
use ild_io::cohort::list;
use ild_io::{LabelMap, SliceStack, Volume, Voxels, write_label_map, write_npz, write_volume};

use crate::cohort::placing::ALL_FOLDER;
use crate::cohort::record::{Key, Record, Records};
use crate::cohort::split::{FoldUse, Part};
use crate::stages::case::{CaseFacts, grey_images};
use crate::stages::summary::{Row, Status};
use crate::{Error, Result};

/// An output folder, held by this run.
pub struct Output {
    root: PathBuf,
    /// `<modality>_<anatomy>`.
    group: String,
    /// Before each file name.
    prefix: String,
    /// What is finished.
    pub records: Records,
    _lock: ild_cli::FolderLock,
}

impl Output {
    /// Takes the folder, making it if need be, and removes what a killed run left half written.
    ///
    /// # Errors
    /// When another run holds it or it cannot be written to.
    pub fn open(root: &Path, modality: &str, anatomy: &str, prefixed: bool) -> Result<Self> {
        let lock = ild_cli::FolderLock::hold(root)?;
        let group = format!("{modality}_{anatomy}");
        let prefix = if prefixed { format!("{group}_") } else { String::new() };
        let records = Records::new(root, &format!("nii-to-npz/{group}"));
        let swept = ild_cli::sweep_temporary(root).map_err(FileError::at(root, "cleaned"))?;
        if swept > 0 {
            tracing::info!(
                "{}: {swept} files that an interrupted run had begun were removed",
                root.display()
            );
        }
        Ok(Self { root: root.to_owned(), group, prefix, records, _lock: lock })
    }

    /// Makes `npz_train/`, `npz_valid/` and `npz_test/`, so that the next stage finds the folders
    /// it is told, if empty.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn make_parts(&self) -> Result<()> {
        for folder in Part::ALL.map(|part| self.root.join(part.npz_folder()).join(&self.group)) {
            fs::create_dir_all(&folder).map_err(FileError::at(&folder, "made"))?;
        }
        Ok(())
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let names = Part::ALL.map(Part::npz_folder).into_iter().chain([ALL_FOLDER.to_owned()]);
        names.map(|name| Path::new(&name).join(&self.group))
    }

    fn npz(&self, folder: &str, case: &str) -> PathBuf {
        Path::new(folder).join(&self.group).join(format!("{}{case}.npz", self.prefix))
    }

    /// The NPZ of a case below `folder`.
    pub(crate) fn npz_file(&self, folder: &str, case: &str) -> PathBuf {
        self.root.join(self.npz(folder, case))
    }

    /// Writes the files of a case below `folder` (`npz_train`, …) and notes that it is finished.
    ///
    /// # Errors
    /// When a file cannot be written; names it.
    pub fn write(
        &self,
        case: &str,
        key: Key,
        folder: &str,
        stack: &SliceStack,
        facts: CaseFacts,
        save_nii: bool,
    ) -> Result<CaseFacts> {
        let npz = self.npz(folder, case);
        write_npz(&self.root.join(&npz), stack)?;
        let mut files = vec![npz.clone()];
        if save_nii && let (Some(geometry), Some(labels)) = (stack.placement.block(), &stack.labels)
        {
            let beside =
                |ending: &str| npz.with_file_name(format!("{}{case}_{ending}.nii.gz", self.prefix));
            let volume = Volume {
                voxels: Voxels::U8(grey_images(&stack.images)),
                geometry: geometry.clone(),
            };
            write_volume(&self.root.join(beside("img")), &volume)?;
            write_label_map(
                &self.root.join(beside("gt")),
                &LabelMap { labels: labels.clone(), geometry },
            )?;
            files.extend([beside("img"), beside("gt")]);
        }
        // What an earlier run wrote for this case elsewhere goes before the record stops naming it.
        if let Some(old) = self.records.read::<CaseFacts>(case) {
            self.remove(
                old.files.iter().map(|(path, _)| path).filter(|path| !files.contains(path)),
            )?;
        }
        Ok(self.records.write(case, key, &files, facts)?.facts)
    }

    /// A finished case, its files moved when a new split puts it elsewhere.
    ///
    /// # Errors
    /// When a file cannot be moved.
    pub fn moved(&self, case: &str, record: Record<CaseFacts>, folder: &str) -> Result<CaseFacts> {
        let target = self.npz(folder, case);
        let mut files = Vec::new();
        for (old, _) in &record.files {
            let new =
                old.file_name().map_or_else(|| target.clone(), |name| target.with_file_name(name));
            if *old != new {
                ild_cli::outputs::rename(&self.root.join(old), &self.root.join(&new))?;
            }
            files.push(new);
        }
        if record.files.iter().map(|(path, _)| path).ne(&files) {
            tracing::info!("{case}: moved to {folder}, as the split says now");
            return Ok(self.records.write(case, record.key, &files, record.facts)?.facts);
        }
        Ok(record.facts)
    }

    /// Row of a case that has nothing to write; what an earlier run wrote for it is removed.
    pub fn skipped(&self, case: &str, reason: String) -> Row {
        tracing::warn!("{case}: skipped: {reason}");
        if let Err(error) = self.remove_all_of(case) {
            return self.not_done(case, None, &error);
        }
        Row { case: case.to_owned(), part: None, status: Status::Skipped, reason, facts: None }
    }

    /// Row of a case that could not be done; what was made of an input that is now refused is
    /// removed.
    pub fn not_done(&self, case: &str, part: Option<String>, error: &Error) -> Row {
        let mut reason = one_line(error);
        tracing::error!("{case}: {reason}");
        let status = if error.is_rejection() { Status::Rejected } else { Status::Failed };
        if status == Status::Rejected
            && let Err(also) = self.remove_all_of(case)
        {
            reason = format!("{reason}; {}", one_line(&also));
        }
        Row { case: case.to_owned(), part, status, reason, facts: None }
    }

    fn remove_all_of(&self, case: &str) -> Result<()> {
        self.records.take_away(case)?;
        Ok(())
    }

    fn remove<'a>(&self, files: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
        for file in files {
            ild_cli::outputs::remove(&self.root.join(file))?;
        }
        Ok(())
    }

    /// Refuses to go on when a file that we did not write already puts one of these cases into
    /// another part.
    ///
    /// # Errors
    /// The first such file.
    pub fn refuse_leaks<'a>(&self, places: impl Iterator<Item = (&'a str, String)>) -> Result<()> {
        for (case, folder) in places {
            let ours =
                self.records.read::<CaseFacts>(case).map(|record| record.files).unwrap_or_default();
            for other in Part::ALL.map(Part::npz_folder).iter().filter(|other| **other != folder) {
                let path = self.npz(other, case);
                if self.root.join(&path).exists() && !ours.iter().any(|(file, _)| *file == path) {
                    return Err(Error::refused(
                        self.root.join(&path),
                        format!("{case} only in {folder}, as this split says"),
                        format!("a file for it in {other} that this program did not write"),
                        "a case in two parts is a leak: remove that file or choose another --output",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Notes on NPZ files in the folders that belong to none of the cases done.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn strangers(&self, rows: &[Row]) -> Result<Vec<String>> {
        let done: BTreeSet<String> = rows
            .iter()
            .filter(|row| row.facts.is_some())
            .map(|row| format!("{}{}.npz", self.prefix, row.case))
            .collect();
        let mut notes = Vec::new();
        for folder in
            self.folders().map(|folder| self.root.join(folder)).filter(|folder| folder.is_dir())
        {
            for path in list(&folder)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.ends_with(".npz") && !done.contains(name.as_ref()) {
                    notes.push(format!(
                        "{}: not from this input; the next stage will use it unless it is removed",
                        path.display()
                    ));
                }
            }
        }
        Ok(notes)
    }

    /// `fold_<k>/npz_train` and its siblings: links to the files in `npz_all`, copies where links
    /// are not possible.
    ///
    /// # Errors
    /// When a file can be neither linked nor copied.
    pub fn link_folds(
        &self,
        fold_of: &BTreeMap<String, usize>,
        folds: usize,
        used: FoldUse,
    ) -> Result<()> {
        for (run, part) in (0..folds).flat_map(|run| Part::ALL.map(|part| (run, part))) {
            let of_part = self.root.join(format!("fold_{run}")).join(part.npz_folder());
            let folder = of_part.join(&self.group);
            if folder.is_dir() {
                for old in list(&folder)? {
                    ild_cli::outputs::remove(&old)?;
                }
            }
            if part == Part::Test && used == FoldUse::Validate {
                ild_cli::outputs::remove_empty(&folder);
                ild_cli::outputs::remove_empty(&of_part);
                continue;
            }
            fs::create_dir_all(&folder).map_err(FileError::at(&folder, "made"))?;
            let wanted = |fold: usize| used.part(fold, run, folds) == part;
            for (case, _) in fold_of.iter().filter(|&(_, &fold)| wanted(fold)) {
                let from = self.root.join(self.npz(ALL_FOLDER, case));
                let to = folder.join(format!("{}{case}.npz", self.prefix));
                ild_cli::outputs::link(&from, &to)?;
            }
        }
        Ok(())
    }
}
