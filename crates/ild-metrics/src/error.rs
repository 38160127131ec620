//! What can go wrong between two folders of masks and a report.

use std::path::PathBuf;

use ild_cli::{FileError, Refusal};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input was looked at and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file was refused or could not be read.
    #[error(transparent)]
    Io(#[from] ild_io::Error),
    /// A file could not be written; the message names it.
    #[error(transparent)]
    Write(#[from] FileError),
    /// A chart could not be drawn.
    #[error("chart: {0}")]
    Chart(String),
    /// A table could not be made.
    #[error("table")]
    Table(#[from] polars::prelude::PolarsError),
    /// The user or the scheduler asked the run to stop.
    #[error("evaluation stopped")]
    Interrupted(#[from] ild_cli::Interrupted),
    /// The page could not be made.
    #[error("report")]
    Report(#[from] minijinja::Error),
}

impl Error {
    /// A refusal of `path`.
    pub fn rejected(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::Refused(Refusal::of(path).expected(expected).found(found).next(next))
    }

    /// Whether an input is at fault (exit code 3); what the binary hands to `ild_cli::main`.
    #[must_use]
    pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
        match error.downcast_ref::<Self>() {
            Some(Self::Refused(_)) => true,
            // A transparent error hides its inner one from the chain of causes.
            Some(Self::Io(inner)) => inner.is_rejection(),
            Some(_) => false,
            None => ild_io::Error::rejects(error),
        }
    }
}
