//! `ild-train`: flags to library.

use clap::Parser;
use ild_train::{Error, TrainArgs, run};

/// Fine-tunes SAM 2 to segment lesions inside a box, on slices of chest CT.
///
/// Image encoder and mask decoder are trained, the prompt encoder is not. Everything beyond the
/// reference's recipe (schedule, accumulation, clipping, moving average, augmentation, early
/// stopping) is off unless asked for.
#[derive(Parser)]
#[command(name = "ild-train", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    #[command(flatten)]
    args: TrainArgs,
}

const EXAMPLES: &str = "Examples:
  ild-train --npy-dir npy --model t --pretrained sam2_hiera_tiny.pt --task-name ild --epochs 100 --batch-size 4
  ild-train --npy-dir npy --model t --pretrained sam2_hiera_tiny.pt --dry-run
  ild-train --config lab.toml --lr 6e-5            the [train] table of lab.toml, one setting changed
  ild-train --config work_dir/ild-20260101-0900/config.toml --resume work_dir/ild-20260101-0900

In the run folder: best, latest and initial .safetensors (weights), state.safetensors (to resume), history.csv,
steps.csv, loss.png, training.html (look at it while it trains), data_sanitycheck.png, tensorboard/, config.toml.
Ctrl-C and SIGTERM save the state first; going on from it gives the numbers of an uninterrupted run.";

fn main() -> std::process::ExitCode {
    let train = |cli: Cli| match run(&cli.common, &cli.args) {
        Err(Error::Settings(message)) => Err(ild_cli::Usage(message).into()),
        other => Ok(other?),
    };
    ild_cli::main(|cli: &Cli| &cli.common, train, Error::rejects)
}
