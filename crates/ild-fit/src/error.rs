//! Why no rules were fitted.

use ild_cli::{FileError, Refusal};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something was looked at and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file.
    #[error(transparent)]
    File(#[from] ild_io::Error),
    /// Weights.
    #[error(transparent)]
    Model(#[from] ild_model::Error),
    /// The search itself.
    #[error(transparent)]
    Infer(#[from] ild_infer::Error),
    /// The scores.
    #[error(transparent)]
    Metrics(#[from] ild_metrics::Error),
    /// The operating system said no while a result was written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// Ctrl-C or SIGTERM; nothing was written yet.
    #[error("stopped on request")]
    Interrupted(#[from] ild_cli::Interrupted),
}

impl Error {
    /// Whether the input is at fault (exit code 3), rather than the machine.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::File(error) => error.is_rejection(),
            Self::Model(error) => error.is_rejection(),
            Self::Infer(error) => error.is_rejection(),
            Self::Metrics(error) => error.is_rejection(),
            Self::Write(error) => error.is_refusal(),
            Self::Interrupted(_) => false,
        }
    }
}

ild_cli::refusals!(Error);
