//! Voxels, and where they are in the patient.

pub(crate) mod affine;
pub(crate) mod bounding_box;
pub(crate) mod case;
pub(crate) mod coded_term;
pub(crate) mod components;
pub(crate) mod geometry;
pub(crate) mod header_note;
pub(crate) mod hounsfield;
pub(crate) mod label_map;
pub(crate) mod label_runs;
pub(crate) mod label_table;
mod part;
pub(crate) mod placement;
pub(crate) mod same_grid;
pub(crate) mod slice_pieces;
pub(crate) mod storage_order;

use ndarray::Array3;

use crate::Geometry;

/// Voxel values `[z, y, x]` in the type that SimpleITK would give them: the stored type when slope
/// and intercept are trivial, else `f32` for integers and the same float type for floats, rescaled.
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
        with_voxels!(self, a => name_of(a))
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

/// A voxel as another number, as `as` converts: to `u8` integers wrap and floats saturate, to
/// floats 64-bit integers lose their last bits.
pub(crate) trait Number: Copy {
    /// numpy's name of the type.
    const NAME: &'static str;
    fn as_f64(self) -> f64;
    fn as_f32(self) -> f32;
    fn as_u8(self) -> u8;
}

macro_rules! number {
    ($($t:ty, $name:literal;)*) => { $(
        #[allow(clippy::unnecessary_cast, reason = "one of the types is the target")]
        impl Number for $t {
            const NAME: &'static str = $name;
            fn as_f64(self) -> f64 { self as f64 }
            fn as_f32(self) -> f32 { self as f32 }
            fn as_u8(self) -> u8 { self as u8 }
        }
    )* };
}
number!(
    u8, "uint8"; i8, "int8"; u16, "uint16"; i16, "int16"; u32, "uint32"; i32, "int32"; u64, "uint64"; i64, "int64"; f32, "float32"; f64, "float64";
);

impl Number for bool {
    const NAME: &'static str = "bool";

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

/// numpy's name of the type of an array's elements.
pub(crate) fn name_of<T: Number, D: ndarray::Dimension>(_: &ndarray::Array<T, D>) -> &'static str {
    T::NAME
}
