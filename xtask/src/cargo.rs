//! The project's own checks, each a call of cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::{arrows, claims, dependencies};

/// Names the file that tests tell when they are skipped (`ild-test-support`).
const SKIPPED_FILE: &str = "ILD_SKIPPED_FILE";

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
    ild::folder_of_this_program()
}

/// Unit tests, integration tests and the examples in the docs; then how many of them did nothing,
/// and why.
pub fn test(rest: &[String]) -> anyhow::Result<()> {
    let told = std::env::current_dir()?.join("target/skipped-tests.txt");
    std::fs::create_dir_all("target")?;
    std::fs::write(&told, "").with_context(|| told.display().to_string())?;
    // SAFETY: no other thread of this program reads the environment.
    unsafe { std::env::set_var(SKIPPED_FILE, &told) };
    let outcome = cargo(&["test", "--release", "--workspace"], rest);
    ild_cli::say(skipped(&std::fs::read_to_string(&told).unwrap_or_default()))?;
    outcome
}

/// How many tests were skipped, by reason; `text` has a line `test: why` for each.
fn skipped(text: &str) -> String {
    let mut by_reason: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (test, why) in text.lines().filter_map(|line| line.split_once(": ")) {
        by_reason.entry(why).or_default().insert(test);
    }
    let count: usize = by_reason.values().map(BTreeSet::len).sum();
    let mut summary = format!("tests skipped: {count}");
    for (why, tests) in by_reason {
        let tests: Vec<&str> = tests.into_iter().collect();
        summary += &format!("\n  {why}: {}", tests.join(", "));
    }
    summary
}

/// The long form of the fault tests.
pub fn soak(minutes: f64) -> anyhow::Result<()> {
    build_programs()?;
    // SAFETY: no other thread of this program reads the environment.
    unsafe { std::env::set_var("ILD_SOAK_MINUTES", minutes.to_string()) };
    let rest = ["soak", "--ignored", "--nocapture"].map(str::to_owned);
    cargo(&["test", "--release", "--workspace", "--test", "reliability", "--"], &rest)
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
    ild::folder_of_this_program()
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
    dependencies::check()?;
    claims::check()?;
    test(&[])?;
    // SAFETY: no other thread of this program reads the environment.
    unsafe { std::env::set_var("RUSTDOCFLAGS", "-Dwarnings") };
    cargo(&["doc", "--release", "--workspace", "--no-deps"], &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_are_counted_once_and_grouped_by_reason() {
        assert_eq!(skipped(""), "tests skipped: 0");
        let told = "a: no data\nb: no Python\na: no data\nc: no data\n";
        assert_eq!(skipped(told), "tests skipped: 3\n  no Python: b\n  no data: a, c");
    }
}
