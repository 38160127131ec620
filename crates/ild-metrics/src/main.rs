//! `ild-metrics`: how good is a segmentation, and how sure is that?

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use ild_cli::{Common, Rejected, RunReport};
use ild_metrics::{EvaluateSettings, Evaluation, Provenance, printed, write_evaluation};

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
  ild-metrics evaluate --pred mine --gt labelsTs --output out --baseline 'before training=untrained,box filled in=boxes'";

#[derive(Subcommand)]
enum Command {
    Evaluate(EvaluateSettings),
}

fn main() -> ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli| match &cli.command {
            Command::Evaluate(settings) => evaluate(settings, &cli.common),
        },
        ild_metrics::Error::rejects,
    )
}

fn evaluate(settings: &EvaluateSettings, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    ild_cli::sweep_temporary(&settings.output).with_context(|| settings.output.display().to_string())?;
    let evaluation = Evaluation::run(settings, common.seed)?;
    let provenance = Provenance::new(&evaluation.cohort, settings, common.seed)?;
    for path in write_evaluation(&evaluation, settings, &provenance)? {
        report.output(&path);
    }
    println!("{}", printed(&evaluation));
    println!("{}", settings.output.display());
    report.set("provenance", &provenance);
    report.write(common.report.as_deref())?;
    let refusals = evaluation.refusals();
    if refusals.is_empty() { Ok(()) } else { Err(Rejected(refusals.join("\n"))).context(format!("{} files were refused", refusals.len())) }
}
