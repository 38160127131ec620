//! The voxel types of NIfTI.

use std::path::Path;

use ::nifti::{NiftiHeader, NiftiType};

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
    /// The type in the header's `datatype`; `bitpix` is ignored, because it only repeats what the
    /// code says.
    pub(crate) fn of_header(header: &NiftiHeader, path: &Path) -> Result<Self> {
        let name = match header.data_type() {
            Ok(NiftiType::Uint8) => return Ok(Self::U8),
            Ok(NiftiType::Int16) => return Ok(Self::I16),
            Ok(NiftiType::Int32) => return Ok(Self::I32),
            Ok(NiftiType::Float32) => return Ok(Self::F32),
            Ok(NiftiType::Float64) => return Ok(Self::F64),
            Ok(NiftiType::Int8) => return Ok(Self::I8),
            Ok(NiftiType::Uint16) => return Ok(Self::U16),
            Ok(NiftiType::Uint32) => return Ok(Self::U32),
            Ok(NiftiType::Int64) => return Ok(Self::I64),
            Ok(NiftiType::Uint64) => return Ok(Self::U64),
            Ok(NiftiType::Float128) => "128-bit floats",
            Ok(NiftiType::Rgb24) => "RGB colours",
            Ok(NiftiType::Rgba32) => "RGBA colours",
            Ok(NiftiType::Complex64) => "complex numbers (2 × 32 bits)",
            Ok(NiftiType::Complex128) => "complex numbers (2 × 64 bits)",
            Ok(NiftiType::Complex256) => "complex numbers (2 × 128 bits)",
            Err(_) if header.datatype == 0 => "unknown",
            Err(_) if header.datatype == 1 => "one bit per voxel",
            Err(_) => "not a NIfTI type",
        };
        Err(Error::refused(
            path,
            "one whole or floating point number per voxel",
            format!("datatype {}: {name}", header.datatype),
            "store one scalar channel",
        ))
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
