//! wip
#![allow(missing_docs)]
mod adamw;
mod augment;
mod ema;
mod gradients;
mod loader;
mod loss;
mod random;
mod sampler;
mod schedule;
mod tensorboard_wip {}
