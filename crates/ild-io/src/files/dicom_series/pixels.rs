//! Stored pixels of every slice, decoded and rescaled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dicom_object::open_file;
use dicom_pixeldata::PixelDecoder;
use ndarray::{Array3, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::SliceHeader;
use super::header::damaged;
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

/// Decodes all slices, in parallel.
pub(super) fn decode(path: &Path, slices: &[SliceHeader]) -> Result<Voxels> {
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
        let scaled = |slice: &SliceHeader, value: i32| {
            (f64::from(value) * slice.slope + slice.intercept) as f32
        };
        return Ok(Voxels::F32(fill(slices, shape, scaled)?));
    }
    let values =
        fill(slices, shape, |slice, value| value * slice.slope as i32 + slice.intercept as i32)?;
    let fits = values.iter().all(|&v| i16::try_from(v).is_ok());
    Ok(if fits { Voxels::I16(values.mapv(|v| v as i16)) } else { Voxels::I32(values) })
}

fn fill<T: Clone + Default + Send + Sync>(
    slices: &[SliceHeader],
    shape: (usize, usize, usize),
    scaled: impl Fn(&SliceHeader, i32) -> T + Sync,
) -> Result<Array3<T>> {
    let mut out = Array3::from_elem(shape, T::default());
    let planes: Vec<ArrayViewMut2<T>> = out.axis_iter_mut(Axis(0)).collect();
    slices.par_iter().zip(planes).try_for_each(|(slice, mut plane)| -> Result<()> {
        let stored = stored_values(slice)?;
        plane.iter_mut().zip(stored).for_each(|(out, value)| *out = scaled(slice, value));
        Ok(())
    })?;
    Ok(out)
}

/// The slice's values before rescaling, row by row.
fn stored_values(slice: &SliceHeader) -> Result<Vec<i32>> {
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
    // The RLE decoder panics on some damaged pixels instead of refusing them.
    let decoded = catch_unwind(AssertUnwindSafe(|| object.decode_pixel_data())).map_err(|_| {
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
    Ok((0..count)
        .map(|i| {
            if slice.signed {
                ((raw(i) << up) as i32) >> down
            } else {
                ((raw(i) << up) >> down) as i32
            }
        })
        .collect())
}
