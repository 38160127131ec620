//! Why a case, or a run, was not segmented.

use ild_cli::{FileError, Refusal};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A volume, label map or array file.
    #[error(transparent)]
    File(#[from] ild_io::Error),
    /// Windowing and records.
    #[error(transparent)]
    Preprocess(#[from] ild_preprocess::Error),
    /// Weights, configuration or arithmetic of the model.
    #[error(transparent)]
    Model(#[from] ild_model::Error),
    /// Anything else that was looked at and refused: a prompt, a window, a folder without cases.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Some cases failed; the others are done.
    #[error("{failed} of {total} cases failed; the reasons stand above")]
    Cases {
        /// Cases without a result.
        failed: usize,
        /// Cases in this run.
        total: usize,
        /// Whether every failure was a refused input.
        rejected: bool,
    },
    /// The operating system said no while a result was written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// Ctrl-C or SIGTERM.
    #[error("stopped on request")]
    Interrupted(#[from] ild_cli::Interrupted),
    /// The thread that encodes slices is gone.
    #[error("the encoder stopped before slice {0} was encoded")]
    EncoderStopped(usize),
    /// Features were asked for that the plan does not announce (any more).
    #[error("slice {0} of the stack was not announced to the encoder")]
    SliceNotPlanned(usize),
    /// Features were asked of something that only answers prompts.
    #[error("there are no features of slice {0} of the stack to remember")]
    NoFeatures(usize),
}

impl Error {
    /// Whether the input is at fault (exit code 3), rather than the machine.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::File(error) => error.is_rejection(),
            Self::Preprocess(error) => error.is_rejection(),
            Self::Model(error) => error.is_rejection(),
            Self::Refused(_) => true,
            Self::Cases { rejected, .. } => *rejected,
            Self::Write(error) => error.is_refusal(),
            Self::Interrupted(_)
            | Self::EncoderStopped(_)
            | Self::SliceNotPlanned(_)
            | Self::NoFeatures(_) => false,
        }
    }
}

ild_cli::refusals!(Error);
