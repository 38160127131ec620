//! Files that are either the old one or the new one, never half of either.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::{faults, outputs};
use crate::{FileError, Stamp, veil};

const PREFIX: &str = ".ild-tmp-";
/// Output folders are no deeper than this.
const DEEPEST: usize = 4;
/// Between making a temporary file and holding it a process may lie still for a moment.
const NOT_YET_HELD: Duration = Duration::from_secs(1);

/// Folders that this process has written into.
static SWEPT: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// Writes `path` through a temporary file in the same folder and renames it when `write` has
/// succeeded and the bytes are on the disk.
///
/// Parent folders are made. On any error the temporary file is removed and an existing `path` is
/// untouched. What no ild program wrote is not replaced ([`outputs::may_write`]), unless it holds
/// these very bytes. A pipe or a device is written into as it is: a file in its place would be read
/// by nobody.
///
/// # Errors
/// Names `path` and the cause: somebody else's file, a folder that cannot be made, a full disk, a
/// read-only place, or what `write` returned.
pub fn write_atomic<E>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> Result<(), E>,
) -> Result<(), FileError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    replace(path, true, write)
}

/// [`write_atomic`] without waiting for the disk: for files that are made again at little cost, or
/// of which there are thousands behind one record that knows their sizes.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_atomic_unsynced<E>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> Result<(), E>,
) -> Result<(), FileError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    replace(path, false, write)
}

fn replace<E>(
    path: &Path,
    synced: bool,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> Result<(), E>,
) -> Result<(), FileError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let attempt = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if is_device(path) {
            let mut file = fs::OpenOptions::new().write(true).open(path)?;
            let mut writer = BufWriter::new(&mut file);
            write(&mut writer).map_err(Into::into)?;
            return Ok(writer.flush()?);
        }
        let folder = outputs::folder_of(path);
        fs::create_dir_all(folder)?;
        sweep_once(folder);
        let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
        // Held until the file has its name: whoever sweeps sees that somebody is at it.
        let _ = file.as_file().lock();
        {
            let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
            write(&mut writer).map_err(Into::into)?;
            writer.flush()?;
        }
        widen_permissions(file.as_file())?;
        if synced {
            file.as_file().sync_all()?;
        }
        if let Err(refusal) = outputs::may_write(path)
            && (inputs_hold(path) || !same_bytes(path, file.path()))
        {
            return Err(refusal.into());
        }
        faults::moment();
        outputs::announce(path, file.path(), synced)?;
        faults::moment();
        file.persist(path)?;
        faults::moment();
        if synced {
            sync_folder(folder)?;
        }
        outputs::note(path, true);
        Ok(())
    };
    attempt().map_err(FileError::at(path, "written"))
}

/// Whether the file at `path` is one that this run reads.
fn inputs_hold(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| super::inputs::holds(path, &meta))
}

/// Whether both are regular files that hold the same bytes.
fn same_bytes(path: &Path, other: &Path) -> bool {
    let stamp = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()).then(|| Stamp::of(path))?
    };
    let (Some(a), Some(b)) = (stamp(path), stamp(other)) else { return false };
    a.bytes == b.bytes && a.hashed().same_content(&b)
}

/// A new name is on the disk only once its folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match fs::File::open(folder)?.sync_all() {
        // Some network file systems cannot, and say so.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether something is at `path` that is neither file nor folder, or that the system keeps there
/// (`/dev/stdout` is a link to whatever file the output goes to).
pub(crate) fn is_device(path: &Path) -> bool {
    let kept = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"]
        .iter()
        .any(|folder| path.starts_with(folder));
    fs::metadata(path).is_ok_and(|meta| kept || !(meta.is_file() || meta.is_dir()))
}

/// [`write_atomic`] of bytes that are already in memory.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// [`write_atomic`] of a value as JSON for people: indented.
///
/// # Errors
/// As [`write_atomic`], and when the value cannot be JSON (a path that is not UTF-8).
pub fn write_json_atomic(path: &Path, value: &impl serde::Serialize) -> Result<(), FileError> {
    write_atomic(path, |file| {
        if !veil::is_down() {
            return serde_json::to_writer_pretty(file, value);
        }
        let mut value = serde_json::to_value(value)?;
        veil::over_json(&mut value);
        serde_json::to_writer_pretty(file, &value)
    })
}

/// Removes what a killed run may have left in `folder` and below it; returns how many files that
/// were. What another process is writing just now stays; the caller holds the folder
/// ([`crate::FolderLock`]).
///
/// # Errors
/// When the folder cannot be listed or a stray file not removed. A folder that does not exist holds
/// nothing.
pub fn sweep_temporary(folder: &Path) -> io::Result<usize> {
    sweep(folder, DEEPEST, Duration::ZERO)
}

/// Sweeps a folder that nobody may hold, when this process first writes into it.
fn sweep_once(folder: &Path) {
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert(folder.to_owned()) {
        let _ = sweep(folder, 0, NOT_YET_HELD);
    }
}

/// Forgets that `folder` was swept: it is no more.
pub(super) fn forget(folder: &Path) {
    SWEPT.lock().unwrap_or_else(PoisonError::into_inner).remove(folder);
}

fn sweep(folder: &Path, below: usize, at_least: Duration) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && below > 0 {
            removed += sweep(&entry.path(), below - 1, at_least)?;
        }
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && kind.is_file() && is_stray(&entry.path(), at_least) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether no process holds the temporary file and it is as old as that.
fn is_stray(path: &Path, at_least: Duration) -> bool {
    // Gone already, if somebody else sweeps too.
    let Ok(file) = fs::File::open(path) else { return false };
    let changed = file.metadata().and_then(|meta| meta.modified());
    let old = changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= at_least));
    (at_least.is_zero() || old) && !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

/// Temporary files are private (0600); results are for the whole group, as the umask allows.
fn widen_permissions(file: &fs::File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_into_and_stays_one() {
        for (device, works) in [("/dev/null", true), ("/dev/full", false)] {
            assert_eq!(write_bytes_atomic(Path::new(device), b"x").is_ok(), works, "{device}");
            assert!(!fs::metadata(device).unwrap().is_file(), "{device}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("x.bin");
        write_bytes_atomic(&path, b"old").unwrap();
        let failure = write_atomic(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk on fire"))
        });
        assert_eq!(failure.unwrap_err().source.to_string(), "disk on fire");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2, "file and list");
    }

    #[test]
    fn stray_files_are_swept_and_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".ild/a")).unwrap();
        fs::write(folder.path().join(".ild-tmp-abc"), b"x").unwrap();
        fs::write(folder.path().join(".ild/a/.ild-tmp-abc"), b"x").unwrap();
        fs::write(folder.path().join("kept.npz"), b"x").unwrap();
        let held = fs::File::create(folder.path().join(".ild-tmp-held")).unwrap();
        held.lock().unwrap();
        sweep_once(folder.path()); // too young to be sure
        assert_eq!(sweep_temporary(folder.path()).unwrap(), 2);
        assert!(folder.path().join("kept.npz").exists());
        assert_eq!(sweep_temporary(&folder.path().join("absent")).unwrap(), 0);
    }
}
