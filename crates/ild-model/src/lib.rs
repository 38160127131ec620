//! The image path of SAM 2 in Candle.

pub mod checkpoint;
pub mod ops;
