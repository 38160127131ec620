//! What can be wrong with a file: place, wish, fact, and what to do next.

use std::path::PathBuf;

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input was looked at and refused.
    #[error("{}: expected {expected}, found {found}{}", path.display(), advice(next))]
    Rejected {
        /// The file.
        path: PathBuf,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
        /// What the user can do about it; may be empty.
        next: String,
    },
    /// The operating system said no.
    #[error("{}: could not be {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// A file could not be written; the message names it.
    #[error(transparent)]
    Write(#[from] anyhow::Error),
}

impl Error {
    /// A refusal of `path`.
    pub fn rejected(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::Rejected {
            path: path.into(),
            expected: expected.into(),
            found: found.into(),
            next: next.into(),
        }
    }

    /// Whether the input is at fault (exit code 3), rather than the machine.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// [`Error::is_rejection`] for any error in a chain; what the binaries hand to `ild_cli::main`.
    #[must_use]
    pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
        error.downcast_ref::<Self>().is_some_and(Self::is_rejection)
    }
}

fn advice(next: &str) -> String {
    if next.is_empty() { String::new() } else { format!("; {next}") }
}
