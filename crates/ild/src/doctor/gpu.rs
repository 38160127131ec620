//! NVIDIA GPUs and their driver; neither CUDA nor a driver is needed to say that there are none.

use std::fs::{read_dir, read_to_string};
use std::process::Command;

use super::finding::Finding;

const NVIDIA: &str = "0x10de";
/// Class of a display or compute device on the PCI bus; the rest of a card is sound and USB.
const DISPLAY: &str = "0x03";
/// The oldest driver that loads what the CUDA programs are compiled to (docs/cuda.md).
const DRIVER: u32 = 580;

/// What is there, and whether `built_with_cuda` programs can use it.
pub fn finding(built_with_cuda: bool) -> Finding {
    verdict(on_the_bus(), driver(), listed(), built_with_cuda)
}

fn verdict(
    on_the_bus: usize,
    driver: Option<String>,
    listed: Vec<String>,
    built_with_cuda: bool,
) -> Finding {
    let found = |text: String| Finding::new("GPU", text);
    let Some(driver) = driver else {
        let none = "none from NVIDIA; the CPU computes".to_owned();
        return match on_the_bus {
            0 => found(none),
            n => found(format!("{n} from NVIDIA, without a driver"))
                .advice(format!("install NVIDIA's driver, {DRIVER} or later")),
        };
    };
    let names = if listed.is_empty() { "none listed".to_owned() } else { listed.join("; ") };
    let found = found(format!("{names}; driver {driver}"));
    let major = driver.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if listed.is_empty() {
        found.advice("look at what `nvidia-smi` says; in a container, pass the GPU on")
    } else if major.is_some_and(|major| major < DRIVER) {
        found.advice(format!("a driver of {DRIVER} or later"))
    } else if !built_with_cuda {
        found.advice("these programs compute on the CPU; take those built for CUDA (docs/cuda.md)")
    } else {
        found
    }
}

fn on_the_bus() -> usize {
    let devices = read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let is_gpu = |entry: &std::fs::DirEntry| {
        let read = |name| read_to_string(entry.path().join(name)).unwrap_or_default();
        read("vendor").trim() == NVIDIA && read("class").starts_with(DISPLAY)
    };
    devices.filter(is_gpu).count()
}

/// Version of the driver that the kernel has loaded.
fn driver() -> Option<String> {
    let text = read_to_string("/proc/driver/nvidia/version").ok()?;
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_numeric());
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

/// `name, memory` of each GPU that the driver lists.
fn listed() -> Vec<String> {
    let query = ["--query-gpu=name,memory.total", "--format=csv,noheader"];
    let output = Command::new("nvidia-smi").args(query).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_follows_from_card_driver_and_build() {
        let said = |bus, driver: Option<&str>, listed: &[&str], cuda| {
            let listed = listed.iter().map(ToString::to_string).collect();
            let found = verdict(bus, driver.map(str::to_owned), listed, cuda);
            assert!(!found.needed, "the CPU always works");
            (found.here, found.next.unwrap_or_default())
        };
        assert_eq!(said(0, None, &[], false).1, "");
        assert!(said(2, None, &[], false).1.contains("install NVIDIA's driver"));
        assert!(said(1, Some("535.1"), &["A100, 81920 MiB"], true).1.contains("580 or later"));
        assert!(said(1, Some("580.1"), &["A100, 81920 MiB"], false).1.contains("built for CUDA"));
        let (here, next) = said(1, Some("580.1"), &["A100, 81920 MiB"], true);
        assert!(here.contains("A100") && next.is_empty(), "{here} {next}");
        assert!(said(0, Some("580.1"), &[], true).1.contains("container"));
    }
}
