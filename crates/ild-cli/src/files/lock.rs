//! One run per output folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::FileError;

const NAME: &str = ".ild-lock";

/// What every program says of an output folder that another run holds.
pub const FOLDER_IN_USE: &str =
    "another run is writing into this folder; wait for it, or give another --output";

/// Holds an output folder for as long as it lives; a killed run lets go of it by itself.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes `folder` if need be and takes it.
    ///
    /// # Errors
    /// When another run has it, or it cannot be made or written to; names it.
    pub fn hold(folder: &Path) -> Result<Self, FileError> {
        Self::locked(folder, NAME, File::try_lock)?.ok_or_else(|| in_use(folder))
    }

    /// Takes `share` of a folder that several runs write to, each its own part.
    ///
    /// # Errors
    /// When another run has the folder for itself, or the same share; as [`FolderLock::hold`].
    pub fn hold_share(folder: &Path, share: &str) -> Result<[Self; 2], FileError> {
        let common = Self::locked(folder, NAME, File::try_lock_shared)?;
        let own = Self::locked(folder, &format!("{NAME}-{share}"), File::try_lock)?;
        common.zip(own).map(|(common, own)| [common, own]).ok_or_else(|| in_use(folder))
    }

    fn locked(
        folder: &Path,
        name: &str,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>, FileError> {
        let path: PathBuf = folder.join(name);
        let open = || -> io::Result<File> {
            std::fs::create_dir_all(folder)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(FileError::at(folder, "written"))?;
        match lock(&file) {
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

fn in_use(folder: &Path) -> FileError {
    FileError::at(folder, "written")(FOLDER_IN_USE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("out");
        let held = FolderLock::hold(&inside).unwrap();
        let said = FolderLock::hold(&inside).unwrap_err().source.to_string();
        assert_eq!(said, FOLDER_IN_USE);
        drop(held);
        FolderLock::hold(&inside).unwrap();
    }

    #[test]
    fn shares_go_together_and_not_twice() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::hold_share(folder.path(), "0-of-2").unwrap();
        let second = FolderLock::hold_share(folder.path(), "1-of-2").unwrap();
        assert!(FolderLock::hold_share(folder.path(), "1-of-2").is_err());
        assert!(FolderLock::hold(folder.path()).is_err());
        drop((first, second));
        let whole = FolderLock::hold(folder.path()).unwrap();
        assert!(FolderLock::hold_share(folder.path(), "0-of-2").is_err());
        drop(whole);
    }
}
