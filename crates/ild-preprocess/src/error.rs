//! Why a stage, or one case of it, was not done.

use std::path::PathBuf;

use ild_cli::{FileError, Refusal};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A volume, label map or array file.
    #[error(transparent)]
    File(#[from] ild_io::Error),
    /// Anything else that was looked at and refused: a folder, a table, a split.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operating system said no while a result was written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// Ctrl-C or SIGTERM.
    #[error("stopped on request")]
    Interrupted(#[from] ild_cli::Interrupted),
}

impl Error {
    /// A refusal of `path`.
    pub fn refused(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::Refused(Refusal::of(path).expected(expected).found(found).next(next))
    }

    /// Whether the input is at fault (exit code 3), rather than the machine.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::File(error) => error.is_rejection(),
            Self::Refused(_) => true,
            Self::Write(error) => error.is_refusal(),
            Self::Interrupted(_) => false,
        }
    }

    /// [`Error::is_rejection`] for any error in a chain; what the binary hands to `ild_cli::main`.
    #[must_use]
    pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
        error.downcast_ref::<Self>().is_some_and(Self::is_rejection)
            || ild_io::Error::rejects(error)
    }
}

/// An error and everything behind it in one line.
#[must_use]
pub fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
