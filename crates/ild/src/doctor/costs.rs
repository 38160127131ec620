//! What each size of model takes on this machine, measured by the programs that use it.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;
use ild_cli::Common;
use serde_json::Value;

use super::DoctorArgs;
use super::hardware::Memory;
use super::programs::{MODEL, first_line};
use crate::beside;

/// Measures and prints a row for each size.
pub fn measure(
    args: &DoctorArgs,
    common: &Common,
    folder: &Path,
    memory: &Memory,
) -> anyhow::Result<()> {
    let made = tempfile::tempdir().context("a temporary folder")?;
    let slices = args.train.then(|| slices_to_train_on(folder, made.path())).transpose()?;
    let mut heads = vec!["model", "weights, million", "seconds a slice", "memory to segment, GiB"];
    heads.extend(
        args.train.then_some(["seconds a training step", "memory to train, GiB"]).iter().flatten(),
    );
    let mut table = ild_cli::table(heads);
    for model in &args.models {
        ild_cli::stop_if_interrupted()?;
        tracing::info!("measuring {model}");
        let mut command = Command::new(beside::program(folder, MODEL, common.device));
        command.args(["machine", "--model", model]).args(flags(common));
        let cost = record(within(&mut command, memory)).map(|record| record["cost"].clone());
        let mut row = vec![model.clone()];
        row.extend(match &cost {
            Ok(cost) => [
                number(&cost["weights"], 1e6, 1),
                number(&cost["seconds_per_slice"], 1.0, 2),
                gib(&cost["peak_memory_bytes"]),
            ],
            Err(why) => [String::new(), String::new(), why.clone()],
        });
        if let Some(slices) = &slices {
            let mut command = Command::new(beside::program(folder, "ild-train", common.device));
            command.args(["--dry-run", "--batch-size=1", "--model", model, "--npy-dir"]);
            command.arg(slices).args(flags(common));
            row.extend(match record(within(&mut command, memory)) {
                Ok(cost) => {
                    [number(&cost["seconds_per_step"], 1.0, 2), gib(&cost["peak_memory_bytes"])]
                }
                Err(why) => [String::new(), why],
            });
        }
        table.add_row(row);
    }
    Ok(ild_cli::say(format_args!(
        "\n{table}\nOne box on one slice of 512 × 512 pixels, random weights, f32; a CT in memory and its features come on top (--feature-memory)."
    ))?)
}

fn flags(common: &Common) -> Vec<String> {
    let mut flags = vec![format!("--device={}", common.device)];
    flags.extend(common.workers.map(|workers| format!("--workers={workers}")));
    flags
}

fn number(value: &Value, unit: f64, digits: usize) -> String {
    value.as_f64().map_or("?".to_owned(), |value| format!("{:.digits$}", value / unit))
}

fn gib(value: &Value) -> String {
    number(value, f64::from(1 << 30), 2)
}

/// Lets the command take no more memory than is free: its own failure instead of somebody else's.
fn within<'a>(command: &'a mut Command, memory: &Memory) -> &'a mut Command {
    if let Some(bytes) = memory.free {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: `setrlimit` is a plain system call on a copied struct.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
    }
    command
}

/// Runs the command and returns its run record, or why there is none, in one line.
pub fn record(command: &mut Command) -> Result<Value, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("record.json");
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.arg("--quiet").arg("--report").arg(&path).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(why(output.status, &output.stderr));
    }
    let bytes = std::fs::read(&path).map_err(|error| format!("{program}: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{program}: {error}"))
}

fn why(status: ExitStatus, stderr: &[u8]) -> String {
    match status.code() {
        Some(_) => first_line(stderr),
        None => "more than is free".to_owned(),
    }
}

/// A synthetic patient as `ild-train` reads it.
fn slices_to_train_on(folder: &Path, made: &Path) -> anyhow::Result<PathBuf> {
    let at = |name: &str| made.join(name).display().to_string();
    let (data, npz, npy) = (at("data"), at("npz"), at("npy"));
    let steps: [(&str, Vec<String>); 3] = [
        (
            "ild-phantom",
            vec!["--output".into(), data.clone(), "--cases=5".into(), "--size=28,128,128".into()],
        ),
        (
            "ild-preprocess",
            vec![
                "nii-to-npz".into(),
                format!("--img-path={data}/imagesTr"),
                format!("--gt-path={data}/labelsTr"),
                format!("--output={npz}"),
                "--window=lung".into(),
                "--min-voxels-3d=50".into(),
                "--min-pixels-2d=20".into(),
            ],
        ),
        (
            "ild-preprocess",
            vec![
                "npz-to-npy".into(),
                format!("--npz-train-dir={npz}/npz_train"),
                format!("--npz-valid-dir={npz}/npz_valid"),
                format!("--npy-dir={npy}"),
            ],
        ),
    ];
    for (program, words) in steps {
        record(Command::new(folder.join(program)).args(words)).map_err(anyhow::Error::msg)?;
    }
    Ok(PathBuf::from(npy))
}
