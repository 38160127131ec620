//! What a test needs from outside the repository, and the one way to say that it is missing.
//!
//! A test that returns early passes, and nobody sees that it compared nothing. Here it says so on
//! the error output, past the test runner's capture, and in the file that `cargo xtask test` reads
//! to count such tests at its end.

pub mod dicom;
mod seg_nrrd;

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use seg_nrrd::SegNrrd;

/// Names the file that is told of every skipped test, one `test: why` a line.
pub const SKIPPED_FILE: &str = "ILD_SKIPPED_FILE";

/// Says that the test on this thread is skipped, and why.
///
/// # Panics
/// When the file that [`SKIPPED_FILE`] names cannot be written.
pub fn skipped(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    // Not `eprintln!`: the test runner hides what passing tests print with it.
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(path) = std::env::var_os(SKIPPED_FILE) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("{}: {error}", Path::new(&path).display()));
    }
}

/// A file or folder of the data beside the repository (`../shared`); [`skipped`] where it is not.
#[must_use]
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(path);
    if !found.exists() {
        skipped(format_args!("../shared/{path} is not there"));
        return None;
    }
    Some(found)
}

/// The Python that `ILD_PYTHON` names (else `python3`), when it can import all of `modules`
/// (`"sam2, torch"`); [`skipped`] where it cannot.
#[must_use]
pub fn python_with(modules: &str) -> Option<String> {
    let python = std::env::var("ILD_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        skipped(format_args!("`{python}` cannot import {modules} (ILD_PYTHON names another)"));
        return None;
    }
    Some(python)
}

/// A program that is no part of this project (`dciodvfy`): beside the Python that `ILD_PYTHON` names,
/// or on the path; [`skipped`] where it is not.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let beside =
        std::env::var_os("ILD_PYTHON").map(|python| Path::new(&python).with_file_name(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = beside.into_iter().chain(on_path).find(|path| path.is_file());
    if found.is_none() {
        skipped(format_args!("`{name}` is not there"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_none_and_told() {
        assert!(shared("no such folder").is_none());
        assert!(python_with("no_such_module").is_none());
        assert!(program("no-such-program").is_none());
    }
}
