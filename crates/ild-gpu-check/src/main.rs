//! `gpu-check`: one program for a machine with a GPU and without cargo. Are the numbers right
//! there, and how fast do they come?
//!
//! 1. operations: every case of the shared test table on the device, against the plain operations
//!    in f64 on the CPU;
//! 2. model: logits and every gradient on the device against the CPU path, which CI holds against
//!    PyTorch;
//! 3. timings: forward pass of each size, training step; beside PyTorch where a Python with torch
//!    and sam2 is given.

// The one table of operations and sizes, shared with the tests.
#[path = "../../ild-ops/tests/ops/cases.rs"]
mod cases;
mod model;
mod operations;
mod peak;
mod pytorch;
mod timing;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use candle_core::{DType, Device};
use clap::{Parser, ValueEnum};
use ild_cli::Common;
use ild_model::Precision;
use serde::Serialize;

/// Checks the numbers on a GPU against the CPU's, then times the model there.
#[derive(Parser, Serialize)]
#[command(name = "gpu-check", version, after_help = EXAMPLES)]
#[serde(rename_all = "kebab-case")]
struct Cli {
    #[command(flatten)]
    #[serde(skip)]
    common: Common,
    /// What to do.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "numbers,times",
        value_name = "PART,…"
    )]
    parts: Vec<Part>,
    /// Sizes to time, the first also as a training step and as a whole model to compare.
    #[arg(long, value_delimiter = ',', default_value = "t,s,b+,l", value_name = "MODEL,…")]
    models: Vec<String>,
    /// Slices of a training step.
    #[arg(long, default_value_t = 16, value_name = "N")]
    batch: usize,
    /// Runs of each timing, after three that are not counted.
    #[arg(long, default_value_t = 20, value_name = "N")]
    rounds: usize,
    /// Leave out the comparison of the first whole model and the largest cases of the table.
    #[arg(long)]
    quick: bool,
    /// Python with torch and sam2 to time beside.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Where everything is written as JSON.
    #[arg(long, default_value = "gpu-check.json", value_name = "FILE.json")]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    /// Compare with the CPU.
    Numbers,
    /// Forward passes and training steps by the clock.
    Times,
}

const EXAMPLES: &str = "Examples:
  gpu-check --device cuda                              everything, about ten minutes, 24 GB on the GPU, 8 GB of memory
  gpu-check --device cuda --quick --models t           numbers and the smallest size, two minutes
  gpu-check --device cuda --python venv/bin/python     beside PyTorch eager and compiled
  gpu-check --device cpu --quick --models nano --batch 2 --rounds 2

Exit code 0: all numbers are right; 1: some are not (the table says which), or a run failed.";

/// One comparison.
#[derive(Debug, Serialize)]
struct Comparison {
    what: String,
    precision: &'static str,
    /// Largest error, as a fraction of the largest number expected.
    error: f64,
    allowed: f64,
}

impl Comparison {
    fn holds(&self) -> bool {
        self.error <= self.allowed // false for NaN
    }
}

#[derive(Serialize)]
struct Report<'a> {
    device: String,
    settings: &'a Cli,
    comparisons: Vec<Comparison>,
    timings: Vec<timing::Timing>,
}

fn main() -> ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli| on_large_stack(|| run(&cli)),
        ild_model::Error::rejects,
    )
}

/// `backward` calls itself once per tensor of the graph.
fn on_large_stack(work: impl FnOnce() -> anyhow::Result<()> + Send) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What a model is told to compute in for tensors of `dtype`.
fn precision(dtype: DType) -> Precision {
    if dtype == DType::BF16 { Precision::Bf16 } else { Precision::F32 }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let device = ild_model::open_device(cli.common.device)?;
    let mut types = vec![DType::F32];
    types.extend(Some(Precision::Bf16.dtype_on(&device)).filter(|dtype| *dtype != DType::F32));

    let mut comparisons = Vec::new();
    if cli.parts.contains(&Part::Numbers) {
        comparisons.extend(operations::compare(&device, &types, cli.quick)?);
        comparisons.extend(model::compare(&device, &types, cli)?);
    }
    let mut table = ild_cli::table(["what", "precision", "error", "allowed", ""]);
    for c in &comparisons {
        let verdict = if c.holds() { "right" } else { "WRONG" };
        table.add_row([
            c.what.clone(),
            c.precision.into(),
            format!("{:.1e}", c.error),
            format!("{:.0e}", c.allowed),
            verdict.into(),
        ]);
    }
    ild_cli::say(table)?;

    let wrong = comparisons.iter().filter(|c| !c.holds()).count();
    let all = comparisons.len();
    let mut report =
        Report { device: name(&device), settings: cli, comparisons, timings: Vec::new() };
    report.write()?; // already: whoever stops a long run keeps what there is

    if cli.parts.contains(&Part::Times) {
        report.timings = timing::measure(&device, &types, cli)?;
        report.write()?;
        if let Some(python) = &cli.python {
            report.timings.extend(pytorch::measure(python, &device, cli));
            report.write()?;
        }
        ild_cli::say(timing::table(&report.timings))?;
    }
    ild_cli::say(format_args!(
        "{}: {} of {all} comparisons hold on {}",
        cli.output.display(),
        all - wrong,
        report.device
    ))?;
    if wrong > 0 {
        bail!("{wrong} of {all} comparisons do not hold");
    }
    Ok(())
}

impl Report<'_> {
    fn write(&self) -> anyhow::Result<()> {
        Ok(ild_cli::write_json_atomic(&self.settings.output, self)?)
    }
}

/// As `nvidia-smi` names it, where that is there.
fn name(device: &Device) -> String {
    if device.is_cpu() {
        return "the CPU".into();
    }
    let answer = std::process::Command::new("nvidia-smi")
        .args(["--query-gpu=name,driver_version", "--format=csv,noheader"])
        .output();
    match answer {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => format!("{:?}", device.location()),
    }
}

/// The word for a type in tables.
fn word(dtype: DType) -> &'static str {
    if dtype == DType::BF16 { "bf16" } else { "f32" }
}
