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

mod adamw;
mod args;
mod augment;
mod batch;
mod callback;
mod console;
mod dataset;
mod dry_run;
mod ema;
mod error;
mod exact;
mod files;
mod gradients;
mod history;
mod items;
mod loader;
mod loss;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod peers;
mod prepare;
mod progress;
mod random;
mod recipe;
mod reference;
mod run;
mod run_folder;
mod sampler;
mod sanity;
mod save;
mod schedule;
mod sidecar;
mod start;
mod state;
mod step_log;
mod summary;
mod tensorboard;
mod trainer;
mod validate;

pub use adamw::{AdamW, AdamWConfig, Moments};
pub use args::TrainArgs;
pub use augment::{Augmentation, Warp};
pub use batch::Batch;
pub use callback::{Callback, Position, RunInfo};
pub use console::Console;
pub use dataset::{ItemDraw, LABEL_SIZE, Sample, Slice, SliceDataset};
pub use dry_run::DryRun;
pub use ema::Ema;
pub use error::{Error, Result};
pub use files::{RunFiles, loss_curve};
pub use gradients::Gradients;
pub use history::{ClassDice, EpochRecord, MeanLoss, StepRecord, Validation};
pub use items::{ItemSettings, every_label};
pub use loader::Loader;
pub use loss::{Loss, dice_and_cross_entropy, enlarge};
#[cfg(feature = "mpi")]
pub use mpi::MpiPeers;
#[cfg(feature = "nccl")]
pub use nccl::NcclPeers;
pub use peers::{Alone, Peers};
pub use prepare::prepare;
pub use progress::{Best, Progress, RunningEpoch};
pub use random::{Purpose, stream};
pub use recipe::Recipe;
pub use run::run;
pub use run_folder::RunFolder;
pub use sampler::{Draw, DrawOrder, draws_of_epoch, slices_of_class};
pub use sanity::sanity_picture;
pub use save::require_finite_weights;
pub use schedule::{Decay, Schedule};
pub use start::Start;
pub use state::{Header, State, read_state_header, read_state_weights};
pub use tensorboard::EventFile;
pub use trainer::{Outcome, Setup, Trainer};
pub use validate::validate;
