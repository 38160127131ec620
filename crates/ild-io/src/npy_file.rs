//! Single arrays in numpy's NPY format.

use std::path::Path;

use ndarray::{ArrayD, ArrayViewD};

use crate::Result;

/// Reads an NPY file of `u8`.
///
/// # Errors
/// When it is not an NPY file, holds another type, or promises more than it holds.
pub fn read_npy_u8(path: &Path) -> Result<ArrayD<u8>> {
    todo!("{}", path.display())
}

/// Writes an NPY file of `u8`, byte for byte as numpy does.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npy_u8(path: &Path, array: ArrayViewD<u8>) -> Result<()> {
    todo!("{} {array:?}", path.display())
}
