//! A lesion label for every voxel.

use std::path::Path;

use ndarray::Array3;

use crate::volume::Number;
use crate::{Error, Geometry, Result, Voxels, with_voxels};

/// Label ids `[z, y, x]`; 0 is background.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMap {
    /// Ids.
    pub labels: Array3<u8>,
    /// Grid.
    pub geometry: Geometry,
}

impl LabelMap {
    /// The ids that occur, without 0, ascending.
    #[must_use]
    pub fn ids(&self) -> Vec<u8> {
        let mut seen = [false; 256];
        for &id in &self.labels {
            seen[usize::from(id)] = true;
        }
        (1..=255).filter(|&id| seen[usize::from(id)]).collect()
    }
}

/// How many offending values a refusal shows.
const SHOWN_VALUES: usize = 6;

/// Voxels as label ids.
///
/// # Errors
/// When a value is not whole or not within 0..=255; names the values and how many voxels have one.
pub(crate) fn whole_labels(voxels: Voxels, path: &Path) -> Result<Array3<u8>> {
    if let Voxels::U8(labels) = voxels {
        return Ok(labels);
    }
    with_voxels!(voxels, values => {
        let bad = values.iter().filter(|&&v| !is_id(v)).count();
        if bad > 0 {
            return Err(not_labels(path, bad, values.iter().filter(|&&v| !is_id(v)).map(|&v| v.as_f64())));
        }
        Ok(values.mapv(Number::as_u8))
    })
}

/// Comparing after the round trip through `u8` holds for every type, and is false for NaN.
fn is_id<T: Number>(value: T) -> bool {
    value.as_f64() == f64::from(value.as_u8())
}

fn not_labels(path: &Path, count: usize, values: impl Iterator<Item = f64>) -> Error {
    let mut distinct: Vec<f64> = Vec::new();
    for value in values {
        if !distinct.iter().any(|d| d.total_cmp(&value).is_eq()) {
            distinct.push(value);
        }
        if distinct.len() > SHOWN_VALUES {
            break;
        }
    }
    let more = if distinct.len() > SHOWN_VALUES { " and others" } else { "" };
    let shown: Vec<String> = distinct.iter().take(SHOWN_VALUES).map(f64::to_string).collect();
    Error::refused(
        path,
        "label ids: whole numbers from 0 to 255",
        format!("{} in {count} voxels", shown.join(", ") + more),
        "remap the ids, or check that this is the label file and not the CT",
    )
}
