//! Where tensors live.

use candle_core::Device;
use ild_cli::DeviceChoice;

use crate::error::{Error, Result};

/// The device that was asked for; `auto` takes the first GPU when this build and machine have one,
/// and says so when not.
///
/// # Errors
/// [`Error::Device`] when a GPU is asked for and there is none.
pub fn open_device(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(open_cuda(0).unwrap_or_else(|(found, _)| {
            tracing::info!("computing on the CPU: {found}");
            Device::Cpu
        })),
        DeviceChoice::Cuda(index) => open_cuda(index).map_err(|(found, next)| Error::Device {
            asked: choice.to_string(),
            found,
            next: format!("{next}, or use `--device cpu`, or `--device auto` to take a GPU only where there is one"),
        }),
    }
}

/// The GPU, or what stands in the way and what helps.
fn open_cuda(index: usize) -> std::result::Result<Device, (String, &'static str)> {
    if !candle_core::utils::cuda_is_available() {
        let next = "build it with `cargo build --release --features cuda` (docs/cuda.md)";
        return Err(("this program was built without CUDA".into(), next));
    }
    // cudarc panics where the driver library lacks something.
    let opened = silently(|| Device::new_cuda_with_stream(index)); // one stream, whichever thread works
    let device = opened.ok_or_else(|| {
        ("the CUDA driver cannot be used".into(), "look at what `nvidia-smi` says")
    })?;
    let device = device.map_err(|error| {
        let text = error.to_string(); // a backtrace may follow
        (
            format!("no GPU {index}: {}", text.lines().next().unwrap_or_default()),
            "look at what `nvidia-smi` lists",
        )
    })?;
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = &device {
        // SAFETY: everything runs on the device's one stream, so the order of calls is the order of
        // work.
        unsafe { device.disable_event_tracking() };
    }
    Ok(device)
}

/// What `work` returns, or `None` if it panics; the message of a panic is not printed.
fn silently<T>(work: impl FnOnce() -> T + std::panic::UnwindSafe) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(work).ok();
    std::panic::set_hook(hook);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_absent_is_refused_with_what_to_do() {
        if candle_core::utils::cuda_is_available() {
            return ild_test_support::skipped("built with CUDA");
        }
        assert!(open_device(DeviceChoice::Auto).unwrap().is_cpu());
        let error = open_device(DeviceChoice::Cuda(1)).unwrap_err().to_string();
        assert!(
            error.starts_with("--device cuda:1: this program was built without CUDA"),
            "{error}"
        );
        assert!(error.contains("--features cuda"), "{error}");
    }
}
