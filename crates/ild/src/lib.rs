//! Chains the programs of this project: the pipeline from CT to report, parts of it,
//! cross-validation, learning curve; and says what the machine can do.
//!
//! What the stages are is data (`pipeline/stages.toml`, `pipeline/sample.toml`); the code here only
//! knows settings, programs, files and their order. The program `ild` finds the others beside
//! itself; `cargo xtask` builds them first.

mod beside;
mod child;
mod cross_validate;
mod doctor;
mod learning_curve;
mod parts;
mod run;
mod settings;
mod stage;
mod stamp;
mod task;

pub use beside::folder_of_this_program;
pub use stage::files_below;
pub use task::{Task, examples};
