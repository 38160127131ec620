//! Boxes (and points) drawn by somebody: a JSON file.
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
//!   ends are included.
//! - Six numbers, `x0, y0, z0, x1, y1, z1`: a 3-D box. The journey starts on its middle slice and
//!   stays between `z0` and `z1`.
//! - Four numbers and `slice`: a 2-D box. The journey starts there and ends where the lesion is
//!   lost; `"span": [z0, z1]` bounds it.
//! - `points` and `slice`: places inside and outside the lesion, likewise.
//! - Several entries with one label are components of one lesion class.

use std::path::Path;

use serde::Deserialize;

use super::points::{self, Point};
use crate::journey::Track;
use crate::{Error, Prompt, Result, Scan};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    prompts: Vec<Entry>,
}

/// One drawn prompt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    label: LabelRef,
    slice: Option<usize>,
    #[serde(rename = "box")]
    corners: Option<Vec<f64>>,
    points: Option<Vec<Point>>,
    span: Option<[usize; 2]>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum LabelRef {
    Id(u8),
    Name(String),
}

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
    let refuse = |i: usize, (expected, found): (String, String)| {
        Error::refused(path, format!("prompt {i} with {expected}"), found, schema)
    };
    file.prompts
        .iter()
        .enumerate()
        .map(|(i, entry)| track(entry, scan).map_err(|why| refuse(i + 1, why)))
        .collect()
}

/// What was expected, and what was found.
pub(super) type Mismatch = (String, String);

fn track(entry: &Entry, scan: &Scan) -> std::result::Result<Track, Mismatch> {
    let label = label_id(&entry.label, scan)?;
    match (&entry.corners, &entry.points, entry.slice) {
        (Some(corners), None, None) => volume_box(corners, label, scan),
        (Some(corners), None, Some(slice)) => {
            let &[x0, y0, x1, y1] = corners.as_slice() else {
                return Err(numbers("4 numbers beside `slice`", corners));
            };
            on_slice(
                slice,
                entry.span,
                label,
                Prompt::Box(checked_box([x0, y0, x1, y1], scan)?),
                scan,
            )
        }
        (None, Some(points), Some(slice)) => {
            on_slice(slice, entry.span, label, points::prompt(points, scan)?, scan)
        }
        _ => Err((
            "a 3-D `box`, or `slice` with `box`, or `slice` with `points`".into(),
            "something else".into(),
        )),
    }
}

fn label_id(label: &LabelRef, scan: &Scan) -> std::result::Result<u8, Mismatch> {
    let table = &scan.label_table.0;
    let known = || {
        table
            .iter()
            .map(|(id, label)| format!("{id} {}", label.name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match label {
        LabelRef::Id(0) => Err(("a label above 0".into(), "0, the background".into())),
        LabelRef::Id(id) => Ok(*id),
        LabelRef::Name(name) => table
            .iter()
            .find(|(_, label)| label.name.eq_ignore_ascii_case(name))
            .map(|(&id, _)| id)
            .ok_or_else(|| (format!("one of the labels {}", known()), format!("`{name}`"))),
    }
}

fn numbers(expected: &str, found: &[f64]) -> Mismatch {
    (expected.into(), format!("{found:?}"))
}

fn checked_box(corners: [f64; 4], scan: &Scan) -> std::result::Result<[f64; 4], Mismatch> {
    let [_, height, width] = scan.stack_shape();
    let [x0, y0, x1, y1] = corners;
    let inside =
        x0 >= 0.0 && y0 >= 0.0 && x1 <= width as f64 && y1 <= height as f64 && x0 <= x1 && y0 <= y1;
    if inside {
        Ok(corners)
    } else {
        Err(numbers(
            &format!("x0 <= x1 within 0..{width} and y0 <= y1 within 0..{height}"),
            &corners,
        ))
    }
}

fn volume_box(corners: &[f64], label: u8, scan: &Scan) -> std::result::Result<Track, Mismatch> {
    let &[x0, y0, z0, x1, y1, z1] = corners else {
        return Err(numbers("6 numbers, or 4 beside `slice`", corners));
    };
    let depth = scan.grid().shape_zyx[0];
    if !(z0 >= 0.0 && z0 <= z1 && z1 < depth as f64) {
        return Err(numbers(&format!("z0 <= z1 within 0..{depth}"), corners));
    }
    let span = scan
        .stack_span([z0 as usize, z1 as usize])
        .ok_or_else(|| not_in_stack(&format!("{z0} to {z1}")))?;
    let prompt = Prompt::Box(checked_box([x0, y0, x1, y1], scan)?);
    Ok(Track { label, start: span[0] + (span[1] - span[0]) / 2, span, prompt })
}

fn not_in_stack(slices: &str) -> Mismatch {
    ("slices that the stack holds".into(), format!("slice {slices}, which it does not"))
}

fn on_slice(
    slice: usize,
    span: Option<[usize; 2]>,
    label: u8,
    prompt: Prompt,
    scan: &Scan,
) -> std::result::Result<Track, Mismatch> {
    let start = scan
        .z_index()
        .iter()
        .position(|&z| z == slice)
        .ok_or_else(|| not_in_stack(&slice.to_string()))?;
    let span = match span {
        None => [0, scan.z_index().len() - 1],
        Some([z0, z1]) if z0 <= slice && slice <= z1 => {
            scan.stack_span([z0, z1]).unwrap_or([start, start])
        }
        Some(span) => return Err((format!("a `span` around slice {slice}"), format!("{span:?}"))),
    };
    Ok(Track { label, start, span, prompt })
}
