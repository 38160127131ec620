//! Why a model was not made or did not run: place, wish, fact, and what to do next.

use std::path::PathBuf;

use ild_cli::{FileError, Refusal};

use crate::weights::misfit::Misfit;

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between a checkpoint and a mask.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file was looked at and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The weights are those of another model.
    #[error("{0}")]
    Misfit(Box<Misfit>),
    /// A file of PyTorch's was refused.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::Error),
    /// A model description that no model can be built from.
    #[error("{key}: expected {expected}, found {found}")]
    Config {
        /// The key of the description.
        key: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// `--model` names no size of ours, nor a file.
    #[error("--model: expected t, s, b+, l, nano, t512 or a .toml file, found `{0}`")]
    UnknownModel(String),
    /// A tensor of the wrong shape was handed over.
    #[error("{what}: expected shape {expected}, found {found:?}")]
    Shape {
        /// The argument.
        what: &'static str,
        /// The accepted shape.
        expected: String,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A box without area, or beside the slice.
    #[error(
        "--box {pixels:?}: expected x0 < x1 and y0 < y1 and a part of the slice of {width} × {height} pixels"
    )]
    Box {
        /// x0, y0, x1, y1 as given.
        pixels: [f64; 4],
        /// Rows of the slice.
        height: usize,
        /// Columns of the slice.
        width: usize,
    },
    /// A precision was asked for where it cannot be computed.
    #[error(
        "precision {asked}: expected {expected}, found {found}; leave `precision` out for f32, which runs everywhere"
    )]
    Precision {
        /// The precision as typed.
        asked: &'static str,
        /// What computes in it.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// The device that was asked for is not there.
    #[error("--device {asked}: {found}; {next}")]
    Device {
        /// The device as typed.
        asked: String,
        /// What stands in the way.
        found: String,
        /// What the user can do about it.
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
    Write(#[from] FileError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What the operating system said about an input at `path`; a file that is not there is the
    /// caller's input at fault.
    pub(crate) fn unreadable(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                Self::refused(path, "a file", "nothing at this path", "check the spelling")
            }
            _ => Self::Io { path: path.to_owned(), what: "read", source },
        }
    }

    /// Whether the input is at fault (exit code 3), rather than the machine or the command line.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::Checkpoint(_)
                | Self::Misfit(_)
                | Self::Config { .. }
                | Self::Shape { .. }
                | Self::Box { .. }
        )
    }
}

ild_cli::refusals!(Error);
