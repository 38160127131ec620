//! Where a journey's start prompt comes from.

pub mod auto;
pub mod boxes;
pub mod ground_truth;
pub mod mask;
pub mod points;
pub mod source;

pub use source::PromptSource;
