//! How far a run is: everything, besides tensors, that the rest of the run depends on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::run::exact;
use crate::watch::history::{EpochRecord, HeadLoss, MeanLoss, Validation};

/// Position and running figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are finished, validation included.
    pub epochs_done: usize,
    /// Optimiser steps done since the start.
    pub steps_done: u64,
    /// The running epoch.
    pub running: RunningEpoch,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Whether early stopping has ended the run.
    pub stopped_early: bool,
    /// Finished epochs.
    pub history: Vec<EpochRecord>,
    /// The mean of the last epochs' weights, once it is made.
    #[serde(default)]
    pub averaged: Option<Averaged>,
}

/// Weights that are the mean of those of some epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Averaged {
    /// First and last epoch, from 1.
    pub epochs: [usize; 2],
    /// Their validation, if there is a validation set.
    pub validation: Option<Validation>,
    /// Whether they validate better than every epoch, and are the best weights.
    pub is_best: bool,
}

/// The part of an epoch that is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningEpoch {
    /// Items of the epoch's order that are used up.
    pub items_done: usize,
    /// Their losses.
    pub loss: MeanLoss,
    /// Losses of the lesion head.
    #[serde(default)]
    pub head: HeadLoss,
    /// Label id → how often it was drawn.
    pub drawn: BTreeMap<u8, usize>,
    /// Seconds spent.
    #[serde(with = "exact")]
    pub seconds: f64,
    /// Seconds of these spent waiting for the loader.
    #[serde(with = "exact")]
    pub waited: f64,
}

/// The epoch with the lowest deciding loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: usize,
    /// Its deciding loss.
    #[serde(with = "exact")]
    pub loss: f64,
}

impl Progress {
    /// Whether there is nothing left to do in a run of `epochs` epochs.
    #[must_use]
    pub fn is_over(&self, epochs: usize) -> bool {
        self.stopped_early || self.epochs_done >= epochs
    }

    /// Adds a finished epoch, marks it if it is the best so far, and starts the next.
    pub fn close_epoch(&mut self, mut record: EpochRecord) {
        let loss = record.deciding_loss();
        record.is_best = self.best.is_none_or(|best| loss < best.loss);
        if record.is_best {
            self.best = Some(Best { epoch: record.epoch, loss });
        }
        self.epochs_done = record.epoch;
        // A mean that an earlier, shorter run has ended with is not of this one's last epochs.
        self.averaged = None;
        self.history.push(record);
        self.running = RunningEpoch::default();
    }

    /// Takes the mean of the last epochs' weights; they are the best if they validate better than
    /// every epoch.
    pub fn average(&mut self, epochs: [usize; 2], validation: Option<Validation>) -> &Averaged {
        let loss = validation.as_ref().map(Validation::deciding_loss);
        let is_best = loss.is_some_and(|loss| self.best.is_none_or(|best| loss < best.loss));
        if let (true, Some(loss)) = (is_best, loss) {
            self.best = Some(Best { epoch: epochs[1], loss });
        }
        self.averaged.insert(Averaged { epochs, validation, is_best })
    }

    /// Epochs since the best one.
    #[must_use]
    pub fn epochs_without_better(&self) -> usize {
        self.best.map_or(0, |best| self.epochs_done - best.epoch)
    }

    /// Label id → how often it was drawn in all finished epochs.
    #[must_use]
    pub fn drawn(&self) -> BTreeMap<u8, usize> {
        let mut total = BTreeMap::new();
        for (&label, &times) in self.history.iter().flat_map(|epoch| &epoch.drawn) {
            *total.entry(label).or_default() += times;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: usize, loss: f32) -> EpochRecord {
        let mut train = MeanLoss::default();
        train.add(&[loss], &[0.0]);
        EpochRecord {
            epoch,
            step: 0,
            lr: 0.1 + 0.2,
            train,
            train_head: None,
            validation: None,
            is_best: false,
            drawn: [(3, 2)].into(),
            seconds: 1.0 / 3.0,
            items_per_second: 0.0,
            waiting_share: 0.0,
        }
    }

    #[test]
    fn the_first_of_two_equal_epochs_stays_the_best() {
        let mut progress = Progress::default();
        for (n, loss) in [(1, 0.9), (2, 0.5), (3, 0.5), (4, 0.7)] {
            progress.close_epoch(epoch(n, loss));
        }
        assert_eq!(
            progress.history.iter().map(|e| e.is_best).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert_eq!((progress.best.unwrap().epoch, progress.epochs_without_better()), (2, 2));
        assert_eq!(progress.drawn(), [(3, 8)].into());
    }

    #[test]
    fn json_gives_back_every_bit() {
        let mut progress = Progress::default();
        progress.running.loss.add(&[0.1, 0.7, 1e-9], &[0.3, 1e8, 0.2]);
        progress.close_epoch(epoch(1, 0.1));
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }
}
