//! Stored pixels of every slice, decoded and rescaled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dicom_core::PrimitiveValue;
use dicom_object::DefaultDicomObject;
use dicom_pixeldata::PixelDecoder;
use ndarray::{Array3, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::caught::caught;
use super::padding::Padding;
use super::values::PIXEL_DATA;
use super::{SliceHeader, jpeg_ls, rle, syntax};
use crate::files::dicom_file::{DicomFile, innermost};
use crate::files::input::check_promise;
use crate::{Error, Result, Voxels};

/// Hounsfield units of air, which pixels outside the reconstruction become.
const AIR_HU: i32 = -1000;

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
pub(super) fn padding_becomes(slice: &SliceHeader) -> i32 {
    if slice.modality == "CT" { AIR_HU } else { 0 }
}

/// Decodes all slices, in parallel.
pub(super) fn decode(path: &Path, slices: &[SliceHeader]) -> Result<Decoded> {
    let shape = (slices.len(), slices[0].rows, slices[0].columns);
    check_promise(path, shape.0 as u64 * shape.1 as u64 * shape.2 as u64 * 4, u64::MAX, "voxels")?;
    let whole = slices.iter().all(|s| {
        s.slope.fract() == 0.0
            && s.intercept.fract() == 0.0
            && s.slope.abs() < 1e4
            && s.intercept.abs() < 1e6
    });
    if !whole {
        let scaled =
            |slice: &SliceHeader, v: i32| (f64::from(v) * slice.slope + slice.intercept) as f32;
        let (values, padded) = fill(slices, shape, scaled, |v| v as f32)?;
        return Ok(Decoded { voxels: Voxels::F32(values), padded });
    }
    let scaled = |slice: &SliceHeader, v: i32| v * slice.slope as i32 + slice.intercept as i32;
    // Nearly every CT fits into 16 bits; what does not is decoded again rather than held twice.
    let beyond = AtomicBool::new(false);
    let narrow = |slice: &SliceHeader, v: i32| {
        let v = scaled(slice, v);
        if i16::try_from(v).is_err() {
            beyond.store(true, Ordering::Relaxed);
        }
        v as i16
    };
    let (values, padded) = fill(slices, shape, narrow, |v| v as i16)?;
    if !beyond.load(Ordering::Relaxed) {
        return Ok(Decoded { voxels: Voxels::I16(values), padded });
    }
    drop(values);
    let (values, padded) = fill(slices, shape, scaled, |v| v)?;
    Ok(Decoded { voxels: Voxels::I32(values), padded })
}

/// One slice and where its values go.
struct Job<'a, T> {
    slice: &'a SliceHeader,
    plane: ArrayViewMut2<'a, T>,
}

/// `scaled` makes a voxel of a stored value, `padding` of what stands for none.
fn fill<T: Clone + Default + Send + Sync>(
    slices: &[SliceHeader],
    shape: (usize, usize, usize),
    scaled: impl Fn(&SliceHeader, i32) -> T + Sync,
    padding: impl Fn(i32) -> T + Sync,
) -> Result<(Array3<T>, u64)> {
    let padded = AtomicU64::new(0);
    let mut out = Array3::from_elem(shape, T::default());
    // A multi-frame file is opened once.
    let mut files: BTreeMap<&Path, Vec<Job<T>>> = BTreeMap::new();
    for (slice, plane) in slices.iter().zip(out.axis_iter_mut(Axis(0))) {
        files.entry(&slice.path).or_default().push(Job { slice, plane });
    }
    files.into_par_iter().try_for_each(|(path, jobs)| -> Result<()> {
        let stored = Stored::open(path, jobs[0].slice)?;
        jobs.into_par_iter().try_for_each(|Job { slice, mut plane }| {
            let pixels = stored.of(slice)?;
            let value = |word| value(slice, word);
            let none = Padding::of(slice, value);
            let air = padding(padding_becomes(slice));
            let mut count = 0;
            for (i, out) in plane.iter_mut().enumerate() {
                let word = pixels.word(i);
                let v = value(word);
                *out = if none.is(word, v) {
                    count += 1;
                    air.clone()
                } else {
                    scaled(slice, v)
                };
            }
            padded.fetch_add(count, Ordering::Relaxed);
            Ok(())
        })
    })?;
    Ok((out, padded.into_inner()))
}

/// The number that a stored word means: bits above the high bit and below the lowest one may hold
/// overlays.
fn value(slice: &SliceHeader, word: u32) -> i32 {
    let (up, down) = (31 - slice.high_bit, 32 - slice.bits_stored);
    if slice.signed { ((word << up) as i32) >> down } else { ((word << up) >> down) as i32 }
}

/// A file with its pixels as they are stored.
struct Stored {
    object: DefaultDicomObject,
    /// As they are; `None` where they are in a compression.
    native: Option<Native>,
}

enum Native {
    Words(Vec<u16>),
    Bytes(Vec<u8>),
}

/// The stored words of one slice, row by row.
enum Pixels<'a> {
    Words(&'a [u16]),
    /// Of one byte, or of two in little-endian order.
    Bytes(Cow<'a, [u8]>, usize),
}

impl Pixels<'_> {
    fn word(&self, i: usize) -> u32 {
        match self {
            Self::Words(words) => u32::from(words[i]),
            Self::Bytes(bytes, 1) => u32::from(bytes[i]),
            Self::Bytes(bytes, _) => {
                u32::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]))
            }
        }
    }
}

impl Stored {
    fn open(path: &Path, slice: &SliceHeader) -> Result<Self> {
        syntax::check(path, slice)?;
        let mut object = DicomFile::open(path)?.whole()?;
        rle::check(slice, &object)?;
        let raw =
            object.get(PIXEL_DATA).is_some_and(|element| element.value().primitive().is_some());
        let element = if raw { object.take_element(PIXEL_DATA).ok() } else { None };
        let native = element.and_then(|element| match element.into_value().into_primitive()? {
            PrimitiveValue::U16(words) if slice.bits_allocated == 16 => {
                Some(Native::Words(words.into_vec()))
            }
            PrimitiveValue::U8(bytes) => Some(Native::Bytes(bytes.into_vec())),
            other => Some(Native::Bytes(other.to_bytes().into_owned())),
        });
        Ok(Self { object, native })
    }

    fn of(&self, slice: &SliceHeader) -> Result<Pixels<'_>> {
        let count = slice.rows * slice.columns;
        let width = slice.bits_allocated as usize / 8;
        let frame = slice.frame.unwrap_or(0) as usize;
        let short = |found: usize| {
            Error::refused(
                &slice.path,
                format!("{} × {} pixels", slice.rows, slice.columns),
                format!("{found} bytes of {}-bit pixels", slice.bits_allocated),
                "the file is damaged or cut short: copy it again",
            )
        };
        // A padding byte makes odd lengths even.
        let fits = |bytes: usize| slice.frame.is_some() || bytes <= count * width + 1;
        match &self.native {
            Some(Native::Words(words)) => {
                let of_frame = words.get(frame * count..(frame + 1) * count);
                let found = of_frame.filter(|_| fits(2 * words.len()));
                found.map(Pixels::Words).ok_or_else(|| short(2 * words.len()))
            }
            Some(Native::Bytes(bytes)) => {
                let size = count * width;
                let of_frame = bytes.get(frame * size..(frame + 1) * size);
                let found = of_frame.filter(|_| fits(bytes.len()));
                let pixels = found.map(|bytes| Pixels::Bytes(Cow::Borrowed(bytes), width));
                pixels.ok_or_else(|| short(bytes.len()))
            }
            None => {
                let bytes = self.decoded(slice)?;
                if bytes.len() < count * width || bytes.len() > count * width + 1 {
                    return Err(short(bytes.len()));
                }
                Ok(Pixels::Bytes(Cow::Owned(bytes), width))
            }
        }
    }

    fn decoded(&self, slice: &SliceHeader) -> Result<Vec<u8>> {
        let decoded = caught(|| {
            if jpeg_ls::is(slice) {
                return jpeg_ls::decode(slice, &self.object);
            }
            let pixels = match slice.frame {
                Some(frame) => self.object.decode_pixel_data_frame(frame),
                None => self.object.decode_pixel_data(),
            };
            pixels.map(|pixels| pixels.data().to_vec()).map_err(|error| innermost(&error))
        });
        let gave_up = || Err("pixels that their decoder gave up on".to_owned());
        decoded.unwrap_or_else(gave_up).map_err(|said| {
            syntax::beyond_the_decoder(slice, &said).unwrap_or_else(|| {
                let way_out = "the file is damaged or cut short: copy it again";
                Error::refused(&slice.path, "pixels", said, way_out)
            })
        })
    }
}
