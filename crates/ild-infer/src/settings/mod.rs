//! From flags to decisions, made once.

pub mod checkpoints;
pub mod flags;
pub mod resolved;
pub mod rules;

pub use checkpoints::Checkpoints;
pub use flags::{AutoMask, Settings};
pub use resolved::{Method, Resolved};
pub use rules::RuleFlags;
