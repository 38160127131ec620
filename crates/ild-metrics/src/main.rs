//! `ild-metrics`: how good is a segmentation, and how sure is that?

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use ild_cli::{Common, FolderLock, Rejected, RunReport};
use ild_metrics::{
    CompareSettings, Compared, CurveSettings, DicomSr, EvaluateSettings, Evaluation, LearningCurve,
    Progression, Provenance, Quantification, QuantifyInput, QuantifySettings, VolumeErrors,
    may_write_evaluation, printed, printed_progression, printed_quantification, write_evaluation,
    write_progression, write_quantification,
};

/// How good is a segmentation, and how sure is that?
#[derive(Parser)]
#[command(name = "ild-metrics", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  ild-metrics evaluate --pred runs/sample/infer --gt runs/sample/npz/npz_test --output runs/sample/evaluation
  ild-metrics evaluate --pred mine --gt labelsTs --output out --baseline 'before training=untrained,box filled in=boxes'
  ild-metrics compare out-a out-b
  ild-metrics learning-curve --point 5=quarter/evaluation,20=all/evaluation --output curve
  ild-metrics quantify runs/sample/infer/case-001.nii.gz --ct case-001_0000.nii.gz --output case-001-volumes
  ild-metrics quantify case-001.seg.dcm --ct STUDY --output case-001-volumes --save-dicom-sr
  ild-metrics quantify 2024.nii.gz 2026.nii.gz --ct 2024-ct --followup-ct 2026-ct --output progression";

#[derive(Subcommand)]
enum Command {
    Evaluate(Box<EvaluateSettings>),
    Compare(CompareSettings),
    LearningCurve(CurveSettings),
    Quantify(Box<QuantifySettings>),
}

fn main() -> ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli| match &cli.command {
            Command::Evaluate(settings) => evaluate(settings, &cli.common),
            Command::Compare(settings) => compare(settings, &cli.common),
            Command::LearningCurve(settings) => learning_curve(settings, &cli.common),
            Command::Quantify(settings) => quantify(settings, &cli.common),
        },
        ild_metrics::Error::rejects,
    )
}

fn evaluate(settings: &EvaluateSettings, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let _held = FolderLock::hold(&settings.output)?;
    ild_cli::sweep_temporary(&settings.output)
        .with_context(|| settings.output.display().to_string())?;
    may_write_evaluation(&settings.output)?;
    let evaluation = Evaluation::run(settings, common.seed)?;
    let provenance = Provenance::new(&evaluation.cohort, settings, common.seed)?;
    ild_cli::inputs::require_unchanged()?;
    for path in write_evaluation(&evaluation, settings, &provenance)? {
        report.output(&path);
    }
    ild_cli::say(printed(&evaluation, &provenance))?;
    ild_cli::say(settings.output.display())?;
    report.set("provenance", &provenance);
    report.write(common.report.as_deref())?;
    let refusals = evaluation.refusals();
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(Rejected(refusals.join("\n"))).context(format!("{} files were refused", refusals.len()))
    }
}

fn compare(settings: &CompareSettings, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let compared = Compared::run(settings, common.seed)?;
    if let Some(folder) = &settings.output {
        for path in compared.write(folder)? {
            report.output(&path);
        }
    }
    ild_cli::say(compared.printed())?;
    report.set("settings", settings);
    report.set("seed", common.seed);
    Ok(report.write(common.report.as_deref())?)
}

fn learning_curve(settings: &CurveSettings, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let _held = FolderLock::hold(&settings.output)?;
    LearningCurve::may_write(&settings.output)?;
    let curve = LearningCurve::read(settings)?;
    for path in curve.write(&settings.output)? {
        report.output(&path);
    }
    ild_cli::say(curve.printed())?;
    report.set("settings", settings);
    Ok(report.write(common.report.as_deref())?)
}

fn quantify(settings: &QuantifySettings, common: &Common) -> anyhow::Result<()> {
    settings.hide_what_is_typed();
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if let Some(followup) = settings.of_followup() {
        return progression(settings, &followup, common, report);
    }
    let dicom_sr = settings.save_dicom_sr.then(|| DicomSr::read(settings)).transpose()?;
    let input = QuantifyInput::read(settings)?;
    for path in settings.files() {
        report.input(path)?;
    }
    let found = Quantification::new(&input.case, &input.map, &input.table, input.lung.as_ref());
    if let Some(folder) = &settings.output {
        for path in write_quantification(&found, &input, settings, folder)? {
            report.output(&path);
        }
        if let Some(dicom_sr) = &dicom_sr {
            let path = folder.join("measurements.dcm");
            dicom_sr.write(&path, &found, &input.table)?;
            report.output(&path);
        }
    }
    ild_cli::say(printed_quantification(&found))?;
    report.set("settings", settings);
    report.set("quantification", &found);
    Ok(report.write(common.report.as_deref())?)
}

/// Two dates of one patient.
fn progression(
    settings: &QuantifySettings,
    followup: &QuantifySettings,
    common: &Common,
    mut report: RunReport,
) -> anyhow::Result<()> {
    let inputs = QuantifyInput::read_both(settings, followup)?;
    for path in settings.files() {
        report.input(path)?;
    }
    let errors = settings.evaluation.as_deref().map(VolumeErrors::read).transpose()?;
    let found = Progression::new(&inputs, errors);
    if let Some(folder) = &settings.output {
        for path in write_progression(&found, &inputs, settings, folder)? {
            report.output(&path);
        }
    }
    ild_cli::say(printed_progression(&found))?;
    report.set("settings", settings);
    report.set("progression", &found);
    Ok(report.write(common.report.as_deref())?)
}
