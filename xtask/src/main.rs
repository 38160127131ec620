//! `cargo xtask`: chains the ild programs and runs the project's checks.
//!
//! What the stages are is data (`pipeline/stages.toml`, `pipeline/sample.toml`); the code here only
//! knows settings, programs, files and their order.

mod arrows;
mod cargo;
mod child;
mod claims;
mod cross_validate;
mod cuda_env;
mod dependencies;
mod kernels;
mod page;
mod peers;
mod run;
mod settings;
mod stage;
mod stamp;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

/// Chains the ild programs and runs the project's checks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    #[command(subcommand)]
    task: Task,
}

const EXAMPLES: &str = "Examples:
  cargo xtask pipeline                                 the sample run, from synthetic CT to the report
  cargo xtask pipeline --config my.toml                your own data
  cargo xtask train --set train.epochs=50              stages up to training, one setting changed
  cargo xtask cross-validate --folds 5                 every patient predicted once, by weights that never saw them
  cargo xtask infer --set infer.checkpoint=best.safetensors
  cargo xtask bench metrics --python venv/bin/python   against the usual Python programs
  cargo xtask settings                                 every setting of the run, as TOML to copy";

#[derive(Subcommand)]
enum Task {
    /// All stages, from CT to report; stages whose inputs have not changed are skipped.
    Pipeline(RunArgs),
    /// The stages before training.
    Preprocess(RunArgs),
    /// The stages up to and with training.
    Train(RunArgs),
    /// Segmentation and its evaluation.
    Infer(RunArgs),
    /// Evaluation alone.
    Evaluate(RunArgs),
    /// Every patient predicted once, by weights that never saw them: all stages for each fold, then
    /// one evaluation. Stages that are done are skipped, in every fold.
    CrossValidate {
        #[command(flatten)]
        cross: cross_validate::CrossArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Print the settings of a run as TOML, defaults and changes together.
    Settings(RunArgs),
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

#[derive(Args)]
struct RunArgs {
    /// Change one setting, e.g. `train.epochs=50`; may be given many times and wins over
    /// `--config`.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,
    /// Print what would run, and run nothing.
    #[arg(long)]
    dry_run: bool,
}

fn main() -> ExitCode {
    ild_cli::main_without_config(|cli: &Cli| &cli.common, start, |_| false)
}

fn start(cli: Cli) -> anyhow::Result<()> {
    // As the user sees it, from where he is.
    let config = cli.common.config.as_deref().map(std::path::absolute).transpose()?;
    std::env::set_current_dir(workspace_root()).context("the workspace folder is gone")?;
    let (task, args) = match &cli.task {
        Task::Test { rest } => return cargo::test(rest),
        Task::Soak { minutes } => return cargo::soak(*minutes),
        Task::Check => return cargo::check(),
        Task::Bench(args) => return peers::bench(args, &cli.common),
        Task::CudaEnv(args) => return cuda_env::cuda_env(args),
        Task::GpuCheck { rest } => return cargo::gpu_check(rest),
        Task::Kernels(args) => return kernels::kernels(args),
        Task::Page => return page::page(),
        Task::Pipeline(args) => ("pipeline", args),
        Task::Preprocess(args) => ("preprocess", args),
        Task::Train(args) => ("train", args),
        Task::Infer(args) => ("infer", args),
        Task::Evaluate(args) => ("evaluate", args),
        Task::CrossValidate { run, .. } => ("cross-validate", run),
        Task::Settings(args) => ("settings", args),
    };
    let settings = settings::Settings::load(config.as_deref(), &args.set)?;
    if task == "settings" {
        ild_cli::say(settings.to_toml()?.trim_end())?;
        return Ok(());
    }
    if let Task::CrossValidate { cross, run } = &cli.task {
        return cross_validate::cross_validate(cross, &settings, &cli.common, run.dry_run);
    }
    run::run(task, &settings, &cli.common, args.dry_run)
}

fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
