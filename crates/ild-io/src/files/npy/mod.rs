//! Arrays in numpy's NPY format, alone in a file or as members of an NPZ.

mod array;
mod header;

use std::io::{self, BufReader, Write};
use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayD, ArrayViewD};

pub use array::NpyArray;
pub(crate) use array::{Source, read_array, with_array};
pub(crate) use header::NpyHeader;

use crate::Result;
use crate::files::input::open_regular;

/// Reads an NPY file of any plain number type.
///
/// # Errors
/// When it is not an NPY file, holds Python objects, or promises more than it holds.
pub fn read_npy(path: &Path) -> Result<NpyArray> {
    let (file, size) = open_regular(path)?;
    read_array(&mut BufReader::new(file), &Source { path, key: "", largest_bytes: size })
}

/// Reads an NPY file of `u8`.
///
/// # Errors
/// As [`read_npy`], and for another type.
pub fn read_npy_u8(path: &Path) -> Result<ArrayD<u8>> {
    match read_npy(path)? {
        NpyArray::U8(array) => Ok(array),
        other => Err(crate::Error::refused(
            path,
            "an array of uint8",
            other.type_name(),
            "save it as uint8",
        )),
    }
}

/// A type that NPY files of ours hold.
pub trait NpyElement: Pod {
    /// numpy's type string.
    const DESCR: &'static str;
}

macro_rules! element {
    ($($t:ty => $descr:literal),*) => { $(impl NpyElement for $t { const DESCR: &'static str = $descr; })* };
}
element!(u8 => "|u1", i8 => "|i1", u16 => "<u2", i16 => "<i2", u32 => "<u4", i32 => "<i4", u64 => "<u8", i64 => "<i8", f32 => "<f4", f64 => "<f8");

/// Writes an NPY file, byte for byte as numpy does for a C-ordered array.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npy<T: NpyElement>(path: &Path, array: ArrayViewD<T>) -> Result<()> {
    Ok(ild_cli::write_atomic_unsynced(path, |file| write_array(file, &array))?)
}

/// [`write_npy`] of `u8`.
///
/// # Errors
/// As [`write_npy`].
pub fn write_npy_u8(path: &Path, array: ArrayViewD<u8>) -> Result<()> {
    write_npy(path, array)
}

/// Header and data of one array.
pub(crate) fn write_array<T: NpyElement>(
    writer: &mut impl Write,
    array: &ArrayViewD<T>,
) -> io::Result<()> {
    const { assert!(cfg!(target_endian = "little"), "the type strings say little endian") };
    writer.write_all(&NpyHeader::bytes(T::DESCR, array.shape()))?;
    match array.as_slice() {
        Some(values) => writer.write_all(bytemuck::cast_slice(values)),
        None => writer.write_all(bytemuck::cast_slice(
            array.as_standard_layout().as_slice().unwrap_or_default(),
        )),
    }
}
