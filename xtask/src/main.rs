//! `cargo xtask`: what only a clone can do, and all that the program `ild` does, on programs that
//! are built first.

mod arrows;
mod book;
mod cargo;
mod claims;
mod cuda_env;
mod dependencies;
mod dist;
mod kernels;
mod page;
mod peers;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Chains the ild programs and runs the project's checks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = examples())]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    #[command(subcommand)]
    task: Task,
}

fn examples() -> String {
    ild::examples("cargo xtask")
        + "
  cargo xtask bench metrics --python venv/bin/python   against the usual Python programs"
}

#[derive(Subcommand)]
enum Task {
    #[command(flatten)]
    Ild(ild::Task),
    /// Every test of the workspace.
    Test {
        /// Handed to the test runner, e.g. a part of a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Kill the programs at every moment of their writing and at random, and compare with
    /// undisturbed runs (docs/reliability.md).
    Soak {
        /// How long.
        #[arg(long, default_value_t = 10.0, value_name = "N")]
        minutes: f64,
    },
    /// Format, lints, tests, docs and crate arrows: what has to be green before a change lands.
    Check,
    /// Archive and wheel for machines without a compiler, with licences, SBOM, manual and completions
    /// (docs/installing.md).
    Dist(dist::DistArgs),
    /// The pages of docs as a site, with one for each program made from its --help; every link is checked.
    Book(book::BookArgs),
    /// Time a part against its peers in Python (scripts in tests/peers), or run the workspace's own
    /// benches.
    Bench(peers::BenchArgs),
    /// Set up what a build with `--features cuda` needs, without a GPU or an installed CUDA
    /// (docs/cuda.md).
    CudaEnv(cuda_env::CudaEnvArgs),
    /// Build with `--features cuda` and hold a GPU's numbers against the CPU's, then time it
    /// (docs/cuda.md).
    GpuCheck {
        /// Handed to `gpu-check`, e.g. `--device cuda --quick`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Compile every kernel of the GPU for the GPUs it should run on; no GPU is needed.
    Kernels(kernels::KernelsArgs),
    /// Build the page of ild-serve, which the next build of it holds (Node.js; docs/serve.md).
    Page,
}

fn main() -> ExitCode {
    ild_cli::main_without_config(|cli: &Cli| &cli.common, start, |_| false)
}

fn start(Cli { mut common, task }: Cli) -> anyhow::Result<()> {
    // As the user sees it, from where he is.
    common.config = common.config.as_deref().map(std::path::absolute).transpose()?;
    std::env::set_current_dir(workspace_root()).context("the workspace folder is gone")?;
    match task {
        Task::Ild(task) => task.run(&common, cargo::build_programs),
        Task::Test { rest } => cargo::test(&rest),
        Task::Soak { minutes } => cargo::soak(minutes),
        Task::Check => cargo::check(),
        Task::Book(args) => book::book(&args),
        Task::Dist(args) => dist::dist(&args),
        Task::Bench(args) => peers::bench(&args, &common),
        Task::CudaEnv(args) => cuda_env::cuda_env(&args),
        Task::GpuCheck { rest } => cargo::gpu_check(&rest),
        Task::Kernels(args) => kernels::kernels(&args),
        Task::Page => page::page(),
    }
}

fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
