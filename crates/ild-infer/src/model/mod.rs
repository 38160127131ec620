//! The model: loaded once, its features computed ahead or kept, its answers slice by slice.

pub mod answer;
pub mod decode;
pub mod encode;
pub mod engine;
pub mod features;
pub mod views;
