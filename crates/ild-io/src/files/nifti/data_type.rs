//! The voxel types of NIfTI.

use std::path::Path;

use crate::{Error, Result, Voxels};

/// A voxel type that a scalar volume can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are the types")]
pub(crate) enum DataType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl DataType {
    /// The type with this `datatype` code; `bitpix` is ignored, because it only repeats what the
    /// code says.
    pub(crate) fn from_code(code: i16, path: &Path) -> Result<Self> {
        Ok(match code {
            2 => Self::U8,
            4 => Self::I16,
            8 => Self::I32,
            16 => Self::F32,
            64 => Self::F64,
            256 => Self::I8,
            512 => Self::U16,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            other => {
                let name = match other {
                    0 => "unknown",
                    1 => "one bit per voxel",
                    32 => "complex numbers (2 × 32 bits)",
                    128 => "RGB colours",
                    1536 => "128-bit floats",
                    1792 => "complex numbers (2 × 64 bits)",
                    2048 => "complex numbers (2 × 128 bits)",
                    2304 => "RGBA colours",
                    _ => "not a NIfTI type",
                };
                return Err(Error::rejected(
                    path,
                    "one whole or floating point number per voxel",
                    format!("datatype {other}: {name}"),
                    "store one scalar channel",
                ));
            }
        })
    }

    /// Code in the header's `datatype`.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::U8 => 2,
            Self::I16 => 4,
            Self::I32 => 8,
            Self::F32 => 16,
            Self::F64 => 64,
            Self::I8 => 256,
            Self::U16 => 512,
            Self::U32 => 768,
            Self::I64 => 1024,
            Self::U64 => 1280,
        }
    }

    /// Bytes per voxel.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Type of voxels in memory.
    pub(crate) fn of(voxels: &Voxels) -> Self {
        match voxels {
            Voxels::U8(_) => Self::U8,
            Voxels::I8(_) => Self::I8,
            Voxels::U16(_) => Self::U16,
            Voxels::I16(_) => Self::I16,
            Voxels::U32(_) => Self::U32,
            Voxels::I32(_) => Self::I32,
            Voxels::U64(_) => Self::U64,
            Voxels::I64(_) => Self::I64,
            Voxels::F32(_) => Self::F32,
            Voxels::F64(_) => Self::F64,
        }
    }
}
