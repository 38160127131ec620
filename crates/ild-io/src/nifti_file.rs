//! NIfTI-1 files.

use std::path::Path;

use crate::{LabelMap, Result, Volume};

/// Reads a 3-D volume (4-D with one time point is accepted).
///
/// # Errors
/// See the crate's list of refusals.
pub fn read_volume(path: &Path) -> Result<Volume> {
    todo!("{}", path.display())
}

/// Reads a label map; values must be whole and within 0..=255.
///
/// # Errors
/// As [`read_volume`], and for label values that are not.
pub fn read_label_map(path: &Path) -> Result<LabelMap> {
    todo!("{}", path.display())
}

/// Writes a volume in its own type with its affine.
///
/// # Errors
/// When the file cannot be written.
pub fn write_volume(path: &Path, volume: &Volume) -> Result<()> {
    todo!("{} {volume:?}", path.display())
}

/// Writes a label map as `uint8` with its affine and the NIfTI intent `label`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_label_map(path: &Path, map: &LabelMap) -> Result<()> {
    todo!("{} {map:?}", path.display())
}
