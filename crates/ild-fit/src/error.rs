//! Why no rules were fitted.

use std::path::PathBuf;

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
            Self::Refused(_) => true,
            Self::File(error) => error.is_rejection(),
            Self::Model(error) => error.is_rejection(),
            Self::Infer(error) => error.is_rejection(),
            Self::Metrics(error) => ild_metrics::Error::rejects(error),
            Self::Write(error) => error.is_refusal(),
            Self::Interrupted(_) => false,
        }
    }

    /// [`Error::is_rejection`] for any error in a chain; what the binary hands to `ild_cli::main`.
    #[must_use]
    pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
        error.downcast_ref::<Self>().is_some_and(Self::is_rejection)
    }
}
