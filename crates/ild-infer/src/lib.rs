//! 3-D inference: a box travels through the volume from slice to slice.
//!
//! A case becomes a [`Scan`] (pictures, and where they lie in the CT); a prompt becomes
//! [`journey::Track`]s; [`sweep`] runs all journeys over a [`SliceSegmenter`], whose features come
//! from [`encoder_cache`]; [`merge`] resolves overlaps; [`output`] puts the result on the CT's own
//! grid. `run` does that for every case of a folder.
//!
//! Deliberately absent: nothing here resamples a CT, and nothing reads ground truth unless the
//! prompt is `gt` or a picture shows it.

mod baseline;
mod case_file;
mod engine;
mod error;
mod one_case;
mod picture;
mod run;
mod sam2;
mod scan;
mod segmenter;
mod settings;
mod window_choice;

pub mod encoder_cache;
pub mod journey;
pub mod merge;
pub mod output;
pub mod prompt;
pub mod sweep;

pub use baseline::{Baseline, fill_boxes};
pub use case_file::{CaseFile, Shard, find_cases};
pub use engine::Engine;
pub use error::{Error, Result};
pub use one_case::{CaseFacts, Provenance};
pub use run::{Run, Summary};
pub use sam2::{Sam2Segmenter, encode, feature_bytes};
pub use scan::{Pictures, Scan};
pub use segmenter::{Prediction, Prompt, SliceSegmenter, THRESHOLD};
pub use settings::Settings;
