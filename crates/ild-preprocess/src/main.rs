//! `ild-preprocess`: flags → library → exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ild_cli::{Common, RunReport};
use ild_preprocess::Error;
use ild_preprocess::flags::{NiiToNpzFlags, NpzToNpyFlags, outcome};

/// Raw chest CT and lesion labels → the arrays that training and inference read.
#[derive(Parser)]
#[command(name = "ild-preprocess", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    stage: Stage,
}

const EXAMPLES: &str = "\
Examples:
  A cohort in nnU-Net's layout, lung window, 70 / 10 / 20 % of the patients:
    ild-preprocess nii-to-npz --img-path imagesTr --gt-path labelsTr --output npz --window lung
    ild-preprocess npz-to-npy --npz-train-dir npz/npz_train --npz-valid-dir npz/npz_valid --npy-dir npy
  Five-fold cross-validation, four cases at a time:
    ild-preprocess nii-to-npz --img-path imagesTr --gt-path labelsTr --output npz --window lung --folds 5 --workers 4
  The same with the slices for training, both stages in one run:
    ild-preprocess nii-to-npz --img-path imagesTr --gt-path labelsTr --output npz --window lung --npy-dir npy
  The arrays of the older Python scripts:
    ild-preprocess nii-to-npz --img-path imagesTr --gt-path labelsTr --output npz --window-level 40 --window-width 400 --parity";

#[derive(Subcommand)]
enum Stage {
    /// CT and label files → one NPZ per patient: labels cleaned, CT windowed to 8 bit, split by
    /// patient.
    NiiToNpz(Box<NiiToNpzFlags>),
    /// NPZ → the NPY slices that training reads, and dataset.json.
    NpzToNpy(NpzToNpyFlags),
}

fn main() -> ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli| match cli.stage {
            Stage::NiiToNpz(flags) => nii_to_npz(&flags, &cli.common),
            Stage::NpzToNpy(flags) => npz_to_npy(&flags, &cli.common),
        },
        Error::rejects,
    )
}

fn nii_to_npz(flags: &NiiToNpzFlags, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let run = flags.resolve(common)?;
    let summary = run.run()?;
    let json = summary.json(&run.settings.label_table, &run.settings_json());
    ild_cli::write_json_atomic(&run.output.join("summary.json"), &json)?;
    ild_cli::say(summary.text(&run.settings.label_table))?;
    report.set("settings", flags);
    report.set("window", run.settings.windowing);
    report.set("summary", json);
    if common.report.is_some() {
        for path in summary.input_files(&run.sources) {
            report.input(&path)?;
        }
    }
    report.output(&run.output);
    let mut of_slices = None;
    if let Some(stage) = run.slices_stage(&summary) {
        let slices = of_slices.insert(stage.run()?);
        ild_cli::say(slices.text())?;
        report.set("dataset", &slices.dataset);
        report.output(&stage.npy_dir);
    }
    report.write(common.report.as_deref())?;
    outcome(|status| {
        summary.count(status) + of_slices.as_ref().map_or(0, |slices| slices.count(status))
    })
}

fn npz_to_npy(flags: &NpzToNpyFlags, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let run = flags.resolve(common);
    let summary = run.run()?;
    ild_cli::say(summary.text())?;
    report.set("settings", flags);
    report.set("window", summary.dataset.window);
    report.set("dataset", &summary.dataset);
    report.set("training_patients", summary.training_patients);
    if common.report.is_some() {
        for row in &summary.rows {
            report.input(&row.path)?;
        }
    }
    report.output(&run.npy_dir);
    report.write(common.report.as_deref())?;
    outcome(|status| summary.count(status))
}
