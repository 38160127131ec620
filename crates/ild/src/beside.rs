//! Where the programs lie: beside this one, and those for a GPU in a folder there.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ild_cli::DeviceChoice;

/// Folder of programs that do not start without NVIDIA's driver; it comes with an archive of its
/// own.
const FOR_GPUS: &str = "cuda";
/// There while the driver is loaded.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// Where this program lies, and those it chains.
///
/// # Errors
/// When the system does not say.
pub fn folder_of_this_program() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.parent().context("a program without a folder")?.to_path_buf())
}

/// The program `name`: the one for a GPU where there is one, a driver is loaded, and nobody asked
/// for the CPU.
pub fn program(folder: &Path, name: &str, device: DeviceChoice) -> PathBuf {
    chosen(folder, name, device, Path::new(DRIVER).exists())
}

fn chosen(folder: &Path, name: &str, device: DeviceChoice, driver: bool) -> PathBuf {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let for_gpus = folder.join(FOR_GPUS).join(&file);
    let wanted = driver && device != DeviceChoice::Cpu;
    if wanted && for_gpus.is_file() { for_gpus } else { folder.join(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_gpus_runs_only_where_there_is_a_driver_and_the_cpu_was_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cuda")).unwrap();
        std::fs::write(folder.path().join("cuda/ild-train"), "").unwrap();
        let cuda = |name, device, driver| {
            chosen(folder.path(), name, device, driver).starts_with(folder.path().join("cuda"))
        };
        assert!(cuda("ild-train", DeviceChoice::Auto, true));
        assert!(cuda("ild-train", DeviceChoice::Cuda(0), true));
        assert!(!cuda("ild-train", DeviceChoice::Cpu, true));
        assert!(!cuda("ild-train", DeviceChoice::Auto, false));
        assert!(!cuda("ild-phantom", DeviceChoice::Auto, true));
    }
}
