//! `cross-validate`: every patient predicted once, by weights that never saw them.
//!
//! ```text
//! OUTPUT/data, OUTPUT/npz/fold_K/…     made once
//! OUTPUT/fold_K/npy, train, infer, …   the pipeline of one fold
//! OUTPUT/infer, OUTPUT/infer-auto      links to what the folds predicted
//! OUTPUT/evaluation                    one evaluation over all patients
//! OUTPUT/cross_validation.json         the folds beside each other
//! ```

mod fold;
mod gather;
mod spread;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use ild_cli::Usage;

use crate::run::{Call, run};
use crate::settings::Settings;
use crate::task::RunArgs;
use fold::Folds;

/// Flags of `cross-validate`.
#[derive(Args)]
pub struct CrossArgs {
    /// Into how many parts the patients are divided. Each is the test once; the next one chooses the
    /// best epoch, the others teach.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..))]
    folds: u16,
    /// Run this fold alone, counted from 0, and evaluate nothing over all: for machines or jobs side
    /// by side. The same command without it does what is left.
    #[arg(long, value_name = "K")]
    fold: Option<u16>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Runs what is not done yet of all folds, or of one, and evaluates them together.
pub fn cross_validate(args: &CrossArgs, settings: &Settings, call: &Call) -> anyhow::Result<()> {
    let folds = Folds::new(settings, args.folds)?;
    if let Some(fold) = args.fold.filter(|fold| *fold >= args.folds) {
        bail!(Usage(format!("--fold {fold}: expected 0 to {}", args.folds - 1)));
    }
    let output = PathBuf::from(settings.output());
    {
        let _alone = (!call.dry_run).then(|| alone(&output)).transpose()?;
        run("cross-prepare", folds.whole(), call)?;
    }
    let wanted: Vec<u16> = args.fold.map_or_else(|| (0..args.folds).collect(), |fold| vec![fold]);
    for &fold in &wanted {
        ild_cli::stop_if_interrupted()?;
        tracing::info!("fold {fold} of 0 to {}", args.folds - 1);
        run("cross-fold", &folds.settings_of(fold)?, call)?;
    }
    if call.dry_run {
        return Ok(());
    }
    if args.fold.is_some() {
        return say_what_is_left(&folds);
    }
    gather::gather(&folds)?;
    run("evaluate", &folds.settings_of_all(), call)?;
    spread::report(&folds)
}

/// Holds the folder while what all folds share is made; a second process waits here and finds it
/// done.
fn alone(output: &Path) -> anyhow::Result<File> {
    let path = output.join(".prepare.lock");
    std::fs::create_dir_all(output).with_context(|| output.display().to_string())?;
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    if file.try_lock().is_err() {
        tracing::info!("waiting for the process that prepares {}", output.display());
        file.lock().with_context(|| path.display().to_string())?;
    }
    Ok(file)
}

fn say_what_is_left(folds: &Folds) -> anyhow::Result<()> {
    let left: Vec<String> =
        folds.each().filter(|fold| !folds.is_done(*fold)).map(|fold| fold.to_string()).collect();
    let next = if left.is_empty() {
        "all folds are done".to_owned()
    } else {
        format!("folds left: {}", left.join(", "))
    };
    Ok(ild_cli::say(format_args!(
        "{next}; the same command without --fold does the rest and evaluates all of them together"
    ))?)
}
