//! One file per sub-command.

pub mod convert;
pub mod info;
