//! `ild`: the programs that lie beside it, chained.

use std::process::ExitCode;

use clap::Parser;
use ild::{Task, examples, folder_of_this_program};

/// From a chest CT to measured lesions of interstitial lung disease: all steps, or the one you name.
///
/// Settings: the sample's, those of `--config FILE.toml` over them, single `--set`s over both;
/// `ild settings` prints them all.
#[derive(Parser)]
#[command(name = "ild", version, after_help = examples("ild"))]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    #[command(subcommand)]
    task: Task,
}

fn main() -> ExitCode {
    ild_cli::main_without_config(
        |cli: &Cli| &cli.common,
        |cli| cli.task.run(&cli.common, folder_of_this_program),
        |_| false,
    )
}
