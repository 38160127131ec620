//! One file per sub-command.

pub mod archive;
pub mod convert;
pub mod info;
pub mod pull;
pub mod push;
