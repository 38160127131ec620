//! Masks that somebody is working on: slices as runs of one label, steps that can be undone, and the
//! copy on the disk that survives the server.
//!
//! ```text
//! runs      a slice
//! history   a mask and how it came to be what it is
//! drafts    all masks that are worked on, by case
//! ```

mod drafts;
mod history;
mod runs;

pub use drafts::{Draft, Drafts, held};
pub use history::{History, Made};
pub use runs::Runs;
