//! What a caller can watch while a run goes on.

use std::path::Path;

use crate::error::Result;
use crate::run::progress::Averaged;
use crate::watch::history::{EpochRecord, StepRecord};
use crate::watch::worst::Worst;

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct RunInfo<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// Epochs that are done already (above 0 in a resumed run).
    pub epochs_done: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// Optimiser steps that are done already.
    pub steps_done: u64,
    /// Training items in an epoch.
    pub items_per_epoch: usize,
    /// Finished epochs.
    pub history: &'a [EpochRecord],
}

/// Where an epoch stands.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Training items used in this epoch.
    pub items_done: usize,
    /// Training items in this epoch.
    pub items: usize,
    /// Mean loss of the epoch so far.
    pub mean_loss: f64,
}

/// Called by the [`crate::Trainer`]; an error from any of these stops the run.
#[allow(unused_variables, reason = "the defaults do nothing")]
pub trait Callback: Send {
    /// Before the first step.
    ///
    /// # Errors
    /// As the implementation likes.
    fn started(&mut self, run: &RunInfo) -> Result<()> {
        Ok(())
    }

    /// After each optimiser step.
    ///
    /// # Errors
    /// As the implementation likes.
    fn stepped(&mut self, step: &StepRecord, position: Position) -> Result<()> {
        Ok(())
    }

    /// After each validation; the answers of this process that fit worst.
    ///
    /// # Errors
    /// As the implementation likes.
    fn validated(&mut self, worst: &Worst) -> Result<()> {
        Ok(())
    }

    /// After each epoch, validation included; the last record is the new one.
    ///
    /// # Errors
    /// As the implementation likes.
    fn finished_epoch(&mut self, history: &[EpochRecord]) -> Result<()> {
        Ok(())
    }

    /// After the last epoch, once the mean of the last epochs' weights is made.
    ///
    /// # Errors
    /// As the implementation likes.
    fn averaged(&mut self, averaged: &Averaged) -> Result<()> {
        Ok(())
    }

    /// After the last epoch.
    ///
    /// # Errors
    /// As the implementation likes.
    fn ended(&mut self) -> Result<()> {
        Ok(())
    }
}
