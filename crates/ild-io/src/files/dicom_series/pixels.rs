//! Stored pixels of every slice, decoded and rescaled.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use dicom_object::open_file;
use dicom_pixeldata::PixelDecoder;
use ndarray::{Array3, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::caught::caught;
use super::header::damaged;
use super::{SliceHeader, rle};
use crate::files::input::check_promise;
use crate::{Error, Result, Voxels};

/// Transfer syntaxes that are common but not decoded here.
const NOT_DECODED: [(&str, &str); 6] = [
    ("1.2.840.10008.1.2.4.80", "JPEG-LS lossless"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless"),
    ("1.2.840.10008.1.2.4.110", "JPEG XL lossless"),
    ("1.2.840.10008.1.2.4.112", "JPEG XL"),
    ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 lossless"),
    ("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"),
];

/// Hounsfield units of air, which pixels outside the reconstruction become.
const AIR_HU: i32 = -1000;

/// Padding within these is left as it is: it looks like the air that it stands for.
const PLAUSIBLE_AIR_HU: std::ops::RangeInclusive<f64> = -1100.0..=-900.0;

/// Rescaled values, and how many of them are padding.
pub(super) struct Decoded {
    pub voxels: Voxels,
    pub padded: u64,
}

/// What padding became, if there was any.
pub(super) fn padding_note(first: &SliceHeader, padded: u64) -> Option<String> {
    let became = format!("became {}", padding_becomes(first));
    (padded > 0).then(|| format!("{padded} voxels of padding (PixelPaddingValue) {became}"))
}

/// In a CT air; elsewhere nothing.
fn padding_becomes(slice: &SliceHeader) -> i32 {
    if slice.modality == "CT" { AIR_HU } else { 0 }
}

/// Decodes all slices, in parallel.
pub(super) fn decode(path: &Path, slices: &[SliceHeader]) -> Result<Decoded> {
    let shape = (slices.len(), slices[0].rows, slices[0].columns);
    // Held twice for a moment as 32-bit values; files of a series are at most a little smaller than
    // their pixels.
    check_promise(path, shape.0 as u64 * shape.1 as u64 * shape.2 as u64 * 4, u64::MAX, "voxels")?;
    let whole = slices.iter().all(|s| {
        s.slope.fract() == 0.0
            && s.intercept.fract() == 0.0
            && s.slope.abs() < 1e4
            && s.intercept.abs() < 1e6
    });
    if !whole {
        let scaled = |slice: &SliceHeader, value: Option<i32>| match value {
            Some(value) => (f64::from(value) * slice.slope + slice.intercept) as f32,
            None => padding_becomes(slice) as f32,
        };
        let (values, padded) = fill(slices, shape, scaled)?;
        return Ok(Decoded { voxels: Voxels::F32(values), padded });
    }
    let scaled = |slice: &SliceHeader, value: Option<i32>| match value {
        Some(value) => value * slice.slope as i32 + slice.intercept as i32,
        None => padding_becomes(slice),
    };
    let (values, padded) = fill(slices, shape, scaled)?;
    let fits = values.iter().all(|&v| i16::try_from(v).is_ok());
    let voxels = if fits { Voxels::I16(values.mapv(|v| v as i16)) } else { Voxels::I32(values) };
    Ok(Decoded { voxels, padded })
}

fn fill<T: Clone + Default + Send + Sync>(
    slices: &[SliceHeader],
    shape: (usize, usize, usize),
    scaled: impl Fn(&SliceHeader, Option<i32>) -> T + Sync,
) -> Result<(Array3<T>, u64)> {
    let padded = AtomicU64::new(0);
    let mut out = Array3::from_elem(shape, T::default());
    let planes: Vec<ArrayViewMut2<T>> = out.axis_iter_mut(Axis(0)).collect();
    slices.par_iter().zip(planes).try_for_each(|(slice, mut plane)| -> Result<()> {
        let stored = stored_values(slice)?;
        let none = stored.iter().filter(|value| value.is_none()).count();
        padded.fetch_add(none as u64, Ordering::Relaxed);
        plane.iter_mut().zip(stored).for_each(|(out, value)| *out = scaled(slice, value));
        Ok(())
    })?;
    Ok((out, padded.into_inner()))
}

/// The slice's values before rescaling, row by row; `None` for padding.
fn stored_values(slice: &SliceHeader) -> Result<Vec<Option<i32>>> {
    let path = &slice.path;
    if let Some((_, name)) = NOT_DECODED.iter().find(|(uid, _)| *uid == slice.transfer_syntax) {
        return Err(Error::rejected(
            path,
            "pixels uncompressed or in JPEG, JPEG lossless, JPEG 2000 or RLE",
            format!("{name} ({})", slice.transfer_syntax),
            "decompress the series first, e.g. with `gdcmconv --raw` or `dcmdjpls`",
        ));
    }
    let object = open_file(path).map_err(|error| damaged(path, &error))?;
    rle::check(slice, &object)?;
    let decoded = caught(|| object.decode_pixel_data()).ok_or_else(|| {
        Error::rejected(
            path,
            "pixels",
            "pixels that their decoder gave up on",
            "the file is damaged or cut short: copy it again",
        )
    })?;
    let decoded = decoded.map_err(|error| damaged(path, &error))?;
    let (bytes, count) = (decoded.data(), slice.rows * slice.columns);
    let found = |what: String| {
        Error::rejected(
            path,
            format!("{} × {} pixels", slice.rows, slice.columns),
            what,
            "the file is damaged or cut short: copy it again",
        )
    };
    // A padding byte makes odd lengths even.
    let bytes_per_pixel = slice.bits_allocated as usize / 8;
    if bytes.len() < count * bytes_per_pixel || bytes.len() > count * bytes_per_pixel + 1 {
        return Err(found(format!("{} bytes of {}-bit pixels", bytes.len(), slice.bits_allocated)));
    }
    let raw = |i: usize| match bytes_per_pixel {
        1 => u32::from(bytes[i]),
        _ => u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])),
    };
    // Bits above the high bit and below the lowest one may hold overlays.
    let up = 31 - slice.high_bit;
    let down = 32 - slice.bits_stored;
    let value = |raw: u32| {
        if slice.signed { ((raw << up) as i32) >> down } else { ((raw << up) >> down) as i32 }
    };
    let padding = Padding::of(slice, value);
    let pixel = |i: usize| Some(value(raw(i))).filter(|&v| !padding.is(raw(i), v));
    Ok((0..count).map(pixel).collect())
}

/// Which stored pixels stand for no measurement.
enum Padding {
    /// None, or what they say is air anyway.
    Nothing,
    /// These values.
    Values([i32; 2]),
    /// These words: the header writes the padding with more bits than a pixel's value has.
    Words([u32; 2]),
}

impl Padding {
    fn of(slice: &SliceHeader, value: impl Fn(u32) -> i32) -> Self {
        let Some(words) = slice.padding.map(|ends| ends.map(u32::from)) else {
            return Self::Nothing;
        };
        let ends = words.map(value);
        let sorted = |[a, b]: [i32; 2]| [a.min(b), a.max(b)];
        let hu = ends.map(|v| f64::from(v) * slice.slope + slice.intercept);
        if slice.modality == "CT" && hu.iter().all(|hu| PLAUSIBLE_AIR_HU.contains(hu)) {
            Self::Nothing
        } else if ends.map(|v| v as u32 & 0xffff) == words {
            Self::Values(sorted(ends))
        } else {
            Self::Words([words[0].min(words[1]), words[0].max(words[1])])
        }
    }

    fn is(&self, word: u32, value: i32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Values([first, last]) => (*first..=*last).contains(&value),
            Self::Words([first, last]) => (*first..=*last).contains(&word),
        }
    }
}
