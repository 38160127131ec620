//! Where tensors live.

use candle_core::Device;
use ild_cli::DeviceChoice;

use crate::error::{Error, Result};

/// The device that was asked for; `auto` takes the first GPU when this build and machine have one.
///
/// # Errors
/// [`Error::Device`] when a GPU is asked for and there is none.
pub fn open_device(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(open_cuda(0).unwrap_or(Device::Cpu)),
        DeviceChoice::Cuda(index) => open_cuda(index).map_err(|found| Error::Device {
            asked: choice.to_string(),
            found,
            next: "use `--device cpu`, or `--device auto` to take a GPU only where there is one".into(),
        }),
    }
}

fn open_cuda(index: usize) -> std::result::Result<Device, String> {
    if !candle_core::utils::cuda_is_available() {
        return Err("this program was built without CUDA (cargo feature `cuda`)".into());
    }
    // The driver library is loaded at run time and panics where there is none.
    let opened = std::panic::catch_unwind(|| Device::new_cuda(index));
    opened.map_err(|_| "no CUDA driver on this machine".to_owned())?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_absent_is_refused_with_what_to_do() {
        if candle_core::utils::cuda_is_available() {
            return;
        }
        assert!(open_device(DeviceChoice::Auto).unwrap().is_cpu());
        let error = open_device(DeviceChoice::Cuda(1)).unwrap_err().to_string();
        assert!(error.starts_with("--device cuda:1: this program was built without CUDA"), "{error}");
    }
}
