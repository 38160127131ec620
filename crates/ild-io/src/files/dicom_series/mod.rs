//! DICOM slices of a folder, an archive or a multi-frame file as one volume.
//!
//! Standard: PS3.3 C.7.6.2 (Image Plane), C.7.6.3 (Image Pixel), C.8.2.1 (CT Image). Files are
//! sorted by position, never by instance number or name; DICOM's LPS becomes RAS in [`stack`] and
//! nowhere else.

mod caught;
mod files;
pub(in crate::files) mod frames;
mod header;
mod identity;
mod jpeg_ls;
mod padding;
mod pixels;
mod rle;
mod stack;
mod syntax;
mod upright;
pub(in crate::files) mod values;

use std::path::{Path, PathBuf};

use crate::{Geometry, Result, Volume};

use header::SliceHeader;
use pixels::Decoded;
pub(in crate::files) use stack::{Axes, grid};
pub(in crate::files) use upright::Tilt;

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

/// Reads the one series in `path`, a folder, a zip archive or a single DICOM file.
///
/// Voxels are `i16` when slope, intercept and the values allow it, else `i32`, or `f32` when the
/// rescaling is fractional.
///
/// # Errors
/// Rejects a folder without DICOM images or with several series or stacks, slices of different size
/// or orientation, missing, doubled, unevenly spaced or drifting slices, a tilted gantry, a CT
/// without rescale slope and intercept or in another quantity than Hounsfield units, colour,
/// frames without places, and compressions that cannot be decoded.
pub fn read_dicom_series(path: &Path) -> Result<(Volume, SeriesFacts)> {
    read(path, files::headers(path)?, false)
}

/// [`read_dicom_series`] of these files, for instance one series of several in a folder; `path` is
/// what messages name. With `upright`, slices of a tilted gantry are shifted to a right-angled grid.
///
/// # Errors
/// As [`read_dicom_series`].
pub fn read_series_files(
    path: &Path,
    files: &[PathBuf],
    upright: bool,
) -> Result<(Volume, SeriesFacts)> {
    read(path, files::headers_of(path, files, &[])?, upright)
}

fn read(
    path: &Path,
    (headers, mut notes): (Vec<SliceHeader>, Vec<String>),
    upright: bool,
) -> Result<(Volume, SeriesFacts)> {
    let stack = stack::order(path, headers, upright)?;
    let Decoded { mut voxels, padded } = pixels::decode(path, &stack.slices)?;
    let first = &stack.slices[0];
    if let Some(tilt) = &stack.tilt {
        voxels = tilt.upright(&voxels, f64::from(pixels::padding_becomes(first)));
    }
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

/// The slices of a series in space, without their pixels.
pub(in crate::files) struct Ordered {
    /// File and frame of each.
    pub slices: Vec<(PathBuf, Option<u32>)>,
    pub geometry: Geometry,
    pub tilt: Option<Tilt>,
    pub notes: Vec<String>,
}

/// The slices of the one series in `path`, in order.
pub(in crate::files) fn ordered(path: &Path) -> Result<Ordered> {
    in_order(path, files::headers(path)?, false)
}

/// The same of these files; `upright` as in [`read_series_files`].
pub(in crate::files) fn ordered_files(
    path: &Path,
    files: &[PathBuf],
    upright: bool,
) -> Result<Ordered> {
    in_order(path, files::headers_of(path, files, &[])?, upright)
}

fn in_order(
    path: &Path,
    (headers, mut notes): (Vec<SliceHeader>, Vec<String>),
    upright: bool,
) -> Result<Ordered> {
    let stack = stack::order(path, headers, upright)?;
    notes.extend(stack.notes);
    let slices = stack.slices.into_iter().map(|slice| (slice.path, slice.frame)).collect();
    Ok(Ordered { slices, geometry: stack.geometry, tilt: stack.tilt, notes })
}
