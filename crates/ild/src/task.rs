//! What can be asked for, and who does it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ild_cli::Common;

use crate::cross_validate::{CrossArgs, cross_validate};
use crate::doctor::{DoctorArgs, doctor};
use crate::learning_curve::{CurveArgs, learning_curve};
use crate::run::{Call, run};
use crate::settings::Settings;

/// Sub-commands, also those of `cargo xtask`.
#[derive(Subcommand)]
pub enum Task {
    /// All stages, from CT to report; stages whose inputs have not changed are skipped.
    Pipeline(RunArgs),
    /// The stages before training.
    Preprocess(RunArgs),
    /// The stages up to and with training.
    Train(RunArgs),
    /// Segmentation and its evaluation.
    Infer(RunArgs),
    /// Evaluation alone.
    Evaluate(RunArgs),
    /// Every patient predicted once, by weights that never saw them: all stages for each fold, then
    /// one evaluation. Stages that are done are skipped, in every fold.
    CrossValidate(CrossArgs),
    /// Rules of the search without a prompt, fitted to the validation patients of the trained weights;
    /// with --set 'infer.checkpoint={fit.output}/fitted.safetensors' the other tasks use them.
    Fit(RunArgs),
    /// How many patients are needed: all stages for shares of the training patients, the same test
    /// each time, and a curve. Stages that are done are skipped.
    LearningCurve(CurveArgs),
    /// Print the settings of a run as TOML, defaults and changes together.
    Settings(RunArgs),
    /// Say what this machine can do: processor, memory against each model size, GPU, places, programs.
    Doctor(DoctorArgs),
}

/// Flags of a run.
#[derive(Args)]
pub struct RunArgs {
    /// Change one setting, e.g. `train.epochs=50`; may be given many times and wins over
    /// `--config`.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,
    /// Print what would run, and run nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Task {
    /// Does it; `programs` says in which folder the programs of the stages are, and is asked when
    /// one is needed.
    ///
    /// # Errors
    /// What a stage ended with, or why none was started.
    pub fn run(
        &self,
        common: &Common,
        programs: fn() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<()> {
        let (name, args) = match self {
            Self::Pipeline(args) => ("pipeline", args),
            Self::Preprocess(args) => ("preprocess", args),
            Self::Train(args) => ("train", args),
            Self::Infer(args) => ("infer", args),
            Self::Evaluate(args) => ("evaluate", args),
            Self::CrossValidate(cross) => ("cross-validate", &cross.run),
            Self::Fit(args) => ("fit", args),
            Self::LearningCurve(curve) => ("learning-curve", &curve.run),
            Self::Settings(args) => ("settings", args),
            Self::Doctor(args) => return doctor(args, common, &programs()?),
        };
        let settings = Settings::load(common.config.as_deref(), &args.set)?;
        if matches!(self, Self::Settings(_)) {
            return Ok(ild_cli::say(settings.to_toml()?.trim_end())?);
        }
        let call = Call { common, programs: programs()?, dry_run: args.dry_run };
        match self {
            Self::CrossValidate(cross) => cross_validate(cross, &settings, &call),
            Self::LearningCurve(curve) => learning_curve(curve, &settings, &call),
            _ => run(name, &settings, &call),
        }
    }
}

/// Examples for `--help` of a program that is called `name`.
#[must_use]
pub fn examples(name: &str) -> String {
    "Examples:
  NAME pipeline                                 the sample run, from synthetic CT to the report
  NAME pipeline --config my.toml                your own data
  NAME train --set train.epochs=50              stages up to training, one setting changed
  NAME cross-validate --folds 5                 every patient predicted once, by weights that never saw them
  NAME fit                                      thresholds fitted to the validation patients, written into the weights
  NAME learning-curve --shares 25,50,75,100     how much more patients would help
  NAME infer --set infer.checkpoint=best.safetensors
  NAME settings                                 every setting of the run, as TOML to copy
  NAME doctor                                   what this machine can do, and what is missing"
        .replace("NAME", name)
}
