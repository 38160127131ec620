//! An archive's DICOMweb (PS3.18): what it holds, fetching, sending.
//!
//! ```text
//! access      whose archive, and how it is entered: address, token, certificate
//! archive     one request and its answer; errors in words
//! search      QIDO-RS: series of a study, instances of a series
//! retrieve    WADO-RS: a series, instance by instance
//! store       STOW-RS: one file
//! multipart   parts of a message (RFC 2387), read one after the other
//! ```
//!
//! This crate holds the only code of ild that talks to a network, and only with the address that it is
//! given: redirections are not followed, no proxy is asked, nothing is looked up anywhere else.

mod access;
mod archive;
mod error;
mod multipart;
mod retrieve;
mod search;
mod store;

pub use access::Access;
pub use archive::Archive;
pub use error::{Error, Result};
pub use search::{Series, Wanted};
