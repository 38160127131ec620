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

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use ild_cli::Usage;

use crate::parts;
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
        let _alone = (!call.dry_run).then(|| parts::alone(&output)).transpose()?;
        run(parts::ONCE, folds.whole(), call)?;
    }
    let wanted: Vec<u16> = args.fold.map_or_else(|| (0..args.folds).collect(), |fold| vec![fold]);
    for &fold in &wanted {
        ild_cli::stop_if_interrupted()?;
        tracing::info!("fold {fold} of 0 to {}", args.folds - 1);
        run(parts::EACH, &folds.settings_of(fold)?, call)?;
    }
    if call.dry_run {
        return Ok(());
    }
    if args.fold.is_some() {
        let left = folds.each().filter(|fold| !folds.is_done(*fold)).map(|fold| fold.to_string());
        return parts::say_what_is_left(&left.collect::<Vec<_>>(), "folds", "--fold");
    }
    gather::gather(&folds)?;
    run("evaluate", &folds.settings_of_all(), call)?;
    spread::report(&folds)
}
