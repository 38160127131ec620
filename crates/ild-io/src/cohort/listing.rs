//! What is in a folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ild_cli::Refusal;

use crate::{Error, Result};

/// The entries of a folder, sorted, without the list of what was written there; they count as read ([`ild_cli::inputs`]).
///
/// # Errors
/// A refusal when there is no such folder; the machine's fault when it cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |source: std::io::Error| {
        let refusal = Refusal::of(folder).expected("a folder");
        match source.kind() {
            ErrorKind::NotFound => {
                refusal.found("nothing at this path").next("check the spelling").into()
            }
            ErrorKind::NotADirectory => {
                refusal.found("a file").next("name the folder that holds the files").into()
            }
            _ => Error::Io { path: folder.to_owned(), what: "read", source },
        }
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths =
        entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| !ild_cli::outputs::is_list(path));
    paths.sort();
    ild_cli::inputs::note_listing(folder, paths.iter().map(PathBuf::as_path));
    Ok(paths)
}

/// Whether a name begins with a dot: files of systems and of interrupted writes.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
