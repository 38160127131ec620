//! Why a PyTorch file was refused.

use std::path::{Path, PathBuf};

/// A refusal: place, wish, fact, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{}: expected {expected}, found {found}{next}", path.display())]
pub struct Error {
    path: PathBuf,
    expected: String,
    found: String,
    next: String,
}

/// A refusal before the file's name is known.
#[derive(Debug)]
pub(super) struct Refusal {
    pub expected: String,
    pub found: String,
    pub next: &'static str,
}

pub(super) type Checked<T> = Result<T, Refusal>;

/// "expected `expected`, found `found`".
pub(super) fn refuse<T>(expected: impl Into<String>, found: impl Into<String>) -> Checked<T> {
    Err(Refusal { expected: expected.into(), found: found.into(), next: "" })
}

impl Refusal {
    /// Adds advice, introduced by "; ".
    pub fn advise(self, next: &'static str) -> Self {
        Self { next, ..self }
    }

    /// Adds the place.
    pub fn at(self, path: &Path) -> Error {
        Error {
            path: path.to_owned(),
            expected: self.expected,
            found: self.found,
            next: self.next.to_owned(),
        }
    }
}
