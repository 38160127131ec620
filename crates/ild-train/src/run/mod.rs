//! The whole command: decide, prepare, train, sum up.

pub(crate) mod args;
pub(crate) mod average;
pub(crate) mod clips;
pub(crate) mod dry_run;
pub(crate) mod exact;
pub(crate) mod finished;
pub(crate) mod head;
pub(crate) mod objective;
pub(crate) mod origins;
pub(crate) mod prepare;
pub(crate) mod progress;
pub(crate) mod recipe;
pub(crate) mod reference;
pub(crate) mod run_folder;
pub(crate) mod save;
pub(crate) mod setup;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod trained_on;
pub(crate) mod trainer;
pub(crate) mod validate;

use std::sync::Arc;

use ild_cli::{Common, DeviceChoice, RunReport};
use ild_model::Sam2;

use crate::data::sanity::sanity_picture;
use crate::error::{Error, Result};
use crate::peers::Peers;
use crate::run::args::TrainArgs;
use crate::run::prepare::prepare;
use crate::run::progress::Progress;
use crate::run::run_folder::RunFolder;
use crate::run::setup::Setup;
use crate::run::start::{Start, decide};
use crate::run::trainer::{Outcome, Trainer};
use crate::watch::console::Console;
use crate::watch::files::RunFiles;
use crate::watch::page::RunPage;
use crate::watch::summary::print_summary;

/// Runs `ild-train` with these flags.
///
/// # Errors
/// See [`Error`].
pub fn run(common: &Common, args: &TrainArgs) -> Result<()> {
    if args.dry_run {
        return dry_run(common, args);
    }
    let (peers, device) = join_peers(common.device)?;
    let common = &Common { device, ..common.clone() };
    let result =
        if peers.rank() == 0 { lead(common, args, &peers) } else { follow(common, args, &peers) };
    match result {
        // All processes stop together when asked to; of anything else only one may know.
        Err(error) if peers.count() > 1 && !matches!(error, Error::Interrupted { .. }) => {
            tracing::error!("process {}: {:#}", peers.rank(), anyhow::Error::from(error));
            peers.abort(1);
            Ok(())
        }
        result => result,
    }
}

/// The processes that train together, and where this one computes.
fn join_peers(device: DeviceChoice) -> Result<(Arc<dyn Peers>, DeviceChoice)> {
    #[cfg(feature = "mpi")]
    {
        let processes = crate::peers::mpi::MpiPeers::join()?;
        #[cfg(feature = "nccl")]
        if processes.count() > 1 && device != DeviceChoice::Cpu {
            let gpu = processes.local_rank();
            return Ok((
                Arc::new(crate::peers::nccl::NcclPeers::join(processes, gpu)?),
                DeviceChoice::Cuda(gpu),
            ));
        }
        Ok((Arc::new(processes), device))
    }
    #[cfg(not(feature = "mpi"))]
    {
        const STARTED_BY: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
        if STARTED_BY.iter().any(|name| std::env::var(name).is_ok_and(|size| size != "1")) {
            return Err(Error::Settings(
                "started by mpirun, but this ild-train was built without MPI; build it with `cargo build --release --features ild-train/mpi`"
                    .to_owned(),
            ));
        }
        Ok((Arc::new(crate::peers::Alone), device))
    }
}

/// The process that writes the files and talks to the user.
fn lead(common: &Common, args: &TrainArgs, peers: &Arc<dyn Peers>) -> Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let (folder, start, origins) = decide(args, common.seed, common.force)?;
    if let Start::Done(header) = &start {
        ild_cli::say(format_args!(
            "{}: already trained for {} epochs (--force trains again)",
            folder.display(),
            header.progress.epochs_done
        ))?;
        return Ok(());
    }
    let setup = Setup {
        peers: Arc::clone(peers),
        made_from: origins.parts.clone(),
        ..prepare(args, common, &start)?
    };
    let folder = RunFolder::open(&folder)?;
    if start == Start::Fresh {
        finished::clear(folder.path())?;
    }
    origins.keep(folder.path())?;
    ild_cli::save_resolved(&folder.config(), "train", &Resolved { common, args })?;
    tracing::info!("writing to {}", folder.path().display());
    report.set("settings", Resolved { common, args });
    for path in args.pretrained.iter().chain(&args.resume).filter(|path| path.is_file()) {
        report.input(path)?;
    }
    let mut trainer = begin(setup, folder, &start)?;
    let outcome = trainer.fit()?;
    trainer.finish()?;
    sum_up(&trainer, outcome, report, common)
}

/// The other processes work on their items and write nothing.
fn follow(common: &Common, args: &TrainArgs, peers: &Arc<dyn Peers>) -> Result<()> {
    let (_, start, _) = decide(args, common.seed, common.force)?;
    if matches!(start, Start::Done(_)) {
        return Ok(());
    }
    // The first process says what is odd about data and weights.
    let silent = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
    let setup = Setup { peers: Arc::clone(peers), ..prepare(args, common, &start)? };
    drop(silent);
    let scratch = tempfile::tempdir()
        .map_err(|error| Error::Settings(format!("no temporary folder: {error}")))?;
    let mut trainer = Trainer::new(setup, RunFolder::open(scratch.path())?)?;
    match &start {
        Start::Resume(state) => trainer.resume(state)?,
        Start::ResumeReference(checkpoint) => trainer.resume_reference(checkpoint)?,
        Start::Fresh | Start::Done(_) => {}
    }
    match trainer.fit() {
        // All stop together, and the first process says so.
        Err(Error::Interrupted { .. }) => Ok(()),
        other => other.map(|_| ()),
    }
}

#[derive(serde::Serialize)]
struct Resolved<'a> {
    #[serde(flatten)]
    common: &'a Common,
    #[serde(flatten)]
    args: &'a TrainArgs,
}

fn begin(setup: Setup, folder: RunFolder, start: &Start) -> Result<Trainer> {
    let table = setup.label_table.clone();
    let page = RunPage::new(setup.model.clone(), setup.recipe.clone(), table.clone());
    let mut trainer = Trainer::new(setup, folder)?
        .watched_by(RunFiles::new(table.clone()))
        .watched_by(page)
        .watched_by(Console::new(table));
    say_sizes(&trainer);
    match start {
        Start::Resume(state) => trainer.resume(state)?,
        Start::ResumeReference(checkpoint) => trainer.resume_reference(checkpoint)?,
        Start::Fresh | Start::Done(_) => {
            let path = trainer.folder.path().join("data_sanitycheck.png");
            sanity_picture(
                &path,
                &trainer.setup.train,
                &trainer.items(),
                &trainer.setup.label_table,
            )?;
        }
    }
    let progress = trainer.progress();
    if progress.steps_done > 0 || progress.epochs_done > 0 {
        tracing::info!(
            "going on in epoch {} after step {}",
            progress.epochs_done + 1,
            progress.steps_done
        );
    }
    Ok(trainer)
}

fn say_sizes(trainer: &Trainer) {
    let setup = &trainer.setup;
    let (total, trained) = (setup.weights.elements(), trainer.parameters.elements());
    tracing::info!(
        "model {}: {total} parameters, {trained} of them trained ({} tensors)",
        setup.model,
        trainer.parameters.len()
    );
    let valid = setup.valid.as_ref();
    let free = [setup.train.healthy().len(), valid.map_or(0, |valid| valid.healthy().len())];
    let besides = match free {
        [0, 0] => String::new(),
        [train, valid] => format!(" (besides {train} and {valid} declared free of disease)"),
    };
    tracing::info!(
        "{} training and {} validation slices{besides}, on {}",
        setup.train.slices().len(),
        valid.map_or(0, |valid| valid.slices().len()),
        device_name(&trainer.model)
    );
    let processes = setup.peers.count();
    if processes > 1 {
        let items = processes * setup.recipe.items_per_step();
        tracing::info!(
            "{processes} processes with {} slices per step each: {items} in all",
            setup.recipe.items_per_step()
        );
    }
}

fn device_name(model: &Sam2) -> String {
    format!("{:?}", model.device().location()).to_lowercase()
}

fn sum_up(
    trainer: &Trainer,
    outcome: Outcome,
    mut report: RunReport,
    common: &Common,
) -> Result<()> {
    let (progress, folder) = (trainer.progress(), trainer.folder());
    if outcome == Outcome::StoppedEarly {
        ild_cli::say(format_args!(
            "stopped early: no better epoch for {} epochs",
            progress.epochs_without_better()
        ))?;
    }
    say_never_drawn(trainer, progress);
    print_summary(progress, &trainer.setup)?;
    ild_cli::say(folder.best().display())?;
    for path in [folder.best(), folder.latest(), folder.averaged(), folder.state()] {
        if path.is_file() {
            report.output(&path);
        }
    }
    report.set("device", device_name(&trainer.model));
    report.set("best", progress.best);
    report.set("steps", progress.steps_done);
    report.set("averaged", &progress.averaged);
    Ok(report.write(common.report.as_deref())?)
}

fn say_never_drawn(trainer: &Trainer, progress: &Progress) {
    let drawn = progress.drawn();
    for id in crate::data::sampler::slices_of_class(&trainer.setup.train.labels_present())
        .into_keys()
        .filter(|id| !drawn.contains_key(id))
    {
        let name = trainer.setup.label_table.name(id);
        tracing::warn!(
            "label {id} ({name}) was never drawn, although it is on training slices: train longer, or with --draw class-balanced"
        );
    }
}

fn dry_run(common: &Common, args: &TrainArgs) -> Result<()> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::Settings(format!("no temporary folder: {error}")))?;
    let mut trainer =
        Trainer::new(prepare(args, common, &Start::Fresh)?, RunFolder::open(folder.path())?)?;
    say_sizes(&trainer);
    let cost = trainer.dry_run()?;
    let mut table = ild_cli::table(["", "one step"]);
    let recipe = &args.recipe;
    table.add_row(["loss".to_owned(), format!("{:.4}", cost.loss)]);
    table.add_row(["seconds per step".to_owned(), format!("{:.2}", cost.step.as_secs_f64())]);
    table.add_row([
        "minutes per epoch, about".to_owned(),
        format!("{:.1}", cost.epoch.as_secs_f64() / 60.0),
    ]);
    let hours = cost.epoch.as_secs_f64() * recipe.epochs as f64 / 3600.0;
    table.add_row([format!("hours for {} epochs, about", recipe.epochs), format!("{hours:.1}")]);
    let memory = cost.peak_memory_bytes.map_or("not known".to_owned(), |bytes| {
        format!("{:.2}", bytes as f64 / f64::from(1 << 30))
    });
    table.add_row(["peak memory, GiB".to_owned(), memory]);
    ild_cli::say(table)?;
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    report.set("seconds_per_step", cost.step.as_secs_f64());
    report.set("peak_memory_bytes", cost.peak_memory_bytes);
    Ok(report.write(common.report.as_deref())?)
}
