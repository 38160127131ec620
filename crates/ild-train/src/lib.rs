//! Fine-tuning of SAM 2 on box-prompted slices of chest CT: dataset, loss, AdamW, trainer, exact resume.

mod adamw;
mod augment;
mod ema;
mod gradients;
mod loader;
mod loss;
mod random;
mod sampler;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, Moments};
pub use augment::{Augmentation, Warp};
pub use ema::Ema;
pub use gradients::Gradients;
pub use loader::Loader;
pub use loss::{Loss, dice_and_cross_entropy, enlarge};
pub use random::{Purpose, stream};
pub use sampler::{Draw, DrawOrder, draws_of_epoch, slices_of_class};
pub use schedule::{Decay, Schedule};
