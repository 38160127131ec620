//! Why a stage, or one case of it, was not done.

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
}

ild_cli::refusals!(Error, ild_io::Error);
