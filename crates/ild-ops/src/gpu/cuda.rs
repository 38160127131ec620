//! Kernels on CUDA: the PTX that `build.rs` made of `kernels/*.cu`, loaded when first used.

use std::ffi::c_void;

use candle_core::cuda_backend::{CudaDType, CudaStorageSlice};
use candle_core::{CudaDevice, CudaStorage, Result, bail};
use cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
use cudarc::driver::sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_USED_MEM_HIGH as USED_MEM_HIGH;
use cudarc::driver::{CudaSlice, DevicePtr, result, sys};

use super::launch::{Argument, Launch};

/// Shared memory a block gets without asking.
const USUAL_SHARED_BYTES: u32 = 48 << 10;

macro_rules! ptx {
    ($($file:literal),*) => {
        /// Name of each source and its PTX.
        const PTX: &[(&str, &str)] = &[$(($file, include_str!(concat!(env!("OUT_DIR"), "/", $file, ".ptx")))),*];
    };
}

ptx!(
    "adamw",
    "attention_backward",
    "attention_forward",
    "bias",
    "column_sum",
    "gelu",
    "layer_norm",
    "mask_sums",
    "max_pool",
    "patches"
);

pub(super) fn launch(device: &CudaDevice, launch: &Launch) -> Result<()> {
    let Some((_, ptx)) = PTX.iter().find(|(file, _)| *file == launch.file) else {
        bail!("there is no kernels/{}.cu", launch.file)
    };
    let function = device.get_or_load_custom_func(&launch.kernel, launch.file, ptx)?;
    let failed = |error| candle_core::Error::Msg(format!("{}: {error:?}", launch.kernel));
    if launch.shared_bytes > USUAL_SHARED_BYTES {
        function
            .set_attribute(
                CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                launch.shared_bytes as i32,
            )
            .map_err(failed)?;
    }
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().map_err(failed)?;
    let mut arguments: Vec<*mut c_void> = launch.arguments.iter().map(Argument::pointer).collect();
    let (grid, block) = ((launch.blocks, 1, 1), (launch.threads, 1, 1));
    // SAFETY: the arguments are the kernel's parameters in type and order (the same launches run in
    // the tests), and what they point to lives as long as the tensors of the caller; memory is
    // freed on the same stream, after the kernel.
    unsafe {
        result::launch_kernel(
            function.cu_function(),
            grid,
            block,
            launch.shared_bytes,
            stream.cu_stream(),
            &mut arguments,
        )
    }
    .map_err(failed)
}

/// Address of number `start` of a storage. All work is on the device's one stream, so nothing has
/// to be waited for.
pub(super) fn address(storage: &CudaStorage, start: usize) -> Result<u64> {
    fn of<T: CudaDType>(slice: &CudaSlice<T>, storage: &CudaStorage, start: usize) -> u64 {
        slice.device_ptr(&storage.device.cuda_stream()).0 + (start * size_of::<T>()) as u64
    }
    match &storage.slice {
        CudaStorageSlice::F32(slice) => Ok(of(slice, storage, start)),
        CudaStorageSlice::BF16(slice) => Ok(of(slice, storage, start)),
        _ => bail!("expected f32 or bf16 on the GPU"),
    }
}

/// Where the driver keeps the memory of `CudaSlice`s.
fn pool(device: &CudaDevice) -> Option<sys::CUmemoryPool> {
    let mut pool = std::ptr::null_mut();
    // SAFETY: the device is open, and the pool is the driver's own.
    let answer = unsafe {
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, device.cuda_stream().context().cu_device())
    };
    answer.result().ok().map(|()| pool)
}

/// Most memory that tensors on this device held at once since [`reset_peak`].
#[must_use]
pub fn peak_bytes(device: &CudaDevice) -> Option<u64> {
    let mut bytes = 0u64;
    // SAFETY: this attribute is a 64-bit number.
    let answer = unsafe {
        sys::cuMemPoolGetAttribute(pool(device)?, USED_MEM_HIGH, (&raw mut bytes).cast())
    };
    answer.result().ok().map(|()| bytes)
}

/// Counts the peak anew.
pub fn reset_peak(device: &CudaDevice) {
    let mut zero = 0u64;
    if let Some(pool) = pool(device) {
        // SAFETY: as above; zero is the one value that may be set. A refusal leaves the old peak.
        let _ = unsafe { sys::cuMemPoolSetAttribute(pool, USED_MEM_HIGH, (&raw mut zero).cast()) };
    }
}
