//! `cargo xtask bench NAME`: a part of the workspace timed against its peers by
//! `tests/peers/NAME.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use ild_cli::{Common, Usage};

use crate::cargo;

const SCRIPTS: &str = "tests/peers";

#[derive(Args)]
pub struct BenchArgs {
    /// A script of tests/peers, without `.py`; left out: the workspace's own benches.
    part: Option<String>,
    /// Python with the peers' packages; a script names those that are missing and goes on without
    /// them.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// Rounds of alternation [default: the script's own].
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// After `--`: flags for the script (`-- --help` lists them), or for the bench runner.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds the programs and runs the script, or the workspace's own benches.
pub fn bench(args: &BenchArgs, common: &Common) -> anyhow::Result<()> {
    let Some(part) = &args.part else { return cargo::bench(&args.rest) };
    let script = script(Path::new(SCRIPTS), part)?;
    let programs = cargo::build_programs_and_examples()?;
    let mut command = Command::new(&args.python);
    command.arg(&script).arg("--programs").arg(&programs);
    command.args(["--seed", &common.seed.to_string(), "--workers", &common.threads().to_string()]);
    command.args(args.rounds.map(|rounds| format!("--rounds={rounds}"))).args(&args.rest);
    let status = command.status().with_context(|| {
        format!("{} could not be started; --python PROGRAM", args.python.display())
    })?;
    if !status.success() {
        bail!("`{}` failed", script.display());
    }
    Ok(())
}

/// The script of `part`; a name that is none is refused with those that are.
fn script(folder: &Path, part: &str) -> anyhow::Result<PathBuf> {
    let script = folder.join(part).with_extension("py");
    if script.is_file() && is_entry(&script) {
        return Ok(script);
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let scripts = entries.flatten().map(|entry| entry.path()).filter(|path| is_entry(path));
    let mut known: Vec<String> =
        scripts.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    known.sort();
    bail!(Usage(format!(
        "no bench `{part}`; there are {}, or none of them for the workspace's own benches",
        known.join(", ")
    )))
}

/// A script that can be run this way takes `--programs`, as `alternate.arguments` has it.
fn is_entry(path: &Path) -> bool {
    let python = path.extension().is_some_and(|ending| ending == "py");
    python
        && std::fs::read_to_string(path)
            .is_ok_and(|text| text.lines().any(|line| line.starts_with("from alternate import")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_is_found_by_its_name_and_a_slip_names_the_others() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(SCRIPTS);
        assert!(script(&folder, "metrics").unwrap().ends_with("metrics.py"));
        let refusal = script(&folder, "metric").unwrap_err();
        assert!(refusal.is::<Usage>() && refusal.to_string().contains("metrics"), "{refusal}");
        assert!(script(&folder, "alternate").is_err());
    }
}
