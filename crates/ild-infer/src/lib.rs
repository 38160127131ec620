//! 3-D inference: prompts on slices of a chest CT become one label map on its grid.
//!
//! ```text
//! case_file, scan, window_choice    a case: pictures, and where they lie in the CT
//! preset                            pictures as MedSAM2's scripts make them
//! prompt                            where journeys start: truth, drawn, mask, heuristic → tracks
//! find                              lesions without a prompt: the checkpoint's own classes
//! propagate                         how answers are carried from slice to slice: the box's journey, memory
//! model                             weights; features by slice, ahead or kept; answers to prompts
//! merge                             overlaps and islands → one label map
//! output                            files on the CT's own grid, with their provenance
//! session                           all of that on an open case, for programs that click
//! run                               all of that for every case of a folder
//! ```
//!
//! Slices and places have types ([`coordinates`], [`ild_model::SliceBox`], [`ild_model::InputBox`]):
//! a slice of the stack is no slice of the CT, a pixel of the slice none of the model's input.
//!
//! Deliberately absent: nothing here resamples a CT, and nothing reads ground truth unless the
//! prompt is one of `gt` or a picture shows it.

mod baseline;
mod case_file;
mod error;
mod preset;
mod provenance;
mod scan;
mod session;
mod stop;
mod window_choice;

pub mod coordinates;
pub mod find;
pub mod merge;
pub mod model;
pub mod output;
pub mod pieces;
pub mod prompt;
pub mod propagate;
pub mod run;
pub mod settings;

pub use baseline::{Baseline, fill_boxes};
pub use case_file::{CaseFile, Shard, find_cases};
pub use error::{Error, Result};
pub use model::answer::{Prediction, Range, Scores, SliceSegmenter, THRESHOLD};
pub use model::engine::Engine;
pub use preset::Preset;
pub use provenance::Provenance;
pub use run::Run;
pub use scan::{Pictures, Scan};
pub use session::{FeatureStore, JourneySettings, Session};
pub use settings::Settings;
pub use stop::Stop;
