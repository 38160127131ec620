//! What can go wrong between two folders of masks and a report.

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
    /// Whether an input is at fault (exit code 3).
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Io(error) => error.is_rejection(),
            _ => false,
        }
    }
}

ild_cli::refusals!(Error, ild_io::Error);
