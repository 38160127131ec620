//! Opening files that nobody vouches for.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// A regular file (links are followed), which counts as read ([`ild_cli::inputs`]); folders, pipes
/// and devices are refused before anything can hang.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    ild_cli::inputs::note(path);
    ild_cli::regular(path).map_err(Error::unreadable(path))??;
    File::open(path).map_err(Error::unreadable(path))
}

/// All bytes of a regular file.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes).map_err(Error::unreadable(path))?;
    Ok(bytes)
}
