//! Compiling the programs that are packed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use ild_cli::Usage;

use super::{DistArgs, archive};
use crate::dependencies::{Package, metadata};

/// What compiles and links for an older system, and packs wheels.
const TOOLS: [&str; 3] = ["cargo-zigbuild==0.24.*", "ziglang==0.17.*", "wheel==0.48.*"];
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Crates whose programs are for this clone only.
const HERE_ONLY: [&str; 2] = ["xtask", "ild-gpu-check"];
/// Crates that compute on tensors, and so with a GPU.
const ON_GPUS: [&str; 5] = ["ild-model", "ild-train", "ild-infer", "ild-serve", "ild-gpu-check"];

/// What was compiled.
pub struct Built {
    /// Names of the crates that the programs belong to.
    pub crates: Vec<String>,
    /// The programs.
    pub programs: Vec<PathBuf>,
    /// Files of the manual, completions and help, as they lie below `/usr`.
    pub help: tempfile::TempDir,
}

/// All programs, for the C library of `args` and the CPU.
pub fn for_old_systems(args: &DistArgs) -> anyhow::Result<Built> {
    let tools = tools(args)?;
    let target = format!("{TARGET}.{}", args.glibc);
    let mut words = vec!["zigbuild".to_owned(), "--workspace".into(), "--target".into(), target];
    words.extend(HERE_ONLY.iter().map(|name| format!("--exclude={name}")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(tools).chain(std::env::split_paths(&path));
    let folder = args.build.join(TARGET).join("release");
    compile(&words, &args.build, Some(std::env::join_paths(paths)?))?;
    let shipped = |package: &Package| !HERE_ONLY.contains(&package.name.as_str());
    collect(&folder, shipped)
}

/// The programs that compute on tensors, with feature `cuda`.
pub fn for_gpus(args: &DistArgs) -> anyhow::Result<Built> {
    let mut words = vec!["build".to_owned()];
    for name in ON_GPUS {
        words.push(format!("--package={name}"));
        words.push(format!("--features={name}/cuda"));
    }
    compile(&words, &args.build, None)?;
    collect(&args.build.join("release"), |package| ON_GPUS.contains(&package.name.as_str()))
}

/// Stripped, without paths of this machine, the same from the same sources.
fn compile(words: &[String], build: &Path, path: Option<OsString>) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let here = std::env::current_dir()?.canonicalize()?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut command = Command::new(cargo);
    command.args(words).args(["--release", "--locked", "--bins", "--target-dir"]).arg(build);
    command.env("RUSTFLAGS", [remap(&home, "cargo"), remap(&here, "ild")].join(" "));
    for (key, value) in [("DEBUG", "false"), ("STRIP", "symbols"), ("INCREMENTAL", "false")] {
        command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    command.envs(path.map(|path| ("PATH", path)));
    if !command.status().context("cargo could not be started")?.success() {
        bail!("`cargo {}` failed", words.join(" "));
    }
    Ok(())
}

fn collect(folder: &Path, ours: impl Fn(&Package) -> bool) -> anyhow::Result<Built> {
    let help = tempfile::tempdir()?;
    let (mut crates, mut programs) = (Vec::new(), Vec::new());
    for package in metadata()?.packages.into_iter().filter(ours) {
        for name in package.programs() {
            let program = folder.join(name);
            let own = tempfile::tempdir()?;
            let status = Command::new(&program).env(ild_cli::HELP_FILES, own.path()).status();
            // `ild-train` is a program and what `ild train` would be called: cargo lists `ild` first.
            archive::copy_below(own.path(), help.path())?;
            // A program for a GPU does not start without a driver; its manual is in the other archive.
            if !status.is_ok_and(|status| status.success()) {
                ild_cli::complain(format_args!(
                    "{} did not start here: no manual of it",
                    program.display()
                ));
            }
            programs.push(program);
        }
        if !package.programs().is_empty() {
            crates.push(package.name);
        }
    }
    Ok(Built { crates, programs, help })
}

/// The folder of the tools' programs, installed where they are not yet.
pub fn tools(args: &DistArgs) -> anyhow::Result<PathBuf> {
    let venv = args.build.join("tools");
    let mark = venv.join("installed.txt");
    let bin = venv.join("bin");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == TOOLS.join("\n")) {
        return Ok(bin.canonicalize()?);
    }
    let run = |program: &Path, words: &[&str], place: &Path| -> anyhow::Result<()> {
        let status = Command::new(program).args(words).arg(place).status();
        if !status.is_ok_and(|status| status.success()) {
            bail!(Usage(format!(
                "{} {} failed; Python with `venv` and a package index are needed (Debian: apt-get \
                 install python3-venv; --python PROGRAM for another one)",
                program.display(),
                words.join(" ")
            )));
        }
        Ok(())
    };
    run(&args.python, &["-m", "venv"], &venv)?;
    for tool in TOOLS {
        let words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(&bin.join("python"), &words, Path::new(tool))?;
    }
    std::fs::write(&mark, TOOLS.join("\n"))?;
    Ok(bin.canonicalize()?)
}
