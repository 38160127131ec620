//! SAM 2's video path, frame by frame.
//!
//! `golden.rs` needs only this repository; `small.rs` and `full.rs` read a larger set beside it.

mod frames;
mod full;
mod golden;
mod gradients;
mod small;
mod trace;
