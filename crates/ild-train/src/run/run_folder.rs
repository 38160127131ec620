//! The folder of one training run and the names in it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ild_cli::FolderLock;

use crate::error::Result;

/// A folder that this process alone writes to, until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl RunFolder {
    /// Makes and locks `path`; files that a killed run left half-written are swept away.
    ///
    /// # Errors
    /// When another run is using it, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let lock = FolderLock::hold(path)?;
        ild_cli::sweep_temporary(path).map_err(|source| ild_io::Error::Io {
            path: path.to_owned(),
            what: "written",
            source,
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Weights the run started from.
    #[must_use]
    pub fn initial(&self) -> PathBuf {
        self.path.join("initial.safetensors")
    }

    /// Weights of the last finished epoch.
    #[must_use]
    pub fn latest(&self) -> PathBuf {
        self.path.join("latest.safetensors")
    }

    /// Weights of the best epoch.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The mean of the weights of the last epochs.
    #[must_use]
    pub fn averaged(&self) -> PathBuf {
        self.path.join("averaged.safetensors")
    }

    /// Everything that resuming needs.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }

    /// The settings the run really used.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }
}

/// Name of the state file in a run folder.
pub const STATE: &str = "state.safetensors";

/// `<task>-YYYYMMDD-HHMM`, in UTC.
#[must_use]
pub fn timestamped_name(task: &str, now: SystemTime) -> String {
    let minutes = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60);
    let (year, month, day) = civil_date(minutes / (24 * 60));
    format!("{task}-{year:04}{month:02}{day:02}-{:02}{:02}", minutes / 60 % 24, minutes % 60)
}

/// Gregorian date of a day counted from 1970-01-01 (Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil_date(day: u64) -> (u64, u64, u64) {
    let z = day + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_folder_name_holds_date_and_minute() {
        let at = |seconds| timestamped_name("ild", UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "ild-19700101-0000");
        assert_eq!(at(951_827_696), "ild-20000229-1234");
        assert_eq!(at(1_767_225_599), "ild-20251231-2359");
    }

    #[test]
    fn a_second_run_in_the_same_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunFolder::open(folder.path()).unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err();
        let why = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(why.as_deref(), Some(ild_cli::FOLDER_IN_USE), "{error}");
        drop(first);
        RunFolder::open(folder.path()).unwrap();
    }
}
