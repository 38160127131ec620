//! What may be opened to be read.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use crate::Refusal;

/// The size and times of a regular file (links are followed), or why what lies there is none. Asked
/// before a file that somebody names is opened: to open a pipe is to wait for its other end, and no
/// signal ends that.
///
/// # Errors
/// When the system cannot tell what is at `path`, or nothing is.
pub fn regular(path: &Path) -> io::Result<Result<Metadata, Refusal>> {
    let meta = fs::metadata(path)?;
    if meta.is_file() {
        return Ok(Ok(meta));
    }
    let found = if meta.is_dir() { "a folder" } else { "a pipe, socket or device" };
    let refusal = Refusal::of(path).expected("a regular file").found(found);
    Ok(Err(refusal.next("name the file itself")))
}
