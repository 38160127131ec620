//! The loop: learning, exact resume, accumulation, stopping.

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use ild_io::LabelTable;
use ild_model::Weights;
use ild_train::{
    Augmentation, Callback, Decay, DrawOrder, EpochRecord, Error, Outcome, Peers, Position, Recipe,
    Result, RunFolder, Setup, SliceDataset, StepRecord, Trainer, read_state_weights,
};
use support::toy;

fn setup(folder: &Path, recipe: Recipe) -> Setup {
    let open = |part: &str| SliceDataset::open(&folder.join("npy").join(part)).unwrap();
    let setup =
        Setup::new(folder.join("mini.toml").to_str().unwrap(), open("train"), recipe).unwrap();
    Setup {
        model: "mini".to_owned(),
        valid: Some(Arc::new(open("valid"))),
        loader_threads: 1,
        metadata: [("window".to_owned(), "{\"level_hu\":-600.0}".to_owned())].into(),
        ..setup
    }
}

fn quick() -> Recipe {
    Recipe { epochs: 3, batch_size: 4, lr: 2e-3, ..Recipe::reference() }
}

/// Everything that could make a resumed run differ.
fn elaborate() -> Recipe {
    let augmentation = Augmentation { flip: true, rotate_deg: 10.0, scale: 0.1, intensity: 0.1 };
    Recipe {
        batch_size: 2,
        accumulate: 2,
        decay: Decay::Cosine,
        warmup_epochs: 0.7,
        clip_norm: 1.0,
        ema_decay: 0.9,
        average_last: 2,
        draw: DrawOrder::ClassBalanced,
        augmentation,
        ..quick()
    }
}

/// Keeps every step, and fails after step `stop_after`.
#[derive(Clone, Default)]
struct Watch {
    steps: Arc<Mutex<Vec<StepRecord>>>,
    epochs: Arc<Mutex<Vec<EpochRecord>>>,
    stop_after: Option<u64>,
}

impl Callback for Watch {
    fn stepped(&mut self, step: &StepRecord, _: Position) -> Result<()> {
        self.steps.lock().unwrap().push(*step);
        match self.stop_after {
            Some(last) if step.step == last => Err(Error::Settings("killed".to_owned())),
            _ => Ok(()),
        }
    }

    fn finished_epoch(&mut self, history: &[EpochRecord]) -> Result<()> {
        self.epochs.lock().unwrap().push(history.last().unwrap().clone());
        Ok(())
    }
}

impl Watch {
    fn losses(&self) -> Vec<(u64, u64, u64)> {
        self.steps
            .lock()
            .unwrap()
            .iter()
            .map(|s| (s.step, s.loss.to_bits(), s.gradient_norm.to_bits()))
            .collect()
    }

    fn valid_losses(&self) -> Vec<u64> {
        self.epochs
            .lock()
            .unwrap()
            .iter()
            .map(|e| e.validation.as_ref().unwrap().loss.total().to_bits())
            .collect()
    }
}

fn train(setup: Setup, folder: &Path, watch: &Watch) -> Result<Outcome> {
    Trainer::new(setup, RunFolder::open(folder).unwrap()).unwrap().watched_by(watch.clone()).fit()
}

#[test]
fn the_loss_falls_and_the_weights_say_what_they_are() {
    let folder = toy();
    let run = folder.path().join("run");
    let watch = Watch::default();
    let outcome =
        train(setup(folder.path(), Recipe { epochs: 8, ..quick() }), &run, &watch).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let epochs = watch.epochs.lock().unwrap().clone();
    assert!(
        epochs[7].train.total() < 0.8 * epochs[0].train.total(),
        "{} → {}",
        epochs[0].train.total(),
        epochs[7].train.total()
    );
    assert_eq!(epochs[0].drawn.values().sum::<usize>(), 10);
    assert_eq!(
        epochs[0].validation.as_ref().unwrap().dice_of_class.keys().copied().collect::<Vec<_>>(),
        [1, 3]
    );

    let (before, best) = (
        Weights::read(&run.join("initial.safetensors")).unwrap(),
        Weights::read(&run.join("best.safetensors")).unwrap(),
    );
    assert_eq!(best.metadata["model"], "mini");
    assert_eq!(best.metadata["window"], "{\"level_hu\":-600.0}");
    assert_eq!(
        serde_json::from_str::<LabelTable>(&best.metadata["label_table"]).unwrap(),
        LabelTable::default()
    );
    let changed = |part: &str| {
        best.iter().any(|(name, tensor)| {
            name.starts_with(part)
                && support::largest_difference(tensor, before.get(name).unwrap()) > 0.0
        })
    };
    assert!(
        changed("image_encoder.")
            && changed("sam_mask_decoder.")
            && !changed("sam_prompt_encoder.")
            && !changed("no_mem_embed")
    );
    assert_eq!(best.names().collect::<Vec<_>>(), before.names().collect::<Vec<_>>());
}

#[test]
fn a_run_killed_at_any_step_goes_on_bit_for_bit() {
    let folder = toy();
    let whole = Watch::default();
    train(setup(folder.path(), elaborate()), &folder.path().join("whole"), &whole).unwrap();
    let last = whole.losses().len() as u64;
    assert_eq!(last, 9); // three epochs of 4 + 4 + 2 items
    for stop in 1..=last {
        let run = folder.path().join(format!("stopped-{stop}"));
        let killed = Watch { stop_after: Some(stop), ..Watch::default() };
        let with_saves = |threads| Setup {
            save_every_steps: 1,
            loader_threads: threads,
            ..setup(folder.path(), elaborate())
        };
        train(with_saves(1), &run, &killed).unwrap_err();
        let resumed = Watch::default();
        let mut trainer = Trainer::new(with_saves(3), RunFolder::open(&run).unwrap())
            .unwrap()
            .watched_by(resumed.clone());
        let state = run.join("state.safetensors");
        if state.exists() {
            trainer.resume(&state).unwrap();
        }
        trainer.fit().unwrap();
        // The state was saved before the step that was interrupted, or after the step before it.
        let done = resumed.steps.lock().unwrap()[0].step - 1;
        assert!(done + 1 == stop || done == stop, "resumed after {done}, killed in {stop}");
        assert_eq!(resumed.losses(), whole.losses()[done as usize..], "stopped in step {stop}");
        assert!(whole.valid_losses().ends_with(&resumed.valid_losses()), "stopped in step {stop}");
        for name in ["latest.safetensors", "best.safetensors", "averaged.safetensors"] {
            assert_eq!(
                bytes(&run.join(name)),
                bytes(&folder.path().join("whole").join(name)),
                "{name}, stopped in step {stop}"
            );
        }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Keeps the weights that each epoch ends with, and fails after the last one.
#[derive(Clone)]
struct KeepWeights {
    run: std::path::PathBuf,
    kept: Arc<Mutex<Vec<Weights>>>,
    fails_after: Option<usize>,
}

impl Callback for KeepWeights {
    fn finished_epoch(&mut self, history: &[EpochRecord]) -> Result<()> {
        self.kept.lock().unwrap().push(Weights::read(&self.run.join("latest.safetensors"))?);
        match self.fails_after {
            Some(epoch) if history.len() == epoch => Err(Error::Settings("killed".to_owned())),
            _ => Ok(()),
        }
    }
}

#[test]
fn the_last_epochs_weights_are_averaged_also_after_a_kill_behind_the_last_epoch() {
    /// Three numbers of f32 added and divided.
    const TOLERANCE: f64 = 1e-6;
    let folder = toy();
    let recipe = Recipe { epochs: 4, average_last: 3, ..quick() };
    let [whole, killed] = ["whole", "killed"].map(|name| folder.path().join(name));
    let run = |run: &Path, fails_after| {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = KeepWeights { run: run.to_owned(), kept: Arc::clone(&kept), fails_after };
        let trainer =
            Trainer::new(setup(folder.path(), recipe.clone()), RunFolder::open(run).unwrap());
        let mut trainer = trainer.unwrap().watched_by(keep);
        let state = run.join("state.safetensors");
        if state.exists() {
            trainer.resume(&state).unwrap();
        }
        let ended = trainer.fit();
        (ended, kept.lock().unwrap().clone(), trainer.progress().clone())
    };
    let (_, kept, progress) = run(&whole, None);
    let averaged = Weights::read(&whole.join("averaged.safetensors")).unwrap();
    assert_eq!(averaged.metadata["averaged_epochs"], "2-4");
    for (name, tensor) in averaged.iter() {
        let sum = kept[2..].iter().fold(kept[1].get(name).unwrap().clone(), |sum, epoch| {
            (sum + epoch.get(name).unwrap()).unwrap()
        });
        let off = support::largest_difference(tensor, &(sum / 3.0).unwrap());
        assert!(off < TOLERANCE, "{name}: {off}");
    }
    let made = progress.averaged.unwrap();
    let loss = made.validation.as_ref().unwrap().deciding_loss();
    let least = progress.history.iter().map(EpochRecord::deciding_loss).fold(f64::MAX, f64::min);
    assert_eq!((made.epochs, made.is_best), ([2, 4], loss < least));
    let best = bytes(&whole.join("best.safetensors"));
    assert_eq!(best == bytes(&whole.join("averaged.safetensors")), made.is_best);

    let (ended, ..) = run(&killed, Some(4));
    assert!(ended.is_err() && !killed.join("averaged.safetensors").exists());
    let (_, kept, _) = run(&killed, None);
    assert!(kept.is_empty(), "no epoch is trained again");
    for name in ["averaged.safetensors", "best.safetensors"] {
        assert_eq!(bytes(&killed.join(name)), bytes(&whole.join(name)), "{name}");
    }
}

#[test]
fn a_state_holds_every_tensor_of_the_model() {
    let folder = toy();
    let run = folder.path().join("run");
    train(setup(folder.path(), Recipe { epochs: 1, ..quick() }), &run, &Watch::default()).unwrap();
    let (state, latest) = (
        read_state_weights(&run.join("state.safetensors")).unwrap(),
        Weights::read(&run.join("latest.safetensors")).unwrap(),
    );
    assert_eq!(state.names().collect::<Vec<_>>(), latest.names().collect::<Vec<_>>());
    assert!(
        state
            .iter()
            .all(|(name, tensor)| support::largest_difference(tensor, latest.get(name).unwrap())
                == 0.0)
    );
}

#[test]
fn two_accumulated_batches_are_one_of_twice_the_size() {
    /// Sums over items in another order.
    const TOLERANCE: f64 = 1e-4;
    let folder = toy();
    let losses = |recipe: Recipe, name: &str| {
        let watch = Watch::default();
        train(setup(folder.path(), recipe), &folder.path().join(name), &watch).unwrap();
        let steps = watch.steps.lock().unwrap().clone();
        steps.iter().map(|step| step.loss).collect::<Vec<_>>()
    };
    let (one, two) =
        (losses(quick(), "one"), losses(Recipe { batch_size: 2, accumulate: 2, ..quick() }, "two"));
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(&two) {
        assert!((one / two - 1.0).abs() < TOLERANCE, "{one} {two}");
    }
}

#[test]
fn recomputed_activations_give_the_same_numbers() {
    /// The contributions to a map that is used twice are added in another order.
    const TOLERANCE: f64 = 1e-6;
    let folder = toy();
    let losses = |recompute_activations: bool| {
        let watch = Watch::default();
        let recipe = Recipe { recompute_activations, ..elaborate() };
        train(
            setup(folder.path(), recipe),
            &folder.path().join(recompute_activations.to_string()),
            &watch,
        )
        .unwrap();
        let steps = watch.steps.lock().unwrap().clone();
        steps.iter().map(|step| step.loss).collect::<Vec<_>>()
    };
    for (kept, recomputed) in losses(false).iter().zip(losses(true)) {
        assert!((kept / recomputed - 1.0).abs() < TOLERANCE, "{kept} {recomputed}");
    }
}

#[test]
fn a_run_that_does_not_get_better_stops_early() {
    let folder = toy();
    let recipe = Recipe { lr: 1e-30, patience: 2, epochs: 10, ..quick() };
    let watch = Watch::default();
    assert_eq!(
        train(setup(folder.path(), recipe), &folder.path().join("run"), &watch).unwrap(),
        Outcome::StoppedEarly
    );
    assert_eq!(watch.epochs.lock().unwrap().len(), 3);
}

#[test]
fn a_diverging_run_stops_and_keeps_the_last_good_weights() {
    let folder = toy();
    let run = folder.path().join("run");
    train(setup(folder.path(), Recipe { epochs: 1, ..quick() }), &run, &Watch::default()).unwrap();
    let good = std::fs::read(run.join("latest.safetensors")).unwrap();
    let mut trainer = Trainer::new(
        setup(folder.path(), Recipe { lr: 1e30, epochs: 4, ..quick() }),
        RunFolder::open(&run).unwrap(),
    )
    .unwrap();
    trainer.resume(&run.join("state.safetensors")).unwrap();
    let message = trainer.fit().unwrap_err().to_string();
    assert!(
        message.contains("the weights of epoch 1 are in") && message.contains("lower --lr"),
        "{message}"
    );
    assert_eq!(std::fs::read(run.join("latest.safetensors")).unwrap(), good);
}

#[test]
fn a_state_of_other_slices_or_another_batch_size_is_refused() {
    let folder = toy();
    let run = folder.path().join("run");
    train(setup(folder.path(), Recipe { epochs: 1, ..quick() }), &run, &Watch::default()).unwrap();
    let refusal = |setup: Setup| {
        let error = Trainer::new(setup, RunFolder::open(&run).unwrap())
            .unwrap()
            .resume(&run.join("state.safetensors"))
            .unwrap_err();
        assert!(error.is_rejection());
        error.to_string()
    };
    let message = refusal(setup(folder.path(), Recipe { batch_size: 3, ..quick() }));
    assert!(message.contains("with the same batches, found batch-size 4"), "{message}");
    support::write_squares(&folder.path().join("npy"), "train", 11);
    assert!(refusal(setup(folder.path(), quick())).contains("other slices or labels"));
}

#[test]
fn loader_threads_do_not_change_the_numbers() {
    let folder = toy();
    let losses = |threads: usize| {
        let watch = Watch::default();
        let setup = Setup {
            loader_threads: threads,
            ..setup(folder.path(), Recipe { epochs: 1, average_last: 0, ..elaborate() })
        };
        train(setup, &folder.path().join(format!("{threads}")), &watch).unwrap();
        watch.losses()
    };
    assert_eq!(losses(1), losses(5));
}

/// Two threads that add up what both have brought.
struct Pair {
    rank: usize,
    meeting: Arc<(std::sync::Barrier, Mutex<Vec<f64>>)>,
}

impl Peers for Pair {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        2
    }

    fn sum_f32(&self, values: &mut [f32]) {
        let mut wide: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        self.sum_f64(&mut wide);
        values.iter_mut().zip(wide).for_each(|(v, sum)| *v = sum as f32);
    }

    fn sum_f64(&self, values: &mut [f64]) {
        let (barrier, table) = &*self.meeting;
        barrier.wait();
        table.lock().unwrap().resize(values.len(), 0.0);
        barrier.wait();
        table.lock().unwrap().iter_mut().zip(&*values).for_each(|(sum, v)| *sum += v);
        barrier.wait();
        values.copy_from_slice(&table.lock().unwrap());
        if barrier.wait().is_leader() {
            table.lock().unwrap().clear();
        }
        barrier.wait();
    }

    fn abort(&self, _: i32) {
        panic!("aborted");
    }
}

#[test]
fn two_processes_with_half_the_batch_learn_what_one_with_the_whole_batch_does() {
    /// Sums of f32 gradients in another order, after a few AdamW steps on losses of order 1.
    const TOLERANCE: f64 = 1e-5;
    let folder = toy();
    let recipe = |batch_size| Recipe { batch_size, clip_norm: 1.0, ema_decay: 0.5, ..quick() };
    let whole = Watch::default();
    train(setup(folder.path(), recipe(4)), &folder.path().join("whole"), &whole).unwrap();
    let meeting = Arc::new((std::sync::Barrier::new(2), Mutex::new(Vec::new())));
    let watches = [Watch::default(), Watch::default()];
    std::thread::scope(|scope| {
        for (rank, watch) in watches.iter().enumerate() {
            let peers = Arc::new(Pair { rank, meeting: Arc::clone(&meeting) });
            let setup = Setup { peers, ..setup(folder.path(), recipe(2)) };
            let path = folder.path().join(format!("rank{rank}"));
            scope.spawn(move || train(setup, &path, watch).unwrap());
        }
    });
    let steps = |watch: &Watch| watch.steps.lock().unwrap().clone();
    assert_eq!(steps(&watches[0]), steps(&watches[1]), "both processes know the same numbers");
    assert_eq!(steps(&whole).len(), steps(&watches[0]).len());
    for (one, two) in steps(&whole).iter().zip(steps(&watches[0])) {
        assert!((one.loss - two.loss).abs() < TOLERANCE && one.lr == two.lr, "{one:?} {two:?}");
    }
    let epochs = |watch: &Watch| watch.epochs.lock().unwrap().clone();
    for (one, two) in epochs(&whole).iter().zip(epochs(&watches[0])) {
        let (a, b) = (one.validation.clone().unwrap(), two.validation.unwrap());
        assert_eq!(
            (&one.drawn, a.loss.items),
            (&two.drawn, b.loss.items),
            "every slice is seen once, by one of the two"
        );
        assert!((a.loss.total() - b.loss.total()).abs() < TOLERANCE, "{a:?} {b:?}");
    }
    assert!(folder.path().join("rank0/best.safetensors").is_file());
    assert!(!folder.path().join("rank1/best.safetensors").exists(), "one process writes");
}
