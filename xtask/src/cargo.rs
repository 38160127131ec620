//! The project's own checks, each a call of cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::arrows;

fn cargo(args: &[&str], rest: &[String]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(args).args(rest).status().context("cargo could not be started")?;
    if !status.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    Ok(())
}

/// Builds the programs and says in which folder they are: beside this one.
pub fn build_programs() -> anyhow::Result<PathBuf> {
    cargo(&["build", "--quiet", "--release", "--workspace", "--bins", "--exclude", "xtask"], &[])?;
    beside_this_one()
}

fn beside_this_one() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.parent().context("a program without a folder")?.to_path_buf())
}

/// Unit tests, integration tests and the examples in the docs.
pub fn test(rest: &[String]) -> anyhow::Result<()> {
    cargo(&["test", "--release", "--workspace"], rest)
}

/// Benches.
pub fn bench(rest: &[String]) -> anyhow::Result<()> {
    cargo(&["bench", "--workspace"], rest)
}

/// Builds programs and examples and says in which folder they are.
pub fn build_programs_and_examples() -> anyhow::Result<PathBuf> {
    cargo(
        &[
            "build",
            "--quiet",
            "--release",
            "--workspace",
            "--bins",
            "--examples",
            "--exclude",
            "xtask",
        ],
        &[],
    )?;
    beside_this_one()
}

/// Builds and runs `gpu-check` with CUDA.
pub fn gpu_check(rest: &[String]) -> anyhow::Result<()> {
    cargo(
        &[
            "run",
            "--release",
            "--workspace",
            "--features",
            "ild-gpu-check/cuda",
            "--bin",
            "gpu-check",
            "--",
        ],
        rest,
    )
}

/// Everything that has to be green.
pub fn check() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(
        &["clippy", "--release", "--workspace", "--all-targets"],
        &["--".into(), "-Dwarnings".into()],
    )?;
    arrows::check()?;
    test(&[])?;
    // SAFETY: no other thread of this program reads the environment.
    unsafe { std::env::set_var("RUSTDOCFLAGS", "-Dwarnings") };
    cargo(&["doc", "--release", "--workspace", "--no-deps"], &[])
}
