//! The training loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Var};
use ild_io::LabelTable;
use ild_model::{Aside, Parameters, Sam2, Sam2Config, Weights, lesion_head};

use crate::data::batch::Batch;
use crate::data::dataset::{Sample, SliceDataset};
use crate::data::dense::DenseTarget;
use crate::data::items::ItemSettings;
use crate::data::sampler::slices_of_class;
use crate::error::{Error, Result};
use crate::optimiser::adamw::AdamW;
use crate::optimiser::ema::Ema;
use crate::optimiser::gradients::Gradients;
use crate::optimiser::schedule::Schedule;
use crate::peers::{Alone, Peers, own_items, own_items_of_step};
use crate::random::Purpose;
use crate::run::head::provide_head;
use crate::run::objective::{Losses, Objective};
use crate::run::progress::Progress;
use crate::run::recipe::Recipe;
use crate::run::run_folder::RunFolder;
use crate::run::validate::validate;
use crate::watch::callback::{Callback, Position, RunInfo};
use crate::watch::history::{EpochRecord, StepRecord, Validation};

/// Stack of the thread that trains: Candle's `backward` calls itself once per tensor of the graph.
const STACK_BYTES: usize = 64 << 20;

/// What a run consists of.
pub struct Setup {
    /// Name of the model, as given to `--model`.
    pub model: String,
    /// Its description.
    pub config: Sam2Config,
    /// Weights to start from, with everything else the checkpoint held.
    pub weights: Weights,
    /// Where the tensors live.
    pub device: Device,
    /// Slices to learn from.
    pub train: Arc<SliceDataset>,
    /// Slices to choose the best epoch by.
    pub valid: Option<Arc<SliceDataset>>,
    /// How to train.
    pub recipe: Recipe,
    /// Seed of every draw.
    pub seed: u64,
    /// Threads that prepare items.
    pub loader_threads: usize,
    /// Save the state every so many steps besides the end of each epoch; 0 is never.
    pub save_every_steps: u64,
    /// Names of the labels, for the saved weights.
    pub label_table: LabelTable,
    /// Further entries for the metadata of the saved weights.
    pub metadata: BTreeMap<String, String>,
    /// The processes that train together; the recipe's batch size is that of one of them.
    pub peers: Arc<dyn Peers>,
}

impl Setup {
    /// Random weights, no validation slices, on the CPU; every field can be changed afterwards.
    ///
    /// # Errors
    /// When `model` is neither a known size nor a file that describes one.
    pub fn new(model: &str, train: SliceDataset, recipe: Recipe) -> Result<Self> {
        const SEED: u64 = 2024;
        let config = Sam2Config::from_name_or_file(model)?;
        Ok(Self {
            model: model.to_owned(),
            weights: Weights::random(&config, SEED)?,
            config,
            device: Device::Cpu,
            train: Arc::new(train),
            valid: None,
            recipe,
            seed: SEED,
            loader_threads: 2,
            save_every_steps: 0,
            label_table: LabelTable::default(),
            metadata: BTreeMap::new(),
            peers: Arc::new(Alone),
        })
    }
}

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
    /// Where gradients of checkpointed blocks are left.
    aside: Option<Aside>,
    pub(crate) parameters: Parameters,
    pub(crate) optimizer: AdamW,
    pub(crate) ema: Option<Ema>,
    schedule: Schedule,
    /// What the lesion head has to answer, where it is trained.
    head: Option<DenseTarget>,
    pub(crate) folder: RunFolder,
    pub(crate) progress: Progress,
    callbacks: Vec<Box<dyn Callback>>,
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
        let (mut model, parameters, _) =
            Sam2::trainable(&setup.config, &setup.weights, &setup.device)?;
        model.set_precision(setup.recipe.precision)?;
        let aside =
            setup.recipe.recompute_activations.then(|| model.image_encoder.trunk.recompute());
        let vars: Vec<Var> = parameters.iter().map(|(_, var)| var.clone()).collect();
        let optimizer = AdamW::new(vars.clone(), setup.recipe.adamw());
        let decay = setup.recipe.ema_decay;
        let ema = if decay > 0.0 { Some(Ema::new(vars.iter(), decay)?) } else { None };
        let items = items_of(&setup).per_epoch(&setup.train);
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
            aside,
            parameters,
            optimizer,
            ema,
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

    /// One optimiser step on `items` items, of which `samples` are this process's own; the
    /// gradients of its batches are averaged.
    pub(crate) fn step(&mut self, samples: &[Sample], items: usize) -> Result<StepRecord> {
        let mut losses = Losses::default();
        let mut sum: Option<Gradients> = None;
        for batch in samples.chunks(self.setup.recipe.batch_size) {
            let share = batch.len() as f64 / items as f64;
            let gradients = self.gradients_of(batch, &mut losses)?.scaled(share)?;
            sum = Some(match sum {
                None => gradients,
                Some(sum) => sum.plus(gradients)?,
            });
        }
        let mut drawn = vec![0.0; 256];
        let asked = samples.iter().flat_map(|sample| &sample.prompts);
        asked.for_each(|prompt| drawn[usize::from(prompt.label)] += 1.0);
        drawn[0] = 0.0; // questions about nothing
        let gradients = self.together(sum, &mut losses, &mut drawn)?;
        let loss = losses.prompts;
        self.require_finite("the training loss", loss.total())?;
        self.require_finite("the lesion head's loss", losses.head.total())?;
        let lr = self.schedule.at(self.progress.steps_done);
        let gradient_norm = self.update(gradients, lr)?;
        self.count(items, &drawn, losses);
        Ok(StepRecord {
            step: self.progress.steps_done,
            epoch: self.progress.epochs_done + 1,
            loss: loss.total(),
            lr,
            gradient_norm,
        })
    }

    /// The sums of this step over all processes.
    fn together(
        &self,
        own: Option<Gradients>,
        losses: &mut Losses,
        drawn: &mut [f64],
    ) -> Result<Gradients> {
        let own = own.unwrap_or_else(|| Gradients::none(self.parameters.len()));
        let peers = &*self.setup.peers;
        if peers.count() == 1 {
            return Ok(own);
        }
        losses.prompts.sum_over(peers);
        losses.head.sum_over(peers);
        peers.sum_f64(drawn);
        Ok(own.sum_over(self.parameters.iter().map(|(_, var)| var), peers)?)
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

    /// Forward and backward pass over one batch; adds its losses to `loss`.
    fn gradients_of(&self, samples: &[Sample], losses: &mut Losses) -> Result<Gradients> {
        let batch = Batch::new(samples, self.head.as_ref(), &self.setup.device)?;
        let mut store = self.objective().backward(&self.model, &batch, losses)?;
        if let Some(aside) = &self.aside {
            store.extend(aside.take())?;
        }
        Ok(Gradients::take(&mut store, self.parameters.iter())?)
    }

    fn objective(&self) -> Objective {
        let recipe = &self.setup.recipe;
        Objective {
            scores: !recipe.parity,
            head_weight: self.head.as_ref().map(|_| recipe.head_weight),
            head_gradient: recipe.head_gradient,
        }
    }

    /// One optimiser step; returns the length of the gradient of SAM 2's own parameters.
    ///
    /// The lesion head, whose parameters come last, has its own learning rate on the same schedule
    /// and its own clipping: it does not touch the other parameters in any way.
    fn update(&mut self, gradients: Gradients, lr: f64) -> Result<f64> {
        let names = self.parameters.iter().map(|(name, _)| name);
        let own = names.take_while(|name| !name.starts_with(lesion_head::PREFIX)).count();
        let (ours, head) = gradients.split(own);
        let norm = ours.norm()?;
        self.require_finite("the gradient", norm)?;
        let head_norm = head.norm()?;
        self.require_finite("the lesion head's gradient", head_norm)?;
        let limit = self.setup.recipe.clip_norm;
        let clip = |gradients: Gradients, norm: f64| {
            if limit > 0.0 { gradients.clipped(norm, limit) } else { Ok(gradients) }
        };
        let gradients = clip(ours, norm)?.followed_by(clip(head, head_norm)?);
        let head_lr = lr / self.setup.recipe.lr * self.setup.recipe.head_lr;
        let rate = |i: usize| if i < own { lr } else { head_lr };
        self.optimizer.step_each(rate, gradients.as_slice())?;
        if let Some(ema) = &mut self.ema {
            ema.update(self.parameters.iter().map(|(_, var)| var))?;
        }
        Ok(norm)
    }

    fn count(&mut self, items: usize, drawn: &[f64], losses: Losses) {
        self.progress.steps_done += 1;
        let running = &mut self.progress.running;
        running.items_done += items;
        running.loss.merge(losses.prompts);
        running.head.merge(losses.head);
        for (label, &times) in (0..=u8::MAX).zip(drawn).filter(|&(_, &times)| times > 0.0) {
            *running.drawn.entry(label).or_default() += times as usize;
        }
    }

    fn validate(&self) -> Result<Option<Validation>> {
        let Some(valid) = &self.setup.valid else { return Ok(None) };
        let (mut model, _) = Sam2::load(&self.setup.config, &self.snapshot()?, &self.setup.device)?;
        model.set_precision(self.setup.recipe.precision)?;
        let validation = validate(
            &model,
            valid,
            &self.items(),
            self.head.as_ref(),
            self.setup.recipe.batch_size,
            &*self.setup.peers,
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
        self.save_epoch()?;
        self.callbacks
            .iter_mut()
            .try_for_each(|callback| callback.finished_epoch(&self.progress.history))
    }

    pub(crate) fn items(&self) -> ItemSettings {
        items_of(&self.setup)
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

fn items_of(setup: &Setup) -> ItemSettings {
    ItemSettings {
        asking: setup.recipe.asking(),
        image_size: setup.config.image_size,
        bbox_shift: setup.recipe.bbox_shift,
        augmentation: setup.recipe.augmentation,
        seed: setup.seed,
        threads: setup.loader_threads,
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
