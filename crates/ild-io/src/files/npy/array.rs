//! Arrays of numbers out of NPY data, whatever program wrote them.

use std::io::Read;
use std::path::Path;

use bytemuck::Pod;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::header::{BadHeader, NpyHeader};
use crate::files::input::check_promise;
use crate::volume::{Number, name_of};
use crate::{Error, Result};

/// An array in its stored type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are the types")]
pub enum NpyArray {
    Bool(ArrayD<bool>),
    U8(ArrayD<u8>),
    I8(ArrayD<i8>),
    U16(ArrayD<u16>),
    I16(ArrayD<i16>),
    U32(ArrayD<u32>),
    I32(ArrayD<i32>),
    U64(ArrayD<u64>),
    I64(ArrayD<i64>),
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
}

macro_rules! with_array {
    ($value:expr, $array:ident => $body:expr) => {
        match $value {
            NpyArray::Bool($array) => $body,
            NpyArray::U8($array) => $body,
            NpyArray::I8($array) => $body,
            NpyArray::U16($array) => $body,
            NpyArray::I16($array) => $body,
            NpyArray::U32($array) => $body,
            NpyArray::I32($array) => $body,
            NpyArray::U64($array) => $body,
            NpyArray::I64($array) => $body,
            NpyArray::F32($array) => $body,
            NpyArray::F64($array) => $body,
        }
    };
}

pub(crate) use with_array;

impl NpyArray {
    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        with_array!(self, array => array.shape())
    }

    /// numpy's name of the type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        with_array!(self, array => name_of(array))
    }

    /// Values as `f64`, in C order.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        with_array!(self, array => array.iter().map(|v| v.as_f64()).collect())
    }
}

/// Where an array comes from, for messages and guards.
pub(crate) struct Source<'a> {
    /// The file.
    pub path: &'a Path,
    /// Key in an NPZ, or empty.
    pub key: &'a str,
    /// Most bytes that can follow, headers included.
    pub largest_bytes: u64,
}

impl Source<'_> {
    /// A refusal that names the key, if there is one.
    pub(crate) fn reject(
        &self,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
        next: &str,
    ) -> Error {
        let expected = if self.key.is_empty() {
            expected.to_string()
        } else {
            format!("`{}` to be {expected}", self.key)
        };
        Error::refused(self.path, expected, found.to_string(), next)
    }

    fn bad(&self, header: BadHeader) -> Error {
        self.reject(
            header.expected,
            header.found,
            "save it again with numpy.save or numpy.savez_compressed",
        )
    }
}

/// Reads header and data to the end of `reader`; nothing is allocated before the header was held
/// against the file's size.
pub(crate) fn read_array(reader: &mut impl Read, source: &Source) -> Result<NpyArray> {
    let header = NpyHeader::read(reader).map_err(|bad| source.bad(bad))?;
    let (order, kind) = header.descr.split_at_checked(1).unwrap_or_default();
    let big_endian = match order {
        "<" | "|" => false,
        ">" => true,
        "=" => cfg!(target_endian = "big"),
        _ => {
            return Err(source.reject(
                "an array of plain numbers",
                format!("the type `{}`", header.descr),
                "",
            ));
        }
    };
    let mut of = Typed { reader, source, header: &header, big_endian };
    Ok(match kind {
        "b1" => NpyArray::Bool(of.read::<u8>()?.mapv(|v| v != 0)),
        "u1" => NpyArray::U8(of.read()?),
        "i1" => NpyArray::I8(of.read()?),
        "u2" => NpyArray::U16(of.read()?),
        "i2" => NpyArray::I16(of.read()?),
        "u4" => NpyArray::U32(of.read()?),
        "i4" => NpyArray::I32(of.read()?),
        "u8" => NpyArray::U64(of.read()?),
        "i8" => NpyArray::I64(of.read()?),
        "f4" => NpyArray::F32(of.read()?),
        "f8" => NpyArray::F64(of.read()?),
        "O" => {
            return Err(source.reject(
                "an array of plain numbers",
                "Python objects (a pickle, which is never loaded)",
                "save it again as a numeric array, without allow_pickle",
            ));
        }
        _ => {
            return Err(source.reject(
                "an array of plain numbers",
                format!("the type `{}`", header.descr),
                "save it again as a numeric array",
            ));
        }
    })
}

struct Typed<'a, R> {
    reader: &'a mut R,
    source: &'a Source<'a>,
    header: &'a NpyHeader,
    big_endian: bool,
}

impl<R: Read> Typed<'_, R> {
    fn read<T: Pod + Default>(&mut self) -> Result<ArrayD<T>> {
        let shape = &self.header.shape;
        let shown = || format!("shape {shape:?}");
        // An empty axis makes any product zero; the others must still be sizes that an array can
        // have.
        let addressable = shape
            .iter()
            .filter(|&&n| n > 0)
            .try_fold(size_of::<T>(), |bytes, &n| bytes.checked_mul(n));
        let bytes = self.header.data_bytes(size_of::<T>() as u64);
        let (Some(bytes), Some(_)) = (bytes, addressable.filter(|&n| isize::try_from(n).is_ok()))
        else {
            return Err(self.source.reject(
                "an array that fits into memory",
                shown(),
                "the header is damaged",
            ));
        };
        let of_what = if self.source.key.is_empty() {
            "values".to_owned()
        } else {
            format!("`{}`", self.source.key)
        };
        check_promise(self.source.path, bytes, self.source.largest_bytes, &of_what)?;
        let mut values = vec![T::default(); bytes as usize / size_of::<T>()];
        let raw: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
        self.reader.read_exact(raw).map_err(|error| self.unreadable(&error, &shown()))?;
        if self.big_endian != cfg!(target_endian = "big") {
            raw.chunks_exact_mut(size_of::<T>()).for_each(<[u8]>::reverse);
        }
        let behind =
            self.reader.read(&mut [0u8; 1]).map_err(|error| self.unreadable(&error, &shown()))?;
        if behind > 0 {
            return Err(self.source.reject(
                format!("{bytes} bytes of data, as its {} says", shown()),
                "more",
                "the file is damaged",
            ));
        }
        let array = ArrayD::from_shape_vec(IxDyn(shape).set_f(self.header.fortran_order), values)
            .map_err(|error| {
            self.source.reject("an array that fits into memory", error, "the header is damaged")
        })?;
        Ok(if self.header.fortran_order { array.as_standard_layout().into_owned() } else { array })
    }

    fn unreadable(&self, error: &std::io::Error, shape: &str) -> Error {
        let found = if error.kind() == std::io::ErrorKind::UnexpectedEof {
            "the end of the data before it".to_owned()
        } else {
            error.to_string()
        };
        self.source.reject(
            format!("data of {shape}"),
            found,
            "the file is damaged or cut short: copy it again",
        )
    }
}
