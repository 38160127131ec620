//! Boxes and points that somebody drew: a JSON file.
//!
//! ```json
//! {
//!   "prompts": [
//!     { "label": 5, "box": [120, 200, 31, 180, 260, 47] },
//!     { "label": "Honeycombing", "slice": 40, "box": [300, 210, 352, 270] },
//!     { "label": 2, "slice": 52, "points": [{ "x": 130, "y": 240, "inside": true }, { "x": 150, "y": 240, "inside": false }] }
//!   ]
//! }
//! ```
//!
//! - Numbers are voxel indices of the CT as stored, from 0: `x` column, `y` row, `z` slice; both
//!   ends are included. Slices are whole numbers.
//! - Six numbers, `x0, y0, z0, x1, y1, z1`: a 3-D box. The journey starts on its middle slice and
//!   stays between `z0` and `z1`.
//! - Four numbers and `slice`: a 2-D box. The journey starts there and ends where the lesion is
//!   lost; `"span": [z0, z1]` bounds it.
//! - `points` and `slice`: places inside and outside the lesion, likewise.
//! - Of a CT whose stored slices are not axial only 3-D boxes are taken.
//! - `label` is an id or a name of the label table. Several entries with one label are components of
//!   one lesion class.

mod entry;
mod file_order;
mod label;
mod shapes;

use std::path::Path;

use serde::Deserialize;

use self::entry::Entry;
use crate::prompt::Track;
use crate::{Error, Result, Scan};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    prompts: Vec<Entry>,
}

/// What was expected, and what was found.
type Mismatch = (String, String);

/// Tracks from the boxes and points in the file at `path`.
///
/// # Errors
/// Refuses what is not this schema, labels that the table does not know, and places outside the CT;
/// says which entry.
pub fn tracks(path: &Path, scan: &Scan) -> Result<Vec<Track>> {
    let text = ild_io::read_text(path)?;
    let schema = "see `ild-infer --help` for the schema";
    let file: PromptFile = serde_json::from_str(&text).map_err(|error| {
        Error::refused(path, "a JSON file of prompts", error.to_string(), schema)
    })?;
    if file.prompts.is_empty() {
        return Err(Error::refused(path, "at least one prompt", "an empty list", schema));
    }
    let refuse = |i: usize, (expected, found): Mismatch| {
        Error::refused(path, format!("prompt {i} with {expected}"), found, schema)
    };
    file.prompts
        .iter()
        .enumerate()
        .map(|(i, entry)| {
            let entry = entry.in_array_order(scan.grid());
            entry.and_then(|entry| entry.track(scan)).map_err(|why| refuse(i + 1, why))
        })
        .collect()
}
