//! How unsure the model is of a case, from the last time it was asked: the next case is the one it is
//! most unsure of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// 0 (sure) to 1, by case.
pub struct Scores {
    file: PathBuf,
    known: Mutex<BTreeMap<String, f64>>,
}

impl Scores {
    /// Those in `file`; none where there is no such file.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        let known = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file: file.to_owned(), known: Mutex::new(known.unwrap_or_default()) }
    }

    /// The score of a case.
    #[must_use]
    pub fn of(&self, case: &str) -> Option<f64> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(case).copied()
    }

    /// Notes the score of a case.
    pub fn note(&self, case: &str, uncertainty: Option<f64>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match uncertainty {
            Some(score) => known.insert(case.to_owned(), score),
            None => known.remove(case),
        };
        if let Err(error) = ild_cli::write_json_atomic(&self.file, &*known) {
            tracing::warn!("{error}: the order of the cases is lost with this server");
        }
    }
}
