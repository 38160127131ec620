//! A folder of DICOM slices as one volume.
//!
//! Standard: PS3.3 C.7.6.2 (Image Plane), C.7.6.3 (Image Pixel), C.8.2.1 (CT Image). Files are
//! sorted by position, never by instance number or name; DICOM's LPS becomes RAS in [`stack`] and
//! nowhere else.

mod caught;
mod files;
mod header;
mod identity;
mod lengths;
mod pixels;
mod rle;
mod stack;
mod values;

use std::path::Path;

use crate::{Result, Volume};

pub(crate) use files::is_dicom;
use header::SliceHeader;
use pixels::Decoded;

/// What a series says about itself besides voxels; nothing that identifies the patient.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SeriesFacts {
    /// `CT`, `MR`, ...
    pub modality: String,
    /// The series description.
    pub description: String,
    /// Reconstruction kernel.
    pub kernel: String,
    /// Nominal slice thickness, mm; the spacing of the volume is the distance between positions.
    pub thickness_mm: Option<f64>,
    /// Number of slices.
    pub slices: usize,
    /// UID of the transfer syntax of the first slice.
    pub transfer_syntax: String,
    /// What was passed over or is odd.
    pub notes: Vec<String>,
}

/// Reads the one series in `path`, a folder or a single DICOM file.
///
/// Voxels are `i16` when slope, intercept and the values allow it, else `i32`, or `f32` when the
/// rescaling is fractional.
///
/// # Errors
/// Rejects a folder without DICOM images or with several series or stacks, slices of different size
/// or orientation, missing, doubled, unevenly spaced or drifting slices, a tilted gantry, a CT
/// without rescale slope and intercept or in another quantity than Hounsfield units, colour,
/// multi-frame files, and compressions that cannot be decoded.
pub fn read_dicom_series(path: &Path) -> Result<(Volume, SeriesFacts)> {
    let (headers, mut notes) = files::headers(path)?;
    let stack = stack::order(path, headers)?;
    let Decoded { voxels, padded } = pixels::decode(path, &stack.slices)?;
    let first = &stack.slices[0];
    notes.extend(stack.notes);
    notes.extend(pixels::padding_note(first, padded));
    if first.modality == "CT" && !["HU", ""].contains(&first.rescale_type.as_str()) {
        notes.push(format!("RescaleType is {}: are these Hounsfield units?", first.rescale_type));
    }
    let facts = SeriesFacts {
        modality: first.modality.clone(),
        description: first.description.clone(),
        kernel: first.kernel.clone(),
        thickness_mm: first.thickness_mm,
        slices: stack.slices.len(),
        transfer_syntax: first.transfer_syntax.clone(),
        notes,
    };
    Ok((Volume { voxels, geometry: stack.geometry }, facts))
}
