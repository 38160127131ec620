//! The flags of `ild-train`, which are also the keys of the `[train]` table.

use std::path::PathBuf;

use clap::Args;
use ild_cli::IfOther;
use serde::Serialize;

use crate::run::recipe::Recipe;

/// What to train, on what, and where the results go.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainArgs {
    /// Folder with `train/` and, if there is one, `valid/`, each with `imgs/` and `gts/` (made by
    /// ild-preprocess npz-to-npy).
    #[arg(long, alias = "tr-npy-path", value_name = "DIR")]
    pub npy_dir: PathBuf,
    /// Size of the model, or a TOML file that describes one.
    #[arg(long, alias = "model-cfg", default_value = "t", value_name = "t|s|b+|l|nano|FILE.toml")]
    pub model: String,
    /// Weights to start from: Meta's .pt, a fine-tuned .pth or .safetensors. Without it training
    /// starts from seeded random weights.
    #[arg(long, alias = "pretrain-model-path", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
    /// Run folders are made in here.
    #[arg(long, default_value = "work_dir", value_name = "DIR")]
    pub work_dir: PathBuf,
    /// Name of the run; its folder is WORK_DIR/NAME-YYYYMMDD-HHMM (UTC).
    #[arg(long, default_value = "ild", value_name = "NAME")]
    pub task_name: String,
    /// Use exactly this folder instead; the same command then goes on with an unfinished run in it.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_dir: Option<PathBuf>,
    /// Go on from this run folder, state.safetensors, or reference .pth (model, optimizer, epoch).
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub resume: Option<PathBuf>,
    /// What to do where --run-dir holds a run of other settings, data or weights.
    #[arg(long, value_enum, default_value = "refuse")]
    #[serde(skip)]
    pub if_other: IfOther,
    /// Run one step, say how much memory and time training will take, and write nothing.
    #[arg(long)]
    #[serde(skip)]
    pub dry_run: bool,
    /// Threads that prepare slices while the model works.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub loader_threads: u16,
    /// Save the state every N steps as well as after each epoch, for machines that may go away; 0
    /// is off.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub save_every_steps: u64,
    /// How to train.
    #[command(flatten)]
    #[serde(flatten)]
    pub recipe: Recipe,
}
