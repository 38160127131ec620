//! The same timings under PyTorch, in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use candle_core::Device;

use crate::Cli;
use crate::timing::Timing;

const SCRIPT: &str = include_str!("pytorch.py");

/// Runs the script; what PyTorch cannot do is a line of the table with the reason.
pub fn measure(python: &Path, device: &Device, cli: &Cli) -> Vec<Timing> {
    run(python, device, cli).unwrap_or_else(|error| {
        tracing::warn!("{error:#}");
        vec![Timing {
            engine: "PyTorch".into(),
            failed: Some(error.to_string()),
            batch: cli.batch,
            ..Timing::default()
        }]
    })
}

fn run(python: &Path, device: &Device, cli: &Cli) -> anyhow::Result<Vec<Timing>> {
    let kind = if device.is_cpu() { "cpu" } else { "cuda" };
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, "--device", kind, "--models", &cli.models.join(",")]);
    command
        .args(["--batch", &cli.batch.to_string(), "--rounds", &cli.rounds.to_string()])
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .with_context(|| format!("--python {}: could not be started", python.display()))?;
    if !output.status.success() {
        bail!(
            "--python {}: the script failed; it needs torch, torchvision and sam2==1.1.0",
            python.display()
        );
    }
    let last =
        String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    serde_json::from_str(&last)
        .with_context(|| format!("expected JSON from the script for PyTorch, found {last:?}"))
}
