//! The most memory the device has held.

use candle_core::Device;

/// Begins to count anew.
pub fn reset(device: &Device) {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        ild_ops::gpu::reset_peak(device);
    }
    #[cfg(not(feature = "cuda"))]
    let _ = device;
}

/// Since the last [`reset`]; on the CPU, of the process since its start.
pub fn bytes(device: &Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => ild_ops::gpu::peak_bytes(device),
        _ => ild_cli::peak_memory_bytes(),
    }
}
