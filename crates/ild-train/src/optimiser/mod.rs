//! One optimiser step, in the order of operations of PyTorch.

pub(crate) mod adamw;
pub(crate) mod dense_loss;
pub(crate) mod ema;
pub(crate) mod epoch_mean;
pub(crate) mod gradients;
pub(crate) mod loss;
pub(crate) mod mask_sums;
pub(crate) mod prompt_loss;
pub(crate) mod schedule;
