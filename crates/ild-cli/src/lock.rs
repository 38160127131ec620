//! One run per output folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::FileError;

const NAME: &str = ".ild-lock";

/// Holds an output folder for as long as it lives; a killed run lets go of it by itself.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes `folder` if need be and takes it; `Ok(None)` when another run has it.
    ///
    /// # Errors
    /// When the folder cannot be made or written to; names it.
    pub fn take(folder: &Path) -> Result<Option<Self>, FileError> {
        let path: PathBuf = folder.join(NAME);
        let open = || -> io::Result<File> {
            std::fs::create_dir_all(folder)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(FileError::at(folder, "written"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            // Some network file systems have no locks; working without one is better than not
            // working.
            Err(TryLockError::Error(error)) => {
                tracing::debug!("{}: no lock: {error}", path.display());
                Ok(Some(Self { _file: file }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("out");
        let held = FolderLock::take(&inside).unwrap();
        assert!(held.is_some());
        assert!(FolderLock::take(&inside).unwrap().is_none());
        drop(held);
        assert!(FolderLock::take(&inside).unwrap().is_some());
    }
}
