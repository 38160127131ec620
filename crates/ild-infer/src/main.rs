//! `ild-infer`: flags → library → exit code.

use std::process::ExitCode;

use clap::Parser;
use ild_cli::{Common, RunReport};
use ild_infer::{Error, Run, Settings};

/// Segments chest CT in 3-D: a box travels from slice to slice, the result lies on the CT's own
/// grid.
#[derive(Parser)]
#[command(name = "ild-infer", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    settings: Settings,
}

const EXAMPLES: &str = r#"Examples:
  Measure a fine-tuned model on the test cases (prompt from ground truth):
    ild-infer --input npz/npz_test --checkpoint work/best.safetensors --output pred --prompt gt

  The same with vanilla SAM 2:
    ild-infer --input npz/npz_test --checkpoint sam2_hiera_tiny.pt --model t --output pred-vanilla --prompt gt

  A new patient, boxes drawn by a radiologist:
    ild-infer --input patient_0000.nii.gz --checkpoint work/best.safetensors --output out --prompt boxes.json

  A cohort in eight jobs (Slurm array, Kubernetes indexed job):
    ild-infer --input imagesTs --checkpoint work/best.safetensors --output out --prompt auto --shard $SLURM_ARRAY_TASK_ID/8

Boxes and points (--prompt FILE.json), in voxels of the CT from 0, ends included:
  { "prompts": [
    { "label": 5, "box": [120, 200, 31, 180, 260, 47] },                    x0, y0, z0, x1, y1, z1
    { "label": "Honeycombing", "slice": 40, "box": [300, 210, 352, 270] },  x0, y0, x1, y1; optional "span": [z0, z1]
    { "label": 2, "slice": 52, "points": [{ "x": 130, "y": 240, "inside": true }] } ] }"#;

fn main() -> ExitCode {
    ild_cli::main(|cli: &Cli| &cli.common, run, Error::rejects)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let output = cli.settings.output.clone();
    let run = Run::new(cli.settings.resolve()?, &cli.common)?;
    run.describe(&mut report);
    let summary = run.go(cli.common.force, &mut report)?;
    ild_cli::say(summary.table(&output))?;
    report.write(cli.common.report.as_deref())?;
    summary.verdict()?;
    Ok(())
}
