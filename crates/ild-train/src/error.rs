//! Why a training run was not started or had to stop.

use std::path::PathBuf;

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in this crate; each message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file was refused, or could not be read or written.
    #[error(transparent)]
    File(#[from] ild_io::Error),
    /// A tensor operation failed.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// The model or its weights were refused.
    #[error(transparent)]
    Model(#[from] ild_model::Error),
    /// A PyTorch file was refused.
    #[error(transparent)]
    Checkpoint(#[from] ild_model::checkpoint::Error),
    /// A folder holds nothing to train on.
    #[error("{}: expected slices with a label, found {found}; {next}", folder.display())]
    NothingToTrainOn {
        /// The folder.
        folder: PathBuf,
        /// What is there instead.
        found: String,
        /// What the user can do.
        next: &'static str,
    },
    /// The loss, the gradient or a weight is no longer a number.
    #[error(
        "{what} is {value} at step {step} (epoch {epoch}); {saved}; lower --lr, or set --clip-norm 1"
    )]
    NotFinite {
        /// What was looked at.
        what: String,
        /// What was found.
        value: f64,
        /// Optimiser step, from 0.
        step: u64,
        /// Epoch, from 1.
        epoch: usize,
        /// Where the last good weights are.
        saved: String,
    },
    /// A state file does not belong to this run.
    #[error("{}: expected a training state {expected}, found {found}; {next}", path.display())]
    WrongState {
        /// The state file.
        path: PathBuf,
        /// What would have been accepted.
        expected: String,
        /// What is there.
        found: String,
        /// What the user can do.
        next: &'static str,
    },
    /// The process was asked to stop; the state is saved.
    #[error("stopped in epoch {epoch} after step {step}; go on with: ild-train --config {0}/config.toml --resume {0}", folder.display())]
    Interrupted {
        /// Epoch, from 1.
        epoch: usize,
        /// Optimiser steps done.
        step: u64,
        /// The run folder.
        folder: PathBuf,
        /// For the exit code.
        source: ild_cli::Interrupted,
    },
    /// The settings cannot be meant (exit code 2).
    #[error("{0}")]
    Settings(String),
    /// A picture or an event file could not be made.
    #[error("{}: could not be drawn", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be written; the message names it.
    #[error(transparent)]
    Write(#[from] ild_cli::FileError),
}

impl Error {
    /// Whether the input is at fault (exit code 3), rather than the machine or the recipe.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::File(error) => error.is_rejection(),
            Self::Model(error) => ild_model::Error::rejects(error),
            Self::Write(error) => error.is_refusal(),
            Self::Checkpoint(_) | Self::NothingToTrainOn { .. } | Self::WrongState { .. } => true,
            _ => false,
        }
    }

    /// [`Error::is_rejection`] for any error in a chain; what the binary hands to `ild_cli::main`.
    #[must_use]
    pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
        error.downcast_ref::<Self>().is_some_and(Self::is_rejection)
            || ild_io::Error::rejects(error)
            || ild_model::Error::rejects(error)
    }
}
