//! What fault tests share: a cohort of a second or two, every program's command over it, and what of
//! its output has to be the same whatever happened on the way.

mod attack;
mod chain;
mod lab;
mod tree;

pub use attack::{
    Ending, kill_after, limited_to_blocks, limited_to_memory, moments, without_threads,
};
pub use chain::killed_pipelines;
pub use lab::{Lab, PROGRAMS, Program, finished};
pub use tree::{Tree, results, strays, tree};
