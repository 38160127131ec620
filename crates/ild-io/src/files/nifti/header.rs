//! The 348 bytes of a NIfTI-1 header, parsed by the `nifti` crate, and the 540 of NIfTI-2, which it
//! does not know, field by field; both behind guards, because headers lie.
//!
//! Offsets are those of `nifti1.h` and `nifti2.h` (nifti.nimh.nih.gov).

use std::path::Path;

use ::nifti::{NiftiHeader, Unit};

use super::DataType;
use super::orientation::NiftiOrientation;
use crate::{Error, Result};

pub(super) const NIFTI1_BYTES: usize = 348;
pub(super) const NIFTI2_BYTES: usize = 540;

/// Bytes before the voxels that are skipped at most; real extensions hold a few kilobytes.
const LARGEST_OFFSET: f64 = (64 << 20) as f64;

/// Largest number of voxels along one axis.
const LARGEST_DIM: i64 = 65535;

/// What of a header matters to reading voxels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    /// 1 or 2.
    pub version: u8,
    /// Whether numbers are stored most significant byte first.
    pub big_endian: bool,
    /// Magic `ni1`/`ni2`: the voxels are in a second file.
    pub paired: bool,
    /// `dim[0..8]`.
    pub dim: [i64; 8],
    /// `datatype`.
    pub data_type: DataType,
    /// Where the voxels start, bytes.
    pub vox_offset: u64,
    /// `scl_slope`.
    pub slope: f64,
    /// `scl_inter`.
    pub inter: f64,
    /// Millimetres per unit of length, from `xyzt_units`.
    pub unit_mm: f64,
    /// `intent_code`: what the values are.
    pub intent: i16,
    /// `pixdim`, qform and sform, in mm.
    pub orientation: NiftiOrientation,
}

/// Numbers at byte offsets, in the file's byte order.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn take<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut raw: [u8; N] = std::array::from_fn(|i| self.bytes[at + i]);
        if self.big_endian {
            raw.reverse();
        }
        raw
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.take(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.take(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.take(at))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.take(at))
    }

    fn f64s<const N: usize>(&self, at: usize) -> [f64; N] {
        std::array::from_fn(|i| self.f64(at + 8 * i))
    }
}

/// How many bytes the header has, from its first four; `None` when it is no NIfTI.
pub(super) fn header_bytes(start: [u8; 4]) -> Option<usize> {
    let size = i32::from_le_bytes(start);
    let swapped = size.swap_bytes();
    [NIFTI1_BYTES, NIFTI2_BYTES].into_iter().find(|&n| size == n as i32 || swapped == n as i32)
}

/// Reads the header in `bytes` (of the length that [`header_bytes`] gave) and refuses what cannot
/// be meant.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Header> {
    let at = Fields { bytes, big_endian: bytes[0] == 0 };
    let mut header =
        if bytes.len() == NIFTI2_BYTES { parse_2(&at, path)? } else { parse_1(&at, path)? };
    header.orientation.scale(header.unit_mm);
    Ok(header)
}

fn parse_1(at: &Fields, path: &Path) -> Result<Header> {
    let paired = match &at.bytes[344..348] {
        b"n+1\0" => false,
        b"ni1\0" => true,
        magic => return Err(wrong_magic(path, "n+1 or ni1", magic)),
    };
    // The crate tells the byte order from dim[0], so that has to be believable first.
    let dim = std::array::from_fn(|i| i64::from(at.i16(40 + 2 * i)));
    check_dims(&dim, path)?;
    let h = NiftiHeader::from_reader(at.bytes).map_err(|error| {
        Error::refused(path, "a NIfTI-1 header", error.to_string(), "the header is damaged")
    })?;
    Ok(Header {
        version: 1,
        big_endian: at.big_endian,
        paired,
        dim,
        data_type: DataType::of_header(&h, path)?,
        vox_offset: offset(f64::from(h.vox_offset), paired, NIFTI1_BYTES, path)?,
        slope: f64::from(h.scl_slope),
        inter: f64::from(h.scl_inter),
        unit_mm: unit_mm(h.xyzt_to_space()),
        intent: h.intent_code,
        orientation: NiftiOrientation {
            qform_code: i32::from(h.qform_code),
            sform_code: i32::from(h.sform_code),
            pixdim: std::array::from_fn(|i| f64::from(h.pixdim[i])),
            quatern: [h.quatern_b, h.quatern_c, h.quatern_d].map(f64::from),
            qoffset: [h.quatern_x, h.quatern_y, h.quatern_z].map(f64::from),
            srow: [h.srow_x, h.srow_y, h.srow_z].map(|row| row.map(f64::from)),
        },
    })
}

fn parse_2(at: &Fields, path: &Path) -> Result<Header> {
    let paired = match &at.bytes[4..12] {
        b"n+2\0\r\n\x1a\n" => false,
        b"ni2\0\r\n\x1a\n" => true,
        magic => return Err(wrong_magic(path, "n+2 or ni2", magic)),
    };
    let dim = std::array::from_fn(|i| at.i64(16 + 8 * i));
    check_dims(&dim, path)?;
    // The fields that mean what they mean in NIfTI-1.
    let h = NiftiHeader {
        datatype: at.i16(12),
        xyzt_units: at.i32(500) as u8,
        ..NiftiHeader::default()
    };
    Ok(Header {
        version: 2,
        big_endian: at.big_endian,
        paired,
        dim,
        data_type: DataType::of_header(&h, path)?,
        vox_offset: offset(at.i64(168) as f64, paired, NIFTI2_BYTES, path)?,
        slope: at.f64(176),
        inter: at.f64(184),
        unit_mm: unit_mm(h.xyzt_to_space()),
        intent: i16::try_from(at.i32(504)).unwrap_or(0),
        orientation: NiftiOrientation {
            qform_code: at.i32(344),
            sform_code: at.i32(348),
            pixdim: at.f64s(104),
            quatern: at.f64s(352),
            qoffset: at.f64s(376),
            srow: std::array::from_fn(|row| at.f64s(400 + 32 * row)),
        },
    })
}

fn wrong_magic(path: &Path, wanted: &str, magic: &[u8]) -> Error {
    Error::refused(
        path,
        format!("the NIfTI magic {wanted}"),
        format!("`{}`", magic.escape_ascii()),
        "if this is ANALYZE 7.5, convert it to NIfTI with a tool that knows its orientation",
    )
}

/// `vox_offset` as a byte position. In one file it lies behind the header and the four bytes that
/// announce extensions.
fn offset(value: f64, paired: bool, header_bytes: usize, path: &Path) -> Result<u64> {
    let least = if paired { 0.0 } else { header_bytes as f64 + 4.0 };
    if value.fract() == 0.0 && (least..=LARGEST_OFFSET).contains(&value) {
        return Ok(value as u64);
    }
    Err(Error::refused(
        path,
        format!("vox_offset to be a whole number of at least {least}"),
        format!("{value}"),
        "rewrite the file with a tool that repairs headers",
    ))
}

/// Millimetres per unit of length; unknown is taken as millimetre.
fn unit_mm(unit: ::nifti::Result<Unit>) -> f64 {
    match unit {
        Ok(Unit::Meter) => 1000.0,
        Ok(Unit::Micron) => 0.001,
        _ => 1.0,
    }
}

fn check_dims(dim: &[i64; 8], path: &Path) -> Result<()> {
    let rank = dim[0];
    let refuse = |expected: &str, next: &str| {
        let shown = usize::try_from(rank).unwrap_or(0).clamp(3, 7);
        Err(Error::refused(
            path,
            expected,
            format!("dim[0] = {rank}, sizes {:?}", &dim[1..=shown]),
            next,
        ))
    };
    if !(1..=7).contains(&rank) {
        return refuse("1 to 7 axes", "the header is damaged");
    }
    let rank = rank as usize;
    if dim[1..=rank.min(3)].iter().any(|n| !(1..=LARGEST_DIM).contains(n)) {
        return refuse("sizes of at least 1 and at most 65535 voxels", "the header is damaged");
    }
    if dim[4.min(rank + 1)..=rank].iter().any(|n| !(0..=1).contains(n)) {
        return refuse(
            "a 3-D volume, or more axes of size 1",
            "take one time point out of it first",
        );
    }
    Ok(())
}

impl Header {
    /// Voxels along `z, y, x`; missing axes are 1.
    pub(crate) fn shape_zyx(&self) -> [usize; 3] {
        std::array::from_fn(
            |i| if self.dim[0] >= 3 - i as i64 { self.dim[3 - i] as usize } else { 1 },
        )
    }

    /// Slope and intercept when they change anything, by SimpleITK's rule: a slope of 0, NaN or
    /// infinity counts as 1, an intercept that is no number as 0. (The standard ignores the
    /// intercept of a zero slope; so does nibabel.)
    pub(crate) fn scaling(&self) -> Option<(f64, f64)> {
        let inter = if self.inter.is_finite() { self.inter } else { 0.0 };
        let slope = if self.slope_is_set() { self.slope } else { 1.0 };
        let changes = (slope - 1.0).abs() > f64::EPSILON || inter.abs() > f64::EPSILON;
        changes.then_some((slope, inter))
    }

    /// Whether `scl_slope` is a number that can scale.
    pub(crate) fn slope_is_set(&self) -> bool {
        self.slope.is_finite() && self.slope.abs() > f64::EPSILON
    }
}
