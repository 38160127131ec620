//! From flags to decisions, made once.

pub mod flags;
pub mod resolved;

pub use flags::{AutoMask, Settings};
pub use resolved::{Method, Resolved};
