//! What a [`Trainer`] writes and reads: weights for use, state for resuming.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use ild_model::{FITTED, Weights};

use crate::error::{Error, Result};
use crate::run::finished;
use crate::run::state::{Header, State};
use crate::run::trained_on::{CASES, LABEL_TABLE};
use crate::run::trainer::Trainer;

/// What training makes untrue: rules fitted to the weights before, whose slices they knew, what they
/// were the mean of.
const OF_OTHER_WEIGHTS: [&str; 3] = [FITTED, CASES, AVERAGED];
/// The entry of the metadata that says of which epochs the weights are the mean.
pub(crate) const AVERAGED: &str = "averaged_epochs";

impl Trainer {
    /// The weights as they would be saved now: the moving average if there is one, else the
    /// parameters; with all that the checkpoint carried.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn snapshot(&self) -> Result<Weights> {
        Ok(self.with_values(self.values()))
    }

    /// What is saved of each parameter now.
    pub(crate) fn values(&self) -> Vec<Tensor> {
        match &self.ema {
            Some(ema) => ema.shadows.clone(),
            None => self.parameters.iter().map(|(_, var)| var.as_detached_tensor()).collect(),
        }
    }

    /// The checkpoint with these values of its parameters.
    pub(crate) fn with_values(&self, values: Vec<Tensor>) -> Weights {
        let mut weights = self.setup.weights.clone();
        for ((name, _), value) in self.parameters.iter().zip(values) {
            weights.insert(name, value);
        }
        weights
    }

    /// Writes the weights as they are with what inference needs to know about them.
    pub(crate) fn write_weights(&self, path: &Path) -> Result<()> {
        Ok(self.snapshot()?.write_safetensors(path, &self.metadata(path)?)?)
    }

    /// What the saved weights say of themselves.
    pub(crate) fn metadata(&self, path: &Path) -> Result<BTreeMap<String, String>> {
        let mut metadata = self.setup.weights.metadata.clone();
        // True of the weights the run began with.
        OF_OTHER_WEIGHTS.iter().for_each(|key| drop(metadata.remove(*key)));
        metadata.extend(self.setup.metadata.clone());
        let labels = serde_json::to_string(&self.setup.label_table)
            .map_err(ild_cli::FileError::at(path, "written"))?;
        metadata.insert("model".to_owned(), self.setup.model.clone());
        metadata.insert(LABEL_TABLE.to_owned(), labels);
        metadata.insert("epoch".to_owned(), self.progress.epochs_done.to_string());
        metadata.insert("step".to_owned(), self.progress.steps_done.to_string());
        Ok(metadata)
    }

    /// Latest and, where it is, best weights, and the state.
    pub(crate) fn save_epoch(&self) -> Result<()> {
        self.require_finite_parameters()?;
        // Otherwise nobody could say what these weights have learned.
        for slices in [Some(&self.setup.train), self.setup.valid.as_ref()].into_iter().flatten() {
            slices.require_unchanged()?;
        }
        if !self.writes() {
            return Ok(());
        }
        self.write_weights(&self.folder.latest())?;
        if self.progress.history.last().is_some_and(|epoch| epoch.is_best) {
            self.write_weights(&self.folder.best())?;
        }
        self.save_state()
    }

    /// Saves the state when it is time to, and stops when asked to.
    pub(crate) fn save_if_due(&self) -> Result<()> {
        if self.asked_to_stop() {
            return Err(self.interrupted()?);
        }
        let every = self.setup.save_every_steps;
        if every > 0 && self.progress.steps_done.is_multiple_of(every) {
            self.save_state()?;
        }
        Ok(())
    }

    /// Saves the state and gives the error that ends an interrupted run.
    pub(crate) fn interrupted(&self) -> Result<Error> {
        self.save_state()?;
        let (epoch, step) = (self.progress.epochs_done + 1, self.progress.steps_done);
        Ok(Error::Interrupted {
            epoch,
            step,
            folder: self.folder.path().to_owned(),
            source: ild_cli::Interrupted,
        })
    }

    /// Marks the run as finished, once its last epoch is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn finish(&self) -> Result<()> {
        if !self.folder.latest().is_file() {
            self.write_weights(&self.folder.latest())?;
        }
        finished::mark(self.folder.path(), &self.header())
    }

    fn header(&self) -> Header {
        let setup = &self.setup;
        let mut header = Header::new(
            setup.model.clone(),
            setup.seed,
            setup.recipe.clone(),
            setup.train.fingerprint(),
            self.progress.clone(),
        );
        header.made_from.clone_from(&setup.made_from);
        header.origin.clone_from(&setup.weights.metadata);
        header.processes = setup.peers.count();
        header
    }

    pub(crate) fn save_state(&self) -> Result<()> {
        if !self.writes() {
            return Ok(());
        }
        // Written to go on from: read at the start, it is no input.
        ild_cli::inputs::forget(&self.folder.state());
        let names: Vec<String> = self.parameters.iter().map(|(name, _)| name.to_owned()).collect();
        let frozen = self.setup.weights.iter();
        let frozen = frozen.filter(|(name, _)| self.parameters.get(name).is_none());
        let state = State {
            header: self.header(),
            frozen: frozen.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect(),
            parameters: self.parameters.iter().map(|(_, var)| var.as_detached_tensor()).collect(),
            moments: self.optimizer.moments().map(Option::<&_>::cloned).collect(),
            ema: self.ema.as_ref().map(|ema| (ema.updates, ema.shadows.clone())),
            mean: self.mean.clone(),
        };
        state.write(&self.folder.state(), &names)
    }

    /// Goes on from a state file: parameters, moments, average, position.
    ///
    /// # Errors
    /// When the state belongs to another model or other training slices, or has no moving average
    /// and the recipe wants one.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        let shapes: Vec<(String, Vec<usize>)> = self
            .parameters
            .iter()
            .map(|(name, var)| (name.to_owned(), var.dims().to_vec()))
            .collect();
        let state = State::read(path, &shapes, &self.setup.device)?;
        self.require_same_run(path, &state.header)?;
        for ((_, var), value) in self.parameters.iter().zip(&state.parameters) {
            var.set(value)?;
        }
        self.optimizer.restore(state.moments)?;
        if let (Some(ema), Some((updates, shadows))) = (&mut self.ema, state.ema) {
            (ema.updates, ema.shadows) = (updates, shadows);
        }
        self.progress = state.header.progress;
        self.mean = state.mean;
        Ok(())
    }

    fn require_same_run(&self, path: &Path, header: &Header) -> Result<()> {
        let refuse = |expected: &str, found: String, next| {
            Err(Error::WrongState {
                path: path.to_owned(),
                expected: expected.to_owned(),
                found,
                next,
            })
        };
        let start_again = "start a new run from its weights: --pretrained latest.safetensors";
        if header.data != self.setup.train.fingerprint() {
            return refuse(
                "of a run on these slices",
                "one on other slices or labels".to_owned(),
                start_again,
            );
        }
        if self.setup.recipe.ema_decay > 0.0 && header.recipe.ema_decay == 0.0 {
            return refuse(
                "with a moving average",
                "one without".to_owned(),
                "leave --ema-decay away",
            );
        }
        let (before, now) = (&header.recipe, &self.setup.recipe);
        if (before.batch_size, before.accumulate, before.draw)
            != (now.batch_size, now.accumulate, now.draw)
            || (header.seed, header.processes) != (self.setup.seed, self.setup.peers.count())
        {
            let found = format!(
                "batch-size {}, accumulate {}, draw {:?}, seed {}, {} processes",
                before.batch_size, before.accumulate, before.draw, header.seed, header.processes
            );
            return refuse("with the same batches", found, start_again);
        }
        if before != now || header.made_from != self.setup.made_from {
            tracing::warn!(
                "settings, data or weights differ from those the run was started with: its numbers will not be those of one uninterrupted run"
            );
        }
        Ok(())
    }

    /// A weight can turn NaN in the very step after which no loss is computed any more.
    fn require_finite_parameters(&self) -> Result<()> {
        for (name, var) in self.parameters.iter() {
            let sum = var.as_detached_tensor().sqr()?.sum_all()?.to_scalar::<f32>()?;
            self.require_finite(name, f64::from(sum))?;
        }
        Ok(())
    }
}
