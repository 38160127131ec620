//! `ild-io`: look at volumes and convert them.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ild_cli::Common;

/// Chest CT volumes and label maps: NIfTI, NRRD, NPZ and DICOM.
#[derive(Parser)]
#[command(name = "ild-io", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(commands::info::Args),
    Convert(commands::convert::Args),
    Pull(commands::pull::Args),
    Push(commands::push::Args),
}

fn main() -> ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli| match &cli.command {
            Command::Info(args) => commands::info::run(args, &cli.common),
            Command::Convert(args) => commands::convert::run(args, &cli.common),
            Command::Pull(args) => commands::pull::run(args, &cli.common),
            Command::Push(args) => commands::push::run(args, &cli.common),
        },
        |error| ild_io::Error::rejects(error) || ild_dicomweb::Error::rejects(error),
    )
}
