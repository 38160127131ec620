//! `cargo xtask kernels`: compiles every kernel for the GPUs it should run on, down to machine
//! code. No GPU is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::cuda_env::{self, CudaEnvArgs};

const SOURCES: &str = "crates/ild-ops/kernels";

/// Ampere and Hopper.
const ARCHITECTURES: [u32; 2] = [80, 90];

#[derive(Args)]
pub struct KernelsArgs {
    /// Where the compiler is, or is put (210 MB).
    #[arg(long, value_name = "DIR", default_value = "target/cuda-env")]
    dir: PathBuf,
    /// Python with `venv` and `pip`.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
}

/// What the assembler says about the kernels of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Use {
    kernels: usize,
    most_registers: u32,
    spilled_bytes: u32,
}

/// Compiles every source for every architecture and prints what each uses.
pub fn kernels(args: &KernelsArgs) -> anyhow::Result<()> {
    let folder = cuda_env::set_up(&CudaEnvArgs {
        dir: args.dir.clone(),
        python: args.python.clone(),
        nccl: false,
        compiler_only: true,
    })?;
    let mut sources: Vec<PathBuf> =
        std::fs::read_dir(SOURCES).context(SOURCES)?.flatten().map(|entry| entry.path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    sources.sort();
    let mut summary = ild_cli::table([
        "source",
        "for",
        "kernels",
        "PTX, kB",
        "registers, at most",
        "spilled, bytes",
    ]);
    for source in &sources {
        for architecture in ARCHITECTURES {
            let ptx = compile(&folder, source, architecture)?;
            let found = assemble(&folder, &ptx, architecture)?;
            let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let size = std::fs::metadata(&ptx)?.len() / 1000;
            let numbers = [
                found.kernels as u64,
                size,
                found.most_registers.into(),
                found.spilled_bytes.into(),
            ];
            summary.add_row(
                [
                    vec![name, format!("sm_{architecture}")],
                    numbers.map(|number| number.to_string()).to_vec(),
                ]
                .concat(),
            );
        }
    }
    ild_cli::say(summary)?;
    ild_cli::say(format_args!(
        "{} sources compiled for {} architectures",
        sources.len(),
        ARCHITECTURES.len()
    ))?;
    Ok(())
}

fn compile(folder: &Path, source: &Path, architecture: u32) -> anyhow::Result<PathBuf> {
    let ptx = folder.join("kernels").join(format!(
        "{}_{architecture}.ptx",
        source.file_stem().unwrap_or_default().to_string_lossy()
    ));
    std::fs::create_dir_all(folder.join("kernels"))?;
    let mut command = Command::new(folder.join("bin/nvcc"));
    command.args([
        "-ptx",
        "-O3",
        "-std=c++17",
        "-Werror=all-warnings",
        &format!("-arch=compute_{architecture}"),
        "-o",
    ]);
    let output = command.arg(&ptx).arg(source).output().context("nvcc could not be started")?;
    if !output.status.success() {
        bail!(
            "{} for sm_{architecture}:\n{}",
            source.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(ptx)
}

fn assemble(folder: &Path, ptx: &Path, architecture: u32) -> anyhow::Result<Use> {
    let mut command = Command::new(folder.join("bin/ptxas"));
    command.args(["-v", &format!("-arch=sm_{architecture}"), "-o", "/dev/null"]).arg(ptx);
    let output = command.output().context("ptxas could not be started")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{}:\n{text}", ptx.display());
    }
    Ok(usage(&text))
}

/// Reads `ptxas -v`.
fn usage(text: &str) -> Use {
    let numbers_before = |what: &'static str| {
        text.lines().filter_map(move |line| {
            let before = &line[..line.find(what)?];
            before.rsplit([' ', ',']).find(|word| !word.is_empty())?.parse::<u32>().ok()
        })
    };
    Use {
        kernels: text.matches("Compiling entry function").count(),
        most_registers: numbers_before(" registers").max().unwrap_or(0),
        spilled_bytes: numbers_before(" bytes spill stores").sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_assembler_says_is_read() {
        let text = "ptxas info    : Compiling entry function 'a' for 'sm_80'\n\
                    ptxas info    : Function properties for a\n    64 bytes stack frame, 40 bytes spill stores, 40 bytes spill loads\n\
                    ptxas info    : Used 128 registers, used 1 barriers, 448 bytes cmem[0]\n\
                    ptxas info    : Compiling entry function 'b' for 'sm_80'\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
                    ptxas info    : Used 29 registers";
        assert_eq!(usage(text), Use { kernels: 2, most_registers: 128, spilled_bytes: 40 });
    }
}
