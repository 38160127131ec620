//! Tensors as views into runs of bytes.

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::error::{Checked, refuse};
use super::value::{Arena, Id, Node};

/// Element types of PyTorch storages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    BF16,
    F32,
    F64,
    U8,
    I8,
    I16,
    I32,
    I64,
    Bool,
}

impl Element {
    fn from_class(name: &str) -> Option<Self> {
        Some(match name {
            "torch.HalfStorage" => Self::F16,
            "torch.BFloat16Storage" => Self::BF16,
            "torch.FloatStorage" => Self::F32,
            "torch.DoubleStorage" => Self::F64,
            "torch.ByteStorage" => Self::U8,
            "torch.CharStorage" => Self::I8,
            "torch.ShortStorage" => Self::I16,
            "torch.IntStorage" => Self::I32,
            "torch.LongStorage" => Self::I64,
            "torch.BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// Where a tensor's values lie: a storage, and shape and strides (in elements) within it.
#[derive(Clone, Debug)]
pub(super) struct TensorLayout {
    /// Name of the storage in the file.
    pub storage: String,
    pub element: Element,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

impl TensorLayout {
    /// From the arguments of `torch._utils._rebuild_tensor_v2`: storage, offset, size, stride, …
    pub fn from_args(arena: &Arena, args: Id) -> Checked<Self> {
        let Node::Tuple(items) = arena.get(args) else {
            return refuse("the parts of a tensor", arena.describe(args));
        };
        let [storage, offset, shape, stride, ..] = items[..] else {
            return refuse("the parts of a tensor", format!("{} values", items.len()));
        };
        let (storage, element) = storage_of(arena, storage)?;
        let offset = size_of(arena, offset)?;
        let (shape, stride) = (sizes_of(arena, shape)?, sizes_of(arena, stride)?);
        if shape.len() != stride.len() {
            return refuse(
                format!("{} strides for the shape {shape:?}", shape.len()),
                format!("{}", stride.len()),
            );
        }
        Ok(Self { storage, element, offset, shape, stride })
    }

    /// Number of values; refused when it does not fit.
    pub fn count(&self) -> Checked<usize> {
        match self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) {
            Some(n) => Ok(n),
            None => refuse("a tensor that fits in memory", format!("the shape {:?}", self.shape)),
        }
    }

    /// Index after the last element that is looked at.
    fn end(&self) -> Checked<usize> {
        if self.shape.contains(&0) {
            return Ok(self.offset);
        }
        let last = self
            .shape
            .iter()
            .zip(&self.stride)
            .try_fold(self.offset, |at, (&d, &s)| (d - 1).checked_mul(s)?.checked_add(at));
        match last.and_then(|last| last.checked_add(1)) {
            Some(end) => Ok(end),
            None => refuse(
                "a tensor within its storage",
                format!(
                    "offset {}, shape {:?}, strides {:?}",
                    self.offset, self.shape, self.stride
                ),
            ),
        }
    }

    /// Copies the values out of the storage's bytes. Integers below 64 bits become `i64`, booleans
    /// `u8`.
    pub fn read(&self, bytes: &[u8], little_endian: bool) -> Checked<Tensor> {
        let (have, end) = (bytes.len() / self.element.size(), self.end()?);
        if end > have {
            return refuse(
                format!("a storage of at least {end} values for shape {:?}", self.shape),
                format!("{have}"),
            );
        }
        let count = self.count()?;
        let values = Values { layout: self, bytes, little_endian, count };
        let made = match self.element {
            Element::F16 => values.tensor(|b: [u8; 2]| f16::from_le_bytes(b)),
            Element::BF16 => values.tensor(|b: [u8; 2]| bf16::from_le_bytes(b)),
            Element::F32 => values.tensor(f32::from_le_bytes),
            Element::F64 => values.tensor(f64::from_le_bytes),
            Element::U8 | Element::Bool => values.tensor(|b: [u8; 1]| b[0]),
            Element::I8 => values.tensor(|b: [u8; 1]| i64::from(i8::from_le_bytes(b))),
            Element::I16 => values.tensor(|b: [u8; 2]| i64::from(i16::from_le_bytes(b))),
            Element::I32 => values.tensor(|b: [u8; 4]| i64::from(i32::from_le_bytes(b))),
            Element::I64 => values.tensor(i64::from_le_bytes),
        };
        made.or_else(|error| refuse("a tensor", error.to_string()))
    }

    /// The type [`TensorLayout::read`] gives.
    pub fn dtype(&self) -> DType {
        match self.element {
            Element::F16 => DType::F16,
            Element::BF16 => DType::BF16,
            Element::F32 => DType::F32,
            Element::F64 => DType::F64,
            Element::U8 | Element::Bool => DType::U8,
            Element::I8 | Element::I16 | Element::I32 | Element::I64 => DType::I64,
        }
    }
}

struct Values<'a> {
    layout: &'a TensorLayout,
    bytes: &'a [u8],
    little_endian: bool,
    count: usize,
}

impl Values<'_> {
    fn tensor<const N: usize, T: candle_core::WithDType>(
        &self,
        decode: impl Fn([u8; N]) -> T,
    ) -> candle_core::Result<Tensor> {
        let TensorLayout { shape, stride, offset, .. } = self.layout;
        let mut values = Vec::with_capacity(self.count);
        let mut index = vec![0usize; shape.len()];
        let mut at = *offset;
        for _ in 0..self.count {
            let mut raw = [0; N];
            raw.copy_from_slice(&self.bytes[at * N..at * N + N]);
            if !self.little_endian {
                raw.reverse();
            }
            values.push(decode(raw));
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += stride[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= stride[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)
    }
}

/// A storage is `('storage', class, name, place, count, …)`.
fn storage_of(arena: &Arena, id: Id) -> Checked<(String, Element)> {
    let tuple =
        if let Node::Persistent(inner) = arena.get(id) { arena.get(*inner) } else { arena.get(id) };
    let Node::Tuple(items) = tuple else { return refuse("a storage", arena.describe(id)) };
    let [_, class, name, ..] = items[..] else {
        return refuse("a storage with class and name", format!("{} values", items.len()));
    };
    let Node::Text(name) = arena.get(name) else {
        return refuse("a storage's name", arena.describe(name));
    };
    let class = if let Node::Global(class) = arena.get(class) { class.as_str() } else { "" };
    match Element::from_class(class) {
        Some(element) => Ok((name.clone(), element)),
        None => refuse(
            "tensors of f16, bf16, f32, f64, bool or integers",
            if class.is_empty() { arena.describe(items[1]) } else { class.to_owned() },
        ),
    }
}

fn size_of(arena: &Arena, id: Id) -> Checked<usize> {
    match arena.get(id) {
        Node::Int(n) => usize::try_from(*n).or_else(|_| refuse("a size", format!("{n}"))),
        _ => refuse("a size", arena.describe(id)),
    }
}

fn sizes_of(arena: &Arena, id: Id) -> Checked<Vec<usize>> {
    match arena.get(id) {
        Node::Tuple(items) | Node::List(items) => {
            items.iter().map(|&item| size_of(arena, item)).collect()
        }
        _ => refuse("a shape", arena.describe(id)),
    }
}
