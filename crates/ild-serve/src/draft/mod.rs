//! Masks that somebody is working on: slices as runs of one label, steps that can be undone, and the
//! copy on the disk that survives the server.
//!
//! ```text
//! runs      a slice
//! record    what was done to it
//! history   a mask and how it came to be what it is
//! drafts    all masks that are worked on, by case
//! ```

mod drafts;
mod history;
mod record;
mod runs;

pub use drafts::{Draft, Drafts, held};
pub use history::History;
pub use record::{Made, Record};
pub use runs::Runs;
