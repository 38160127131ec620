//! What happened: one record per epoch and one per step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use ild_io::LabelTable;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::peers::Peers;
use crate::run::exact;
pub use crate::watch::head_score::{HeadLoss, HeadScore, Overlap};

/// Mean losses over some items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanLoss {
    /// Sum of the Dice losses.
    #[serde(with = "exact")]
    dice_sum: f64,
    /// Sum of the cross-entropies.
    #[serde(with = "exact")]
    bce_sum: f64,
    /// Number of items.
    pub items: usize,
}

impl MeanLoss {
    /// Adds the losses of items.
    pub fn add(&mut self, dice: &[f32], bce: &[f32]) {
        self.dice_sum += dice.iter().map(|&v| f64::from(v)).sum::<f64>();
        self.bce_sum += bce.iter().map(|&v| f64::from(v)).sum::<f64>();
        self.items += dice.len();
    }

    /// Adds the items of another mean.
    pub fn merge(&mut self, other: Self) {
        self.dice_sum += other.dice_sum;
        self.bce_sum += other.bce_sum;
        self.items += other.items;
    }

    /// Adds the items of the other processes.
    pub(crate) fn sum_over(&mut self, peers: &dyn Peers) {
        let mut sums = [self.dice_sum, self.bce_sum, self.items as f64];
        peers.sum_f64(&mut sums);
        *self = Self { dice_sum: sums[0], bce_sum: sums[1], items: sums[2] as usize };
    }

    /// Mean Dice loss; NaN without items.
    #[must_use]
    pub fn dice(&self) -> f64 {
        self.dice_sum / self.items as f64
    }

    /// Mean cross-entropy; NaN without items.
    #[must_use]
    pub fn bce(&self) -> f64 {
        self.bce_sum / self.items as f64
    }

    /// Mean loss; NaN without items.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.dice() + self.bce()
    }
}

/// One optimiser step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// From 1.
    pub step: u64,
    /// From 1.
    pub epoch: usize,
    /// Mean loss over the items of the step.
    pub loss: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Length of the gradient before clipping.
    pub gradient_norm: f64,
}

/// Result of one validation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Mean loss over all boxes.
    pub loss: MeanLoss,
    /// Label id → Dice of its masks.
    pub dice_of_class: BTreeMap<u8, ClassDice>,
    /// What the lesion head found, where there is one.
    #[serde(default)]
    pub head: Option<HeadScore>,
    /// Seconds it took.
    #[serde(with = "exact")]
    pub seconds: f64,
}

impl Validation {
    /// Adds what the other processes found.
    pub(crate) fn sum_over(&mut self, peers: &dyn Peers) {
        self.loss.sum_over(peers);
        if let Some(head) = &mut self.head {
            head.sum_over(peers);
        }
        let mut sums = [0.0; 512];
        for (&id, dice) in &self.dice_of_class {
            (sums[usize::from(id)], sums[256 + usize::from(id)]) = (dice.sum, dice.masks as f64);
        }
        peers.sum_f64(&mut sums);
        let found = (0..=u8::MAX).map(|id| {
            (
                id,
                ClassDice {
                    sum: sums[usize::from(id)],
                    masks: sums[256 + usize::from(id)] as usize,
                },
            )
        });
        self.dice_of_class = found.filter(|(_, dice)| dice.masks > 0).collect();
    }

    /// Loss of the prompts plus that of the lesion head.
    #[must_use]
    pub fn total_loss(&self) -> f64 {
        let prompts = if self.loss.items > 0 { self.loss.total() } else { 0.0 };
        prompts + self.head.as_ref().map_or(0.0, |head| head.loss.total())
    }

    /// What `best` is decided by: the loss of the prompts, plus what the lesion head's segmentation,
    /// class by class, lacks of a Dice of 1, plus a tenth of the head's loss, so that of two that
    /// segment alike the one with the better probabilities wins.
    ///
    /// Not the whole of that loss: cross-entropy grows with every sure mistake while the
    /// segmentation still gets better, and then an early epoch wins that finds half of the classes
    /// (0.31 instead of 0.80 by class on the sample's patients of seed 7).
    #[must_use]
    pub fn deciding_loss(&self) -> f64 {
        const CALIBRATION: f64 = 0.1;
        let prompts = if self.loss.items > 0 { self.loss.total() } else { 0.0 };
        let head = self.head.as_ref().map_or(0.0, |head| {
            head.mean_dice().map_or(0.0, |dice| 1.0 - dice) + CALIBRATION * head.loss.total()
        });
        prompts + head
    }

    /// Mean over classes of the mean Dice; `None` without any.
    #[must_use]
    pub fn mean_dice(&self) -> Option<f64> {
        let n = self.dice_of_class.len();
        (n > 0).then(|| self.dice_of_class.values().map(ClassDice::mean).sum::<f64>() / n as f64)
    }
}

/// Dice of the thresholded masks of one class, each slice on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassDice {
    #[serde(with = "exact")]
    sum: f64,
    /// Number of masks.
    pub masks: usize,
}

impl ClassDice {
    /// Adds the Dice of one mask.
    pub fn add(&mut self, dice: f64) {
        self.sum += dice;
        self.masks += 1;
    }

    /// Mean over the masks; NaN without any.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.masks as f64
    }
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Optimiser steps since the start of the run.
    pub step: u64,
    /// Learning rate of the last step.
    #[serde(with = "exact")]
    pub lr: f64,
    /// Mean training loss.
    pub train: MeanLoss,
    /// Mean training loss of the lesion head, where it is trained.
    #[serde(default)]
    pub train_head: Option<HeadLoss>,
    /// Validation, if there is a validation set.
    pub validation: Option<Validation>,
    /// Whether this epoch is the best so far.
    pub is_best: bool,
    /// Label id → how often it was drawn for training.
    pub drawn: BTreeMap<u8, usize>,
    /// Seconds of training.
    #[serde(with = "exact")]
    pub seconds: f64,
    /// Training items per second.
    #[serde(with = "exact")]
    pub items_per_second: f64,
    /// Share of the training time spent waiting for the loader.
    #[serde(with = "exact")]
    pub waiting_share: f64,
}

impl EpochRecord {
    /// Seconds of training and validation together.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.seconds + self.validation.as_ref().map_or(0.0, |validation| validation.seconds)
    }

    /// What `best` is decided by: [`Validation::deciding_loss`], or training loss without a
    /// validation set; with a lesion head, of prompts and head together, so that one file serves
    /// both.
    #[must_use]
    pub fn deciding_loss(&self) -> f64 {
        let train = || self.train.total() + self.train_head.map_or(0.0, |head| head.total());
        self.validation.as_ref().map_or_else(train, Validation::deciding_loss)
    }
}

/// Writes `history.csv`: one row per epoch, one Dice column per class of `table`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_history(path: &Path, epochs: &[EpochRecord], table: &LabelTable) -> Result<()> {
    let mut text = String::from(
        "epoch,step,lr,train_loss,train_dice_loss,train_bce,valid_loss,valid_dice_loss,valid_bce,valid_dice",
    );
    for id in table.classes.keys() {
        let _ = write!(text, ",valid_dice_{}", table.name(*id).replace([',', '"'], " "));
    }
    let with_head = epochs.iter().any(|epoch| epoch.train_head.is_some());
    if with_head {
        text.push_str(",train_head_loss,valid_head_loss,valid_auto_dice,valid_auto_dice_any");
    }
    text.push_str(",best,seconds,items_per_second,waiting_share\n");
    for e in epochs {
        let _ = write!(
            text,
            "{},{},{},{},{},{}",
            e.epoch,
            e.step,
            e.lr,
            e.train.total(),
            e.train.dice(),
            e.train.bce()
        );
        match &e.validation {
            None => text.push_str(",,,,"),
            Some(v) => {
                let mean = v.mean_dice().map_or(String::new(), |dice| dice.to_string());
                let _ =
                    write!(text, ",{},{},{},{mean}", v.loss.total(), v.loss.dice(), v.loss.bce());
            }
        }
        for id in table.classes.keys() {
            let dice = e.validation.as_ref().and_then(|v| v.dice_of_class.get(id));
            let _ = write!(text, ",{}", dice.map_or(String::new(), |dice| dice.mean().to_string()));
        }
        if with_head {
            text.push_str(&head_cells(e));
        }
        let _ = writeln!(
            text,
            ",{},{:.3},{:.3},{:.4}",
            u8::from(e.is_best),
            e.total_seconds(),
            e.items_per_second,
            e.waiting_share
        );
    }
    Ok(ild_cli::write_bytes_atomic(path, text.as_bytes())?)
}

fn head_cells(epoch: &EpochRecord) -> String {
    let head = epoch.validation.as_ref().and_then(|validation| validation.head.as_ref());
    [
        epoch.train_head.map(|head| head.total()),
        head.map(|head| head.loss.total()),
        head.and_then(HeadScore::mean_dice),
        head.and_then(|head| head.any.dice()),
    ]
    .map(|value| value.map_or(",".to_owned(), |value| format!(",{value}")))
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimiser::dense_loss::DenseLoss;

    #[test]
    fn the_mean_is_over_items_not_batches() {
        let mut mean = MeanLoss::default();
        mean.add(&[1.0, 1.0, 1.0], &[0.5, 0.5, 0.5]);
        mean.add(&[5.0], &[0.5]);
        assert_eq!((mean.dice(), mean.bce(), mean.total(), mean.items), (2.0, 0.5, 2.5, 4));
    }

    /// Sure mistakes cost much cross-entropy; the better segmentation is still the better one.
    #[test]
    fn the_better_segmentation_is_best_though_its_loss_is_larger() {
        let of = |head_loss: f32, both: u64| {
            let t = |x: f32| candle_core::Tensor::new(x, &candle_core::Device::Cpu).unwrap();
            let parts = DenseLoss {
                total: t(head_loss),
                lesion: t(head_loss),
                class: t(0.0),
                present: t(0.0),
            };
            let mut head = HeadScore::default();
            head.loss.add(&parts, 1).unwrap();
            head.of_class = [(1, Overlap { both, predicted: 100, truth: 100 })].into();
            Validation { head: Some(head), ..Validation::default() }
        };
        let (early, late) = (of(0.32, 50), of(0.42, 80));
        assert!(late.total_loss() > early.total_loss());
        assert!((early.deciding_loss() - 0.532).abs() < 1e-6);
        assert!((late.deciding_loss() - 0.242).abs() < 1e-6);
    }

    #[test]
    fn a_class_without_a_slice_leaves_its_cell_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut train = MeanLoss::default();
        train.add(&[0.5], &[0.25]);
        let dice = |values: &[f64]| {
            let mut dice = ClassDice::default();
            values.iter().for_each(|&v| dice.add(v));
            dice
        };
        let validation = Validation {
            loss: train,
            dice_of_class: [(2, dice(&[1.0, 0.8])), (5, dice(&[0.7]))].into(),
            head: None,
            seconds: 0.5,
        };
        assert!((validation.mean_dice().unwrap() - 0.8).abs() < 1e-12);
        let epoch = EpochRecord {
            epoch: 1,
            step: 10,
            lr: 1e-3,
            train,
            train_head: None,
            validation: Some(validation),
            is_best: true,
            drawn: BTreeMap::new(),
            seconds: 1.0,
            items_per_second: 2.0,
            waiting_share: 0.25,
        };
        write_history(&path, &[epoch], &LabelTable::default()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, row) = text.trim_end().split_once('\n').unwrap();
        let cell = |name: &str| {
            row.split(',').nth(head.split(',').position(|h| h == name).unwrap()).unwrap()
        };
        assert_eq!(head.split(',').count(), row.split(',').count());
        assert_eq!(
            (
                cell("valid_dice_Reticulation"),
                cell("valid_dice_Honeycombing"),
                cell("valid_dice_ILD1")
            ),
            ("0.9", "0.7", "")
        );
        assert_eq!((cell("train_loss"), cell("best")), ("0.75", "1"));
    }
}
