//! From answers to one label map: overlaps are resolved, islands dropped.

pub mod islands;
pub mod merger;
pub mod patch;
pub mod spread;

pub use islands::Dropped;
pub use merger::{LabelPrediction, Merger};
pub use patch::SlicePatch;
pub use spread::Spread;
