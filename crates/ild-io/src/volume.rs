//! Voxels of a CT as the file stores them.

use ndarray::Array3;

use crate::Geometry;

/// Voxel values `[z, y, x]` in the type that SimpleITK would give them: the stored type when slope and intercept are
/// trivial, else `f32` for integers and the same float type for floats, rescaled.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are the types")]
pub enum Voxels {
    U8(Array3<u8>),
    I8(Array3<i8>),
    U16(Array3<u16>),
    I16(Array3<i16>),
    U32(Array3<u32>),
    I32(Array3<i32>),
    U64(Array3<u64>),
    I64(Array3<i64>),
    F32(Array3<f32>),
    F64(Array3<f64>),
}

/// Runs one expression with `$array` bound to the typed array, whatever the type.
#[macro_export]
macro_rules! with_voxels {
    ($voxels:expr, $array:ident => $body:expr) => {
        match $voxels {
            $crate::Voxels::U8($array) => $body,
            $crate::Voxels::I8($array) => $body,
            $crate::Voxels::U16($array) => $body,
            $crate::Voxels::I16($array) => $body,
            $crate::Voxels::U32($array) => $body,
            $crate::Voxels::I32($array) => $body,
            $crate::Voxels::U64($array) => $body,
            $crate::Voxels::I64($array) => $body,
            $crate::Voxels::F32($array) => $body,
            $crate::Voxels::F64($array) => $body,
        }
    };
}

impl Voxels {
    /// Number of voxels along `z, y, x`.
    #[must_use]
    pub fn shape_zyx(&self) -> [usize; 3] {
        let (z, y, x) = with_voxels!(self, a => a.dim());
        [z, y, x]
    }

    /// numpy's name of the type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "uint8",
            Self::I8(_) => "int8",
            Self::U16(_) => "uint16",
            Self::I16(_) => "int16",
            Self::U32(_) => "uint32",
            Self::I32(_) => "int32",
            Self::U64(_) => "uint64",
            Self::I64(_) => "int64",
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
        }
    }
}

/// A CT (or MR) volume. For CT the values are Hounsfield units.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Values `[z, y, x]`.
    pub voxels: Voxels,
    /// Grid.
    pub geometry: Geometry,
}

/// A voxel as another number, as `as` converts: to `u8` integers wrap and floats saturate, to floats 64-bit integers lose their last bits.
pub(crate) trait Number: Copy {
    fn as_f64(self) -> f64;
    fn as_f32(self) -> f32;
    fn as_u8(self) -> u8;
}

macro_rules! number {
    ($($t:ty)*) => { $(
        #[allow(clippy::unnecessary_cast, reason = "one of the types is the target")]
        impl Number for $t {
            fn as_f64(self) -> f64 { self as f64 }
            fn as_f32(self) -> f32 { self as f32 }
            fn as_u8(self) -> u8 { self as u8 }
        }
    )* };
}
number!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

impl Number for bool {
    fn as_f64(self) -> f64 {
        f64::from(u8::from(self))
    }

    fn as_f32(self) -> f32 {
        f32::from(u8::from(self))
    }

    fn as_u8(self) -> u8 {
        u8::from(self)
    }
}
