//! Where the numbers of tensors are, and room for new ones.

use std::cell::Cell;

use candle_core::backend::BackendDevice;
use candle_core::{
    CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor,
    bail,
};
use half::bf16;

use super::launch::Argument;

/// The first number of a contiguous tensor, for a kernel that reads it.
pub(super) fn input(tensor: &Tensor) -> Result<Argument> {
    let (storage, layout) = tensor.storage_and_layout();
    let start = start_of(layout)?;
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => {
            Ok(Argument::Address(values[start..].as_ptr() as u64))
        }
        Storage::Cpu(CpuStorage::BF16(values)) => {
            Ok(Argument::Address(values[start..].as_ptr() as u64))
        }
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => super::cuda::address(storage, start).map(Argument::Address),
        _ => bail!("expected f32 or bf16, found {:?}", tensor.dtype()),
    }
}

/// The first number of a tensor nobody else holds, for a kernel that writes it.
pub(super) fn output(tensor: &Tensor) -> Result<Argument> {
    let place = Place(Cell::new(0));
    tensor.inplace_op1(&place)?;
    Ok(Argument::Address(place.0.get()))
}

fn start_of(layout: &Layout) -> Result<usize> {
    match layout.contiguous_offsets() {
        Some((start, _)) => Ok(start),
        None => bail!("expected a contiguous tensor, found strides {:?}", layout.stride()),
    }
}

struct Place(Cell<u64>);

impl InplaceOp1 for Place {
    fn name(&self) -> &'static str {
        "place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        self.0.set(address_mut(storage)? + (start_of(layout)? * storage_width(storage)) as u64);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        self.0.set(super::cuda::address(storage, start_of(layout)?)?);
        Ok(())
    }
}

fn address_mut(storage: &mut CpuStorage) -> Result<u64> {
    match storage {
        CpuStorage::F32(values) => Ok(values.as_mut_ptr() as u64),
        CpuStorage::BF16(values) => Ok(values.as_mut_ptr() as u64),
        _ => bail!("expected f32 or bf16"),
    }
}

fn storage_width(storage: &CpuStorage) -> usize {
    if matches!(storage, CpuStorage::BF16(_)) { 2 } else { 4 }
}

/// A tensor whose every number a kernel is about to write. Where the GPU is emulated it is filled
/// with NaN, so that a test sees what was not written.
pub(super) fn fresh(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    match device {
        Device::Cpu => Tensor::full(f32::NAN, shape, device)?.to_dtype(dtype),
        // SAFETY: callers hand it to a kernel that writes every number before anything reads one.
        _ => unsafe { Tensor::empty(shape, dtype, device) },
    }
}

/// Room for the result of an operation, and its address.
pub(super) enum Room {
    Cpu(CpuStorage),
    #[cfg_attr(not(feature = "cuda"), allow(dead_code))]
    Cuda(CudaStorage),
}

impl Room {
    /// As [`fresh`].
    pub fn new(shape: &Shape, dtype: DType, device: &Device) -> Result<(Self, Argument)> {
        let count = shape.elem_count();
        match device {
            Device::Cpu => {
                let mut storage = match dtype {
                    DType::BF16 => CpuStorage::BF16(vec![bf16::NAN; count]),
                    _ => CpuStorage::F32(vec![f32::NAN; count]),
                };
                let address = address_mut(&mut storage)?;
                Ok((Self::Cpu(storage), Argument::Address(address)))
            }
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                // SAFETY: as in `fresh`.
                let storage = unsafe { device.alloc_uninit(shape, dtype)? };
                let address = super::cuda::address(&storage, 0)?;
                Ok((Self::Cuda(storage), Argument::Address(address)))
            }
            _ => bail!("expected a GPU, found {:?}", device.location()),
        }
    }
}

/// A storage without meaning, for a node that has no data of its own.
pub(crate) fn nothing_like(storage: &CudaStorage) -> Result<CudaStorage> {
    use candle_core::backend::BackendStorage;
    // SAFETY: nothing reads it.
    unsafe { storage.device().alloc_uninit(&Shape::from(1), DType::F32) }
}
