//! `--dry-run`: one real step, and what it says about the whole run.

use std::time::{Duration, Instant};

use crate::data::dataset::Sample;
use crate::error::Result;
use crate::random::Purpose;
use crate::run::trainer::{Trainer, on_large_stack};

/// What one step costs.
#[derive(Clone, Copy, Debug)]
pub struct DryRun {
    /// Loss of the first step.
    pub loss: f64,
    /// Time of a step, with its items made on one's own thread.
    pub step: Duration,
    /// Estimated time of an epoch with its validation.
    pub epoch: Duration,
    /// Memory of the run, bytes, where the system tells: what the step has held at most, and room
    /// for what validation and saving need beside it: two copies of the weights.
    pub peak_memory_bytes: Option<u64>,
}

/// Validation runs on a copy of the weights, made from another: with them, the estimate meets what
/// runs of SAM 2 tiny take at 1024² within 2 % (docs/real-ct.md).
const COPIES: u64 = 2;

impl Trainer {
    /// Does one optimiser step in memory; nothing is written.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn dry_run(&mut self) -> Result<DryRun> {
        on_large_stack(|| self.one_step())?
    }

    fn one_step(&mut self) -> Result<DryRun> {
        let (train, recipe) = (self.setup.train.clone(), self.setup.recipe.clone());
        let draws = self.items().draws(&train, recipe.draw, 0);
        let items = draws.len();
        let first = (0..recipe.items_per_step().min(items)).collect();
        let samples: Vec<Sample> =
            self.items().load(&train, draws, first, Purpose::Item, 0).collect::<Result<_>>()?;
        let started = Instant::now();
        let loss = self.step(&samples, samples.len())?.loss;
        let step = started.elapsed();
        // A forward pass is about a third of a step.
        let valid = self.setup.valid.as_ref();
        let validation = valid.map_or(0, |valid| self.items().validation_draws(valid).len());
        let steps =
            items as f64 / samples.len() as f64 + validation as f64 / (3 * samples.len()) as f64;
        let weights = (self.setup.weights.elements() * size_of::<f32>()) as u64;
        Ok(DryRun {
            loss,
            step,
            epoch: step.mul_f64(steps),
            peak_memory_bytes: ild_cli::peak_memory_bytes().map(|held| held + COPIES * weights),
        })
    }
}
