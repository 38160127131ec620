//! The operations on a GPU: one of the kernels in `kernels/*.cu`, or a matrix product of cuBLAS
//! with kernels around it.
//!
//! Activations are f32 or bf16. Weights are f32 (the masters that training keeps) and are rounded
//! where an operation needs them in the activations' type; sums are f32 in either case. Everything
//! here is in every build: with cargo feature `cuda` it runs on CUDA, and in the tests the same
//! kernels run on the CPU, compiled as C++ ([`emulate`]).

mod adamw;
mod attention;
mod column_sum;
#[cfg(feature = "cuda")]
mod cuda;
mod gelu;
mod launch;
mod layer_norm;
mod linear;
mod mask_sums;
mod max_pool;
mod memory;
mod node;
mod patch_embed;

use candle_core::{DType, Device, Tensor};

pub(crate) use adamw::adamw;
pub(crate) use attention::{attention, window_attention};
#[cfg(feature = "cuda")]
pub use cuda::{peak_bytes, reset_peak};
pub(crate) use gelu::gelu;
pub use launch::{Argument, Launch, emulate};
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::{linear, linear_gelu, linear_residual, mlp_residual};
pub(crate) use mask_sums::mask_sums;
pub(crate) use max_pool::max_pool_2x2;
pub(crate) use memory::nothing_like;
pub(crate) use patch_embed::patch_embed;

/// Whether the kernels apply: f32 or bf16, on a GPU or where one is emulated.
pub(crate) fn applies(inputs: &[&Tensor]) -> bool {
    let fits = |t: &&Tensor| matches!(t.dtype(), DType::F32 | DType::BF16) && runs_on(t.device());
    inputs.iter().all(fits)
}

/// Whether kernels run on this device.
#[must_use]
pub fn runs_on(device: &Device) -> bool {
    match device {
        Device::Cpu => launch::is_emulated(),
        Device::Cuda(_) => cfg!(feature = "cuda"),
        Device::Metal(_) => false,
    }
}

/// The ending of a kernel's name.
fn suffix(dtype: DType) -> &'static str {
    if dtype == DType::BF16 { "bf16" } else { "f32" }
}
