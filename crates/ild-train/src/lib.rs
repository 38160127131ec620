//! Fine-tuning of SAM 2 on box-prompted slices of chest CT.
//!
//! ```text
//! dataset ─ sampler ─ items ─ loader     slices on disk become items, in a seeded order, ahead of the model
//! loss ─ gradients ─ adamw ─ schedule    one optimiser step, in PyTorch's order of operations
//! trainer ─ validate ─ save ─ state      the loop, and a file from which it goes on bit for bit
//! callback ─ files ─ console             what a person sees
//! ```
//!
//! The numbers of a run depend on data, recipe, seed and starting weights; not on loader threads,
//! nor on whether and where it was interrupted. See [`Trainer`] for the use as a library.

mod data;
mod error;
mod optimiser;
mod peers;
mod random;
mod run;
mod watch;

pub use data::augment::{Augmentation, Warp};
pub use data::batch::{Asked, Batch};
pub use data::dataset::{Declared, ItemDraw, LABEL_SIZE, Sample, Slice, SliceDataset};
pub use data::dense::{Dense, DenseTarget};
pub use data::items::{Asking, ItemSettings, every_label};
pub use data::loader::Loader;
pub use data::prompts::{Given, Lesion, POINTS, Prompt, Questions, lesions};
pub use data::sampler::{Draw, DrawOrder, draws_of_epoch, slices_of_class};
pub use data::sanity::sanity_picture;
pub use error::{Error, Result};
pub use optimiser::adamw::{AdamW, AdamWConfig, Moments};
pub use optimiser::dense_loss::{DenseLoss, dense_loss};
pub use optimiser::ema::Ema;
pub use optimiser::epoch_mean::EpochMean;
pub use optimiser::gradients::Gradients;
pub use optimiser::loss::{Loss, dice_and_cross_entropy};
pub use optimiser::prompt_loss::prompt_loss;
pub use optimiser::schedule::{Decay, Schedule};
#[cfg(feature = "mpi")]
pub use peers::mpi::MpiPeers;
#[cfg(feature = "nccl")]
pub use peers::nccl::NcclPeers;
pub use peers::{Alone, Peers};
pub use random::{Purpose, stream};
pub use run::args::TrainArgs;
pub use run::dry_run::DryRun;
pub use run::objective::{Losses, Objective};
pub use run::prepare::prepare;
pub use run::progress::{Averaged, Best, Progress, RunningEpoch};
pub use run::recipe::Recipe;
pub use run::run;
pub use run::run_folder::RunFolder;
pub use run::setup::Setup;
pub use run::start::Start;
pub use run::state::{Header, State, read_state_header, read_state_weights};
pub use run::trainer::{Outcome, Trainer};
pub use run::validate::validate;
pub use watch::callback::{Callback, Position, RunInfo};
pub use watch::console::Console;
pub use watch::files::{RunFiles, loss_curve};
pub use watch::history::{
    ClassDice, EpochRecord, HeadLoss, HeadScore, MeanLoss, Overlap, StepRecord, Validation,
};
pub use watch::page::RunPage;
pub use watch::tensorboard::EventFile;
pub use watch::worst::{Worst, WorstSlice};
