//! What can be wrong with a file.

use std::path::PathBuf;

use ild_cli::{FileError, Refusal};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input was looked at and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Two files that belong together lie on different grids.
    #[error(transparent)]
    OtherGrid(#[from] Box<OtherGrid>),
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
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
}

/// A volume that does not lie where its partner lies.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{refusal}")]
pub struct OtherGrid {
    /// In words.
    pub refusal: Refusal,
    /// Largest distance between corresponding corner voxels, mm; `None` when the numbers of voxels
    /// differ already.
    pub apart_mm: Option<f64>,
}

impl Error {
    /// Whether the input is at fault (exit code 3), rather than the machine.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Refused(_) | Self::OtherGrid(_) => true,
            Self::Write(error) => error.is_refusal(),
            Self::Io { .. } => false,
        }
    }
}

ild_cli::refusals!(Error);
