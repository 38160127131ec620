//! Files that are either the old one or the new one, never half of either.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::FileError;

const PREFIX: &str = ".tmp-";

/// Writes `path` through a temporary file in the same folder and renames it when `write` has
/// succeeded.
///
/// Parent folders are made. On any error the temporary file is removed and an existing `path` is
/// untouched. A pipe or a device is written into as it is: a file in its place would be read by
/// nobody.
///
/// # Errors
/// Names `path` and the cause: a folder that cannot be made, a full disk, a read-only place, or
/// what `write` returned.
pub fn write_atomic<E>(
    path: &Path,
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
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
        {
            let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
            write(&mut writer).map_err(Into::into)?;
            writer.flush()?;
        }
        widen_permissions(file.as_file())?;
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(FileError::at(path, "written"))
}

/// Whether something is at `path` that is neither file nor folder, or that the system keeps there
/// (`/dev/stdout` is a link to whatever file the output goes to).
fn is_device(path: &Path) -> bool {
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
    let bytes = serde_json::to_vec_pretty(value).map_err(FileError::at(path, "written"))?;
    write_bytes_atomic(path, &bytes)
}

/// Removes what a killed run may have left in `folder` (not below it); returns how many files that
/// were.
///
/// # Errors
/// When the folder cannot be listed or a stray file not removed. A folder that does not exist holds
/// nothing.
pub fn sweep_temporary(folder: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
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
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn stray_files_are_swept_and_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".tmp-abc"), b"x").unwrap();
        fs::write(folder.path().join("kept.npz"), b"x").unwrap();
        assert_eq!(sweep_temporary(folder.path()).unwrap(), 1);
        assert!(folder.path().join("kept.npz").exists());
        assert_eq!(sweep_temporary(&folder.path().join("absent")).unwrap(), 0);
    }
}
