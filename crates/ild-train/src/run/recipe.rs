//! The settings that decide which numbers a training run produces. Schedule, augmentation and the
//! like are off by default; questions and lesion head are ours unless `--parity` asks for the
//! reference's.

use candle_core::{DType, Device};
use clap::Args;
use ild_model::Precision;
use serde::{Deserialize, Serialize};

use crate::data::augment::Augmentation;
use crate::data::items::Asking;
use crate::data::sampler::DrawOrder;
use crate::error::{Error, Result};
use crate::optimiser::adamw::AdamWConfig;
use crate::optimiser::schedule::{Decay, Schedule};

/// How to train; each field is a flag and a key of the `[train]` table.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recipe {
    /// Passes over the training slices.
    #[arg(
        long,
        alias = "num-epochs",
        default_value_t = 500,
        value_name = "N",
        help_heading = "Recipe"
    )]
    pub epochs: usize,
    /// Slices per step (of each process, when several train together).
    #[arg(long, default_value_t = 16, value_name = "N", help_heading = "Recipe")]
    pub batch_size: usize,
    /// Learning rate (of the peak, if there is a warm-up).
    #[arg(long, default_value_t = 1e-5, value_name = "RATE", help_heading = "Recipe")]
    pub lr: f64,
    /// Decoupled weight decay, per step and unit of learning rate.
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", help_heading = "Recipe")]
    pub weight_decay: f64,
    /// Each side of the box moves outward by 0 to this many pixels of the 256² label, at random.
    #[arg(long, default_value_t = 5, value_name = "PX", help_heading = "Recipe")]
    pub bbox_shift: usize,
    /// The reference's items and nothing else: one box around everything of one label, no lesion
    /// head, no slices without disease.
    #[arg(long, help_heading = "Recipe")]
    #[serde(default = "yes")]
    pub parity: bool,
    /// Questions about each slice: boxes of single lesions, of a whole class, clicks, and boxes
    /// that hold nothing.
    #[arg(long, default_value_t = 4, value_name = "N", help_heading = "Recipe")]
    #[serde(default)]
    pub prompts_per_slice: usize,
    /// Weight of the lesion head's loss beside that of the prompts; 0 trains no head, and the model
    /// then segments only what it is prompted for.
    #[arg(long, default_value_t = 1.0, value_name = "WEIGHT", help_heading = "Lesion head")]
    #[serde(default)]
    pub head_weight: f64,
    /// Learning rate of the lesion head, on the same schedule as --lr.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", help_heading = "Lesion head")]
    #[serde(default)]
    pub head_lr: f64,
    /// Share of the head's gradient that teaches the image encoder; 0 leaves the encoder to the
    /// prompts, bit for bit as without a head.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", help_heading = "Lesion head")]
    #[serde(default)]
    pub head_gradient: f64,
    /// Train SAM 2's memory, too, on clips of so many neighbouring slices: a lesion is pointed out
    /// on the first and carried through the others. 1 is off.
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Recipe")]
    #[serde(default = "alone")]
    pub clip_slices: usize,
    /// How the slices of an epoch are chosen.
    #[arg(long, value_enum, default_value_t, help_heading = "Recipe")]
    pub draw: DrawOrder,
    /// How the learning rate falls after the warm-up.
    #[arg(long, value_enum, default_value_t, help_heading = "Schedule")]
    pub decay: Decay,
    /// Length of the linear warm-up, epochs (a fraction is fine).
    #[arg(long, default_value_t = 0.0, value_name = "EPOCHS", help_heading = "Schedule")]
    pub warmup_epochs: f64,
    /// Learning rate at the end of a cosine or poly decay, as a share of --lr.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", help_heading = "Schedule")]
    pub final_lr_share: f64,
    /// Exponent of the poly decay.
    #[arg(long, default_value_t = 0.9, value_name = "POWER", help_heading = "Schedule")]
    pub poly_power: f64,
    /// Batches whose gradients are averaged into one step: the memory of one batch, the step of
    /// several.
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Memory and stability")]
    pub accumulate: usize,
    /// Keep only the input of each encoder block and compute the rest again in the backward pass:
    /// less memory, more time.
    #[arg(long, help_heading = "Memory and stability")]
    pub recompute_activations: bool,
    /// What the image encoder computes in; weights, moments and sums are f32 in any case.
    #[arg(long, value_enum, default_value_t, help_heading = "Memory and stability")]
    #[serde(default)]
    pub precision: Precision,
    /// Shorten the gradient to this length if it is longer; 0 is off.
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "LENGTH",
        help_heading = "Memory and stability"
    )]
    pub clip_norm: f64,
    /// Validate and save a moving average of the weights with this decay (0.999 is usual); 0 is
    /// off.
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "SHARE",
        help_heading = "Memory and stability"
    )]
    pub ema_decay: f64,
    /// Also make the mean of the weights of the last N epochs, averaged.safetensors; where it
    /// validates better than every epoch it is the run's best too. 0 is off.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Memory and stability")]
    #[serde(default)]
    pub average_last: usize,
    /// Stop after this many epochs without a better validation loss; 0 is off.
    #[arg(long, default_value_t = 0, value_name = "EPOCHS", help_heading = "Memory and stability")]
    pub patience: usize,
    /// Image augmentation.
    #[command(flatten)]
    #[serde(flatten)]
    pub augmentation: Augmentation,
}

impl Default for Recipe {
    /// The defaults of the flags.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            recipe: Recipe,
        }
        <Flags as clap::Parser>::parse_from(["recipe"]).recipe
    }
}

/// States written before there were clips are of slices alone.
fn alone() -> usize {
    1
}

/// States written before there was a choice are of the reference's recipe.
fn yes() -> bool {
    true
}

impl Recipe {
    /// The reference's recipe with the defaults of all other flags.
    #[must_use]
    pub fn reference() -> Self {
        Self { parity: true, ..Self::default() }
    }

    /// What is asked about each slice.
    #[must_use]
    pub fn asking(&self) -> Asking {
        if self.parity { Asking::OneLabel } else { Asking::Mixed(self.prompts_per_slice) }
    }

    /// Whether the lesion head learns.
    #[must_use]
    pub fn trains_head(&self) -> bool {
        !self.parity && self.head_weight > 0.0
    }

    /// Refuses settings that cannot be meant.
    ///
    /// # Errors
    /// Names the setting, the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let share = 0.0..1.0;
        let rules: [(&str, f64, bool, &str); 15] = [
            ("batch-size", self.batch_size as f64, self.batch_size > 0, "at least 1"),
            ("accumulate", self.accumulate as f64, self.accumulate > 0, "at least 1"),
            ("lr", self.lr, self.lr > 0.0 && self.lr.is_finite(), "above 0"),
            (
                "weight-decay",
                self.weight_decay,
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "0 or more",
            ),
            ("bbox-shift", self.bbox_shift as f64, self.bbox_shift < 256, "0 to 255"),
            (
                "prompts-per-slice",
                self.prompts_per_slice as f64,
                self.parity || (1..=64).contains(&self.prompts_per_slice),
                "1 to 64",
            ),
            (
                "clip-slices",
                self.clip_slices as f64,
                self.clip_slices == 1 || (!self.parity && (2..=16).contains(&self.clip_slices)),
                "1 (off), or 2 to 16 without --parity",
            ),
            (
                "head-weight",
                self.head_weight,
                self.head_weight >= 0.0 && self.head_weight.is_finite(),
                "0 (no head) or more",
            ),
            (
                "head-lr",
                self.head_lr,
                !self.trains_head() || (self.head_lr > 0.0 && self.head_lr.is_finite()),
                "above 0",
            ),
            (
                "head-gradient",
                self.head_gradient,
                (0.0..=1.0).contains(&self.head_gradient),
                "0 to 1",
            ),
            (
                "warmup-epochs",
                self.warmup_epochs,
                self.warmup_epochs >= 0.0 && self.warmup_epochs.is_finite(),
                "0 or more",
            ),
            (
                "final-lr-share",
                self.final_lr_share,
                (0.0..=1.0).contains(&self.final_lr_share),
                "0 to 1",
            ),
            (
                "clip-norm",
                self.clip_norm,
                self.clip_norm >= 0.0 && self.clip_norm.is_finite(),
                "0 (off) or more",
            ),
            ("ema-decay", self.ema_decay, share.contains(&self.ema_decay), "0 (off) to below 1"),
            (
                "augment-scale",
                self.augmentation.scale,
                (0.0..0.9).contains(&self.augmentation.scale),
                "0 (off) to below 0.9",
            ),
        ];
        match rules.iter().find(|(_, _, fine, _)| !fine) {
            Some((name, value, _, allowed)) => {
                Err(Error::Settings(format!("--{name}: expected {allowed}, found {value}")))
            }
            None => self.check_average(),
        }
    }

    /// The last epochs have to be several, and known beforehand.
    fn check_average(&self) -> Result<()> {
        let wanted = self.average_last;
        if wanted == 0 {
            return Ok(());
        }
        let refuse = |words: String| Err(Error::Settings(format!("--average-last: {words}")));
        if !(2..=self.epochs).contains(&wanted) {
            return refuse(format!(
                "expected 0 (off), or 2 to --epochs {}, found {wanted}",
                self.epochs
            ));
        }
        if self.patience > 0 {
            return refuse(format!(
                "expected a run whose last epoch is known, found --patience {}; leave one of the two out",
                self.patience
            ));
        }
        Ok(())
    }

    /// The first epoch, from 1, of those whose weights are averaged.
    #[must_use]
    pub fn first_averaged(&self) -> Option<usize> {
        (self.average_last > 0).then(|| (self.epochs + 1).saturating_sub(self.average_last))
    }

    /// Refuses a precision that has no gradients, and bf16 where no kernel computes in it.
    ///
    /// # Errors
    /// Says which flag to change.
    pub(crate) fn check_device(&self, device: &Device) -> Result<()> {
        let message = match self.precision {
            Precision::F16 => "--precision f16: expected f32 or bf16, f16 is for inference only",
            Precision::Bf16 if Precision::Bf16.dtype_on(device) != DType::BF16 => {
                "--precision bf16: expected a GPU, found the CPU; use --precision f32, or --device cuda (docs/cuda.md)"
            }
            _ => return Ok(()),
        };
        Err(Error::Settings(message.to_owned()))
    }

    /// Items of one process per optimiser step.
    #[must_use]
    pub fn items_per_step(&self) -> usize {
        self.batch_size * self.accumulate
    }

    /// Optimiser steps of one epoch over `items` items on this many processes; the last may be
    /// smaller.
    #[must_use]
    pub fn steps_per_epoch(&self, items: usize, processes: usize) -> u64 {
        items.div_ceil(self.items_per_step() * processes) as u64
    }

    /// The learning-rate schedule of a run with this many steps per epoch.
    #[must_use]
    pub fn schedule(&self, steps_per_epoch: u64) -> Schedule {
        Schedule {
            peak: self.lr,
            final_share: self.final_lr_share,
            warmup_steps: (self.warmup_epochs * steps_per_epoch as f64).round() as u64,
            total_steps: steps_per_epoch * self.epochs as u64,
            decay: self.decay,
            poly_power: self.poly_power,
        }
    }

    /// Constants of the optimiser; moments decay as in PyTorch's defaults.
    #[must_use]
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig { weight_decay: self.weight_decay, ..AdamWConfig::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_references_recipe() {
        let recipe = Recipe::reference();
        assert_eq!(
            (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay, recipe.bbox_shift),
            (500, 16, 1e-5, 0.01, 5)
        );
        assert_eq!(
            (recipe.accumulate, recipe.clip_norm, recipe.ema_decay, recipe.patience),
            (1, 0.0, 0.0, 0)
        );
        assert_eq!((recipe.decay, recipe.warmup_epochs), (Decay::Constant, 0.0));
        assert_eq!(recipe.augmentation, Augmentation::default());
        assert_eq!(recipe.precision, Precision::F32);
        recipe.check().unwrap();
    }

    #[test]
    fn a_setting_that_cannot_be_meant_is_named() {
        let message =
            Recipe { batch_size: 0, ..Recipe::default() }.check().unwrap_err().to_string();
        assert_eq!(message, "--batch-size: expected at least 1, found 0");
        assert!(Recipe { lr: f64::NAN, ..Recipe::default() }.check().is_err());
    }

    #[test]
    fn an_average_needs_several_epochs_that_are_known_beforehand() {
        let recipe = |average_last, patience| Recipe {
            epochs: 10,
            average_last,
            patience,
            ..Recipe::default()
        };
        recipe(3, 0).check().unwrap();
        assert_eq!([0, 3, 10].map(|n| recipe(n, 0).first_averaged()), [None, Some(8), Some(1)]);
        for (n, patience, words) in
            [(1, 0, "2 to --epochs 10"), (11, 0, "found 11"), (3, 5, "--patience 5")]
        {
            let message = recipe(n, patience).check().unwrap_err().to_string();
            assert!(
                message.starts_with("--average-last: ") && message.contains(words),
                "{message}"
            );
        }
    }

    #[test]
    fn the_last_step_of_an_epoch_may_be_smaller() {
        let recipe = Recipe { batch_size: 4, accumulate: 2, ..Recipe::default() };
        assert_eq!([0, 1, 8, 9].map(|items| recipe.steps_per_epoch(items, 1)), [0, 1, 1, 2]);
        assert_eq!(recipe.steps_per_epoch(17, 2), 2);
    }
}
