//! The attributes of one slice that place and scale its pixels.

use std::path::{Path, PathBuf};

use dicom_object::InMemDicomObject;

use super::frames;
use super::identity::Identity;
use super::values::*;
use crate::files::dicom_file::{DicomFile, is_dicom};
use crate::{Error, Result};

/// Storage classes of pictures that were not acquired begin so.
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
/// And of segmentations, whatever kind.
const SEGMENTATION: &str = "1.2.840.10008.5.1.4.1.1.66";
/// RescaleType of Hounsfield units: said, modified, not specified, or left out (PS3.3 C.11.1.1.2).
const HOUNSFIELD: [&str; 4] = ["HU", "HU_MOD", "US", ""];
/// Longest row or column.
const LARGEST_SIDE: u32 = 16384;

/// What a file in a series folder is.
pub(super) enum Content {
    /// Image slices: one, or the frames of a multi-frame object.
    Slices(Vec<SliceHeader>),
    /// Something else, in a word.
    Other(String),
}

/// Header of one slice.
#[derive(Clone, Debug)]
pub(super) struct SliceHeader {
    pub path: PathBuf,
    /// Which frame of the file it is, from 0; `None` where the file is the slice.
    pub frame: Option<u32>,
    pub identity: Identity,
    pub modality: String,
    pub description: String,
    pub kernel: String,
    pub transfer_syntax: String,
    pub thickness_mm: Option<f64>,
    pub between_slices_mm: Option<f64>,
    pub rows: usize,
    pub columns: usize,
    /// Centre of the first pixel, LPS mm.
    pub position: [f64; 3],
    /// Direction of a row (growing column index), then of a column, LPS.
    pub orientation: [f64; 6],
    /// Distance between rows, then between columns, mm.
    pub pixel_spacing_mm: [f64; 2],
    pub slope: f64,
    pub intercept: f64,
    /// What the rescaled values are; empty where the header does not say.
    pub rescale_type: String,
    /// Stored values (16 bits, as they lie in the file) that stand for no measurement, first and
    /// last.
    pub padding: Option<[u16; 2]>,
    pub bits_allocated: u32,
    pub bits_stored: u32,
    pub high_bit: u32,
    pub signed: bool,
}

impl Content {
    /// Reads everything before the pixels.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if !is_dicom(path) {
            return Ok(Self::Other("not DICOM".to_owned()));
        }
        let object = DicomFile::checked(path)?.until(PIXEL_DATA)?;
        if let Some(what) = other_series(&object) {
            return Ok(Self::Other(what.to_owned()));
        }
        if whole(&object, ROWS).is_none() || whole(&object, COLUMNS).is_none() {
            return Ok(Self::Other(format!(
                "no image: {}",
                text(&object, MODALITY).unwrap_or_else(|| "DICOMDIR or report".to_owned())
            )));
        }
        let syntax = object.meta().transfer_syntax.trim_end_matches('\0').to_owned();
        let object = object.into_inner();
        let several = frames::is_enhanced(&object);
        let images = (0..).zip(frames::images(path, object)?);
        let slices = images.map(|(frame, image)| {
            Ok(SliceHeader { frame: several.then_some(frame), ..slice(path, &image, &syntax)? })
        });
        slices.collect::<Result<_>>().map(Self::Slices)
    }
}

/// Images that are made beside a series and are no slices of it: dose pages and screen shots
/// (secondary captures), and the radiograph on which the scan was planned.
fn other_series(object: &InMemDicomObject) -> Option<&'static str> {
    let class = text(object, SOP_CLASS_UID).unwrap_or_default();
    if class.starts_with(SEGMENTATION) {
        return Some("a segmentation, another series");
    }
    let unplaced = object.element_opt(IMAGE_POSITION).is_ok_and(|element| element.is_none());
    if class.starts_with(SECONDARY_CAPTURE) && unplaced {
        return Some("a secondary capture such as a dose page, another series");
    }
    let kind = all_text(object, IMAGE_TYPE).unwrap_or_default();
    let localizer = kind.split('\\').any(|value| value == "LOCALIZER" || value == "SCOUT");
    localizer.then_some("a localizer, another series")
}

/// PixelPaddingValue, alone or up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2).
fn padding(object: &InMemDicomObject) -> Option<[u16; 2]> {
    let first = word(object, PIXEL_PADDING_VALUE)?;
    Some([first, word(object, PIXEL_PADDING_RANGE_LIMIT).unwrap_or(first)])
}

fn slice(path: &Path, object: &InMemDicomObject, transfer_syntax: &str) -> Result<SliceHeader> {
    let [rows, columns] = [ROWS, COLUMNS].map(|tag| whole(object, tag).unwrap_or(0));
    let need = |name: &str, found: &str| {
        Error::refused(path, name, found, "export the original, axial images of the series")
    };
    if ![rows, columns].iter().all(|n| (1..=LARGEST_SIDE).contains(n)) {
        return Err(need("Rows and Columns of 1 to 16384", &format!("{rows} × {columns}")));
    }
    let frames = number(object, NUMBER_OF_FRAMES).unwrap_or(1.0);
    let samples = whole(object, SAMPLES_PER_PIXEL).unwrap_or(1);
    let photometric = text(object, PHOTOMETRIC).unwrap_or_default();
    if frames != 1.0 {
        let found = format!("{frames} frames without places of their own");
        return Err(need("one slice per file", &found));
    }
    if samples != 1 || photometric != "MONOCHROME2" {
        return Err(need("one MONOCHROME2 value per pixel", &format!("{samples} × {photometric}")));
    }
    let modality = text(object, MODALITY).unwrap_or_default();
    let (slope, intercept) = rescale(path, object, &modality)?;
    let rescale_type = text(object, RESCALE_TYPE).unwrap_or_default();
    if modality == "CT" && !HOUNSFIELD.contains(&rescale_type.as_str()) {
        return Err(need(
            "Hounsfield units (RescaleType HU)",
            &format!("RescaleType {rescale_type}, another quantity"),
        ));
    }
    let bits_allocated = whole(object, BITS_ALLOCATED).unwrap_or(0);
    let bits_stored = whole(object, BITS_STORED).unwrap_or(bits_allocated);
    let high_bit = whole(object, HIGH_BIT).unwrap_or(bits_stored.wrapping_sub(1));
    if ![8, 16].contains(&bits_allocated)
        || !(1..=bits_allocated).contains(&bits_stored)
        || !(bits_stored - 1..bits_allocated).contains(&high_bit)
    {
        return Err(need(
            "8 or 16 bits per pixel",
            &format!("{bits_allocated} allocated, {bits_stored} stored, high bit {high_bit}"),
        ));
    }
    Ok(SliceHeader {
        path: path.to_owned(),
        frame: None,
        identity: Identity::of(object),
        description: text(object, SERIES_DESCRIPTION).unwrap_or_default(),
        kernel: text(object, CONVOLUTION_KERNEL).unwrap_or_default(),
        transfer_syntax: transfer_syntax.to_owned(),
        thickness_mm: number(object, SLICE_THICKNESS).filter(|mm| *mm > 0.0),
        between_slices_mm: number(object, SPACING_BETWEEN_SLICES)
            .map(f64::abs)
            .filter(|mm| *mm > 0.0),
        rows: rows as usize,
        columns: columns as usize,
        position: numbers(object, IMAGE_POSITION)
            .ok_or_else(|| need("ImagePositionPatient, three numbers", "none"))?,
        orientation: numbers(object, IMAGE_ORIENTATION)
            .ok_or_else(|| need("ImageOrientationPatient, six numbers", "none"))?,
        pixel_spacing_mm: numbers::<2>(object, PIXEL_SPACING)
            .filter(|mm| mm.iter().all(|v| *v > 0.0))
            .ok_or_else(|| need("PixelSpacing, two lengths above zero", "none"))?,
        slope,
        intercept,
        rescale_type,
        padding: padding(object),
        bits_allocated,
        bits_stored,
        high_bit,
        signed: whole(object, PIXEL_REPRESENTATION) == Some(1),
        modality,
    })
}

/// Slope and intercept to Hounsfield units; a CT without them is refused, because 0 and −1024 are
/// equally plausible.
fn rescale(path: &Path, object: &InMemDicomObject, modality: &str) -> Result<(f64, f64)> {
    match (number(object, RESCALE_SLOPE), number(object, RESCALE_INTERCEPT)) {
        (Some(slope), Some(intercept)) if slope != 0.0 => Ok((slope, intercept)),
        (None, None) if modality != "CT" => Ok((1.0, 0.0)),
        (slope, intercept) => {
            let show =
                |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |v| v.to_string());
            Err(Error::refused(
                path,
                "RescaleSlope and RescaleIntercept, which turn stored values into Hounsfield units",
                format!("slope {}, intercept {}", show(slope), show(intercept)),
                "export the original images; a guessed intercept would shift every Hounsfield unit",
            ))
        }
    }
}
