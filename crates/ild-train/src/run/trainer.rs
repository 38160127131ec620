//! The training loop.

use std::sync::Arc;
use std::time::Instant;

use candle_core::Var;
use ild_model::memory::Memory;
use ild_model::{Aside, Parameters, Sam2, Weights, lesion_head};

use crate::data::dataset::Sample;
use crate::data::dense::DenseTarget;
use crate::data::items::ItemSettings;
use crate::data::sampler::slices_of_class;
use crate::error::{Error, Result};
use crate::optimiser::adamw::AdamW;
use crate::optimiser::ema::Ema;
use crate::optimiser::epoch_mean::EpochMean;
use crate::optimiser::schedule::Schedule;
use crate::peers::{own_items, own_items_of_step};
use crate::random::Purpose;
use crate::run::clips::provide_memory;
use crate::run::head::provide_head;
use crate::run::progress::Progress;
use crate::run::run_folder::RunFolder;
use crate::run::setup::Setup;
use crate::run::validate::validate;
use crate::watch::callback::{Callback, Position, RunInfo};
use crate::watch::history::{EpochRecord, Validation};
use crate::watch::worst::Worst;

/// Stack of the thread that trains: Candle's `backward` calls itself once per tensor of the graph.
const STACK_BYTES: usize = 64 << 20;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// No better epoch for as long as the recipe's patience.
    StoppedEarly,
}

/// A model in training.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::path::Path;
///
/// use ild_model::Weights;
/// use ild_train::{Callback, EpochRecord, Recipe, RunFolder, Setup, SliceDataset, Trainer};
///
/// struct Print;
/// impl Callback for Print {
///     fn finished_epoch(&mut self, history: &[EpochRecord]) -> ild_train::Result<()> {
///         if let Some(epoch) = history.last() {
///             println!("epoch {}: {:.4}", epoch.epoch, epoch.train.total());
///         }
///         Ok(())
///     }
/// }
///
/// let mut setup = Setup::new("t", SliceDataset::open(Path::new("npy/train"))?, Recipe { epochs: 20, ..Recipe::default() })?;
/// setup.weights = Weights::read(Path::new("sam2_hiera_tiny.pt"))?;
/// Trainer::new(setup, RunFolder::open(Path::new("work_dir/mine"))?)?.watched_by(Print).fit()?;
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    pub(crate) setup: Setup,
    pub(crate) model: Sam2,
    /// SAM 2's memory, where it is trained.
    pub(crate) memory: Option<Memory>,
    /// Where gradients of checkpointed blocks are left.
    pub(crate) aside: Option<Aside>,
    pub(crate) parameters: Parameters,
    pub(crate) optimizer: AdamW,
    pub(crate) ema: Option<Ema>,
    /// Sum of the weights of the last epochs, where they are averaged.
    pub(crate) mean: Option<EpochMean>,
    pub(crate) schedule: Schedule,
    /// What the lesion head has to answer, where it is trained.
    pub(crate) head: Option<DenseTarget>,
    pub(crate) folder: RunFolder,
    pub(crate) progress: Progress,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
}

impl Trainer {
    /// A run that has done nothing yet.
    ///
    /// # Errors
    /// When the recipe cannot be meant, there is nothing to train on, or the weights are not those
    /// of the model.
    pub fn new(mut setup: Setup, folder: RunFolder) -> Result<Self> {
        setup.recipe.check()?;
        setup.recipe.check_device(&setup.device)?;
        provide_head(&mut setup)?;
        provide_memory(&mut setup)?;
        let (mut model, mut parameters, _) =
            Sam2::trainable(&setup.config, &setup.weights, &setup.device)?;
        let mut memory = None;
        if setup.recipe.clip_slices > 1 {
            let (made, own) = Memory::trainable(&setup.config, &setup.weights, &setup.device)?;
            parameters = parameters.with_memory(own);
            memory = Some(made);
        }
        model.set_precision(setup.recipe.precision)?;
        let aside =
            setup.recipe.recompute_activations.then(|| model.image_encoder.trunk.recompute());
        let vars: Vec<Var> = parameters.iter().map(|(_, var)| var.clone()).collect();
        let optimizer = AdamW::new(vars.clone(), setup.recipe.adamw());
        let decay = setup.recipe.ema_decay;
        let ema = if decay > 0.0 { Some(Ema::new(vars.iter(), decay)?) } else { None };
        let items = setup.items().per_epoch(&setup.train);
        let steps_per_epoch = setup.recipe.steps_per_epoch(items, setup.peers.count());
        let schedule = setup.recipe.schedule(steps_per_epoch);
        let head = model.lesion_head().filter(|_| setup.recipe.trains_head());
        let head = head.map(|head| {
            let of_class = slices_of_class(&setup.train.labels_present());
            let counts: Vec<usize> =
                head.classes().iter().map(|id| of_class.get(id).map_or(0, Vec::len)).collect();
            let side = lesion_head::map_side(&setup.config);
            DenseTarget::new(head.classes().to_vec(), &counts, side)
        });
        Ok(Self {
            setup,
            head,
            model,
            memory,
            aside,
            parameters,
            optimizer,
            ema,
            mean: None,
            schedule,
            folder,
            progress: Progress::default(),
            callbacks: Vec::new(),
        })
    }

    /// Adds a callback.
    #[must_use]
    pub fn watched_by(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// How far the run is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What is trained.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The optimiser with its moments.
    #[must_use]
    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// Where the run's files are.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Trains until the last epoch, early stopping, or an interruption.
    ///
    /// # Errors
    /// When a file cannot be read or written, a number is not finite, a callback fails, or the
    /// process was asked to stop ([`Error::Interrupted`]; the state is saved first).
    pub fn fit(&mut self) -> Result<Outcome> {
        on_large_stack(|| self.run())?
    }

    fn run(&mut self) -> Result<Outcome> {
        self.announce()?;
        while !self.progress.is_over(self.setup.recipe.epochs) {
            self.train_epoch()?;
            let validation = self.validate()?;
            self.close_epoch(validation)?;
        }
        self.average()?;
        self.callbacks.iter_mut().try_for_each(|callback| callback.ended())?;
        Ok(if self.progress.stopped_early { Outcome::StoppedEarly } else { Outcome::Finished })
    }

    fn announce(&mut self) -> Result<()> {
        if self.progress.steps_done == 0 && self.writes() {
            self.write_weights(&self.folder.initial())?;
        }
        let run = RunInfo {
            folder: self.folder.path(),
            epochs_done: self.progress.epochs_done,
            epochs: self.setup.recipe.epochs,
            steps_done: self.progress.steps_done,
            items_per_epoch: self.items().per_epoch(&self.setup.train),
            history: &self.progress.history,
        };
        self.callbacks.iter_mut().try_for_each(|callback| callback.started(&run))
    }

    /// The rest of the running epoch.
    fn train_epoch(&mut self) -> Result<()> {
        let recipe = &self.setup.recipe;
        let (epoch, per_process) = (self.progress.epochs_done, recipe.items_per_step());
        let peers = Arc::clone(&self.setup.peers);
        let (rank, count) = (peers.rank(), peers.count());
        let draws = self.items().draws(&self.setup.train, recipe.draw, epoch);
        let items = draws.len();
        let own = own_items(self.progress.running.items_done..items, per_process, rank, count);
        let mut loader = self.items().load(&self.setup.train, draws, own, Purpose::Item, epoch);
        while self.progress.running.items_done < items {
            let (started, waited_before) = (Instant::now(), loader.waited());
            let done = self.progress.running.items_done;
            let own = own_items_of_step(done, items, per_process, rank).len();
            let samples: Vec<Sample> = loader.by_ref().take(own).collect::<Result<_>>()?;
            let record = self.step(&samples, (per_process * count).min(items - done))?;
            let running = &mut self.progress.running;
            running.seconds += started.elapsed().as_secs_f64();
            running.waited += (loader.waited() - waited_before).as_secs_f64();
            let position =
                Position { items_done: running.items_done, items, mean_loss: running.loss.total() };
            self.callbacks
                .iter_mut()
                .try_for_each(|callback| callback.stepped(&record, position))?;
            self.save_if_due()?;
        }
        Ok(())
    }

    /// Whether one of the processes was asked to stop: all of them stop after the same step.
    pub(crate) fn asked_to_stop(&self) -> bool {
        let mut asked = [f64::from(u8::from(ild_cli::interrupted()))];
        self.setup.peers.sum_f64(&mut asked);
        asked[0] > 0.0
    }

    /// Whether this process is the one that writes the files.
    pub(crate) fn writes(&self) -> bool {
        self.setup.peers.rank() == 0
    }

    fn validate(&mut self) -> Result<Option<Validation>> {
        let mut worst = Worst::default();
        let validation = self.validate_weights(&self.snapshot()?, &mut worst)?;
        if validation.is_some() {
            self.callbacks.iter_mut().try_for_each(|callback| callback.validated(&worst))?;
        }
        Ok(validation)
    }

    /// How `weights` do on the validation slices, where there are any.
    pub(crate) fn validate_weights(
        &self,
        weights: &Weights,
        worst: &mut Worst,
    ) -> Result<Option<Validation>> {
        let Some(valid) = &self.setup.valid else { return Ok(None) };
        let (mut model, _) = Sam2::load(&self.setup.config, weights, &self.setup.device)?;
        model.set_precision(self.setup.recipe.precision)?;
        let validation = validate(
            &model,
            valid,
            &self.items(),
            self.head.as_ref(),
            self.setup.recipe.batch_size,
            &*self.setup.peers,
            worst,
        )?;
        if self.asked_to_stop() {
            return Err(self.interrupted()?);
        }
        self.require_finite("the validation loss", validation.total_loss())?;
        Ok(Some(validation))
    }

    fn close_epoch(&mut self, validation: Option<Validation>) -> Result<()> {
        let running = std::mem::take(&mut self.progress.running);
        let record = EpochRecord {
            epoch: self.progress.epochs_done + 1,
            step: self.progress.steps_done,
            lr: self.schedule.at(self.progress.steps_done.saturating_sub(1)),
            train: running.loss,
            train_head: self.head.as_ref().map(|_| running.head),
            validation,
            is_best: false,
            drawn: running.drawn,
            seconds: running.seconds,
            items_per_second: running.items_done as f64 / running.seconds,
            waiting_share: running.waited / running.seconds,
        };
        self.progress.close_epoch(record);
        let patience = self.setup.recipe.patience;
        self.progress.stopped_early =
            patience > 0 && self.progress.epochs_without_better() >= patience;
        self.sum_up_epoch()?;
        self.save_epoch()?;
        self.callbacks
            .iter_mut()
            .try_for_each(|callback| callback.finished_epoch(&self.progress.history))
    }

    pub(crate) fn items(&self) -> ItemSettings {
        self.setup.items()
    }

    pub(crate) fn require_finite(&self, what: &str, value: f64) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        let saved = match self.progress.epochs_done {
            0 => "no epoch was finished".to_owned(),
            n => format!("the weights of epoch {n} are in {}", self.folder.latest().display()),
        };
        let (step, epoch) = (self.progress.steps_done + 1, self.progress.epochs_done + 1);
        Err(Error::NotFinite { what: what.to_owned(), value, step, epoch, saved })
    }
}

/// Runs `work` on a thread whose stack is large enough for `backward`, and returns what it
/// returned.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("train".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        let thread = thread.map_err(|error| {
            Error::Settings(format!("no thread for training could be started: {error}"))
        })?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
