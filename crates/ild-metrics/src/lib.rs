//! Numbers a reviewer would accept: how well a segmentation agrees with ground truth, and how sure that is.

pub mod chart;
mod error;
pub mod statistics;

pub use error::{Error, Result};
