//! The numbers are PyTorch's: `docs/parity.md` lists these tests with what they measured.
//!
//! `golden.rs` needs only this repository. The others hold the model against a larger set of arrays
//! in `../shared` beside the workspace, and say so and pass where it is absent.

mod compare;
mod full;
mod generator;
mod golden;
mod gradients;
mod instructions;
mod reading;
mod resizing;
mod round_trip;
mod small;
mod trace;
mod video;
