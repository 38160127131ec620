//! `ild-fit`: flags → library → exit code.

use std::process::ExitCode;

use clap::Parser;
use ild_cli::Common;
use ild_fit::{Error, FitSettings};

/// Fits the rules by which `ild-infer --prompt auto` finds lesions to the validation patients of
/// some weights, and writes a copy of the weights that says so.
///
/// The model looks at each case once; then rule by rule other values are tried. What the rules gain on
/// patients whom they were not fitted on decides whether they replace the defaults.
#[derive(Parser)]
#[command(name = "ild-fit", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    settings: FitSettings,
}

const EXAMPLES: &str = "Examples:
  ild-fit --checkpoint work/best.safetensors --input imagesTr --valid npz/npz_valid --output fit
  ild-infer --input imagesTs --checkpoint fit/fitted.safetensors --prompt auto --output pred
  ild-model inspect fit/fitted.safetensors         what was fitted, and how

In the folder: fitted.safetensors (the same weights, with the rules), fit.json (everything), tried.csv.";

fn main() -> ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli: Cli| Ok(ild_fit::run(&cli.settings, &cli.common)?),
        Error::rejects,
    )
}
