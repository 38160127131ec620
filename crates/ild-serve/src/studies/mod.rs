//! Which CTs there are: those on the disk, and those that a viewer has sent for a while.

mod name;
mod sent;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ild_infer::{CaseFile, find_cases};
use ild_io::DicomStudy;

pub use name::safe_name;
pub use sent::{Sent, SentInfo};

use crate::error::{Answer, Problem};
use crate::settings::Folders;

/// A CT that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Study {
    /// What clients call it: the name of its file or folder.
    pub id: String,
    /// Its file or folder.
    pub case: CaseFile,
    /// SeriesInstanceUID, where it is DICOM: what OHIF calls it.
    pub series: Option<String>,
}

/// All CTs. Clients name one by its id; nothing they say becomes a path.
pub struct Studies {
    folders: Folders,
    suffix: String,
    found: RwLock<BTreeMap<String, Arc<Study>>>,
    /// SHA-256 of files, by path and size, as the protocol wants them.
    hashes: Mutex<BTreeMap<(PathBuf, u64), String>>,
}

impl Studies {
    /// Looks for CTs.
    ///
    /// # Errors
    /// A folder that is not there or holds none.
    pub fn find(folders: Folders, suffix: &str) -> anyhow::Result<Self> {
        let studies = Self {
            suffix: suffix.to_owned(),
            found: RwLock::default(),
            hashes: Mutex::default(),
            folders,
        };
        let cases = find_cases(&studies.folders.studies, suffix)?;
        studies.take(cases);
        studies.look_at_uploads()?;
        Ok(studies)
    }

    /// Looks again: for CTs that were put there since.
    ///
    /// # Errors
    /// As [`Studies::find`].
    pub fn look_again(&self) -> Answer<()> {
        self.take(find_cases(&self.folders.studies, &self.suffix)?);
        Ok(self.look_at_uploads()?)
    }

    fn look_at_uploads(&self) -> ild_infer::Result<()> {
        if self.folders.images != self.folders.studies
            && std::fs::read_dir(&self.folders.images)
                .is_ok_and(|entries| entries.flatten().any(|e| e.path().extension().is_some()))
        {
            self.take(find_cases(&self.folders.images, "_0000.nii.gz")?);
        }
        Ok(())
    }

    fn take(&self, cases: Vec<CaseFile>) {
        for case in cases.into_iter().filter(|case| !case.is_npz()) {
            let known = self.found.read().unwrap_or_else(PoisonError::into_inner);
            if known.contains_key(&case.id) {
                continue;
            }
            drop(known);
            let series = case.is_dicom().then(|| series_uid(&case.path)).flatten();
            self.add(Study { id: case.id.clone(), case, series });
        }
    }

    /// One more.
    pub fn add(&self, study: Study) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.insert(study.id.clone(), Arc::new(study));
    }

    /// The one that a client means, by its name or its series.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn get(&self, id: &str) -> Answer<Arc<Study>> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        let by_series = || found.values().find(|study| study.series.as_deref() == Some(id));
        found.get(id).or_else(by_series).cloned().ok_or_else(|| {
            Problem::absent("there is no such case on this server; /datastore/ lists them")
        })
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Study>> {
        self.found.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Where things lie.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// SHA-256 of a study's file; of a DICOM folder none.
    #[must_use]
    pub fn sha256(&self, path: &Path) -> Option<String> {
        let bytes = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
        let key = (path.to_owned(), bytes);
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.or_else(|| {
            let hash = ild_cli::sha256_of_file(path).ok()?;
            let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.insert(key, hash.clone());
            Some(hash)
        })
    }
}

/// The series that is read of a folder.
fn series_uid(folder: &Path) -> Option<String> {
    let study = DicomStudy::scan(folder).ok()?;
    let uid = study.choose(None).ok()?.series.uid.clone();
    (!uid.is_empty()).then_some(uid)
}
