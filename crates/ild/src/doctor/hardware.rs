//! Processor and memory, as the kernel and the container's limits tell.

use std::fs::read_to_string;

use super::finding::Finding;

const GIB: f64 = (1u64 << 30) as f64;

/// Bytes, where the system tells.
pub struct Memory {
    pub total: Option<u64>,
    /// What a new process can take without anything being moved out or killed.
    pub free: Option<u64>,
}

pub fn processor() -> Finding {
    let text = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::new("processor", format!("{name}, {threads} threads for this process"))
}

/// The machine's memory, or the container's where that is less.
pub fn memory() -> Memory {
    let text = read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: u64 = line.split_whitespace().find_map(|word| word.parse().ok())?;
        Some(kib * 1024)
    };
    let number = |path: &str| read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max")
        .or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let used = number("/sys/fs/cgroup/memory.current")
        .or_else(|| number("/sys/fs/cgroup/memory/memory.usage_in_bytes"));
    let left = limit.map(|limit| limit.saturating_sub(used.unwrap_or(0)));
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    Memory { total: least(of("MemTotal:"), limit), free: least(of("MemAvailable:"), left) }
}

pub fn memory_finding(memory: &Memory) -> Finding {
    let gib = |bytes: Option<u64>| {
        bytes.map_or("?".to_owned(), |bytes| format!("{:.1}", bytes as f64 / GIB))
    };
    Finding::new("memory", format!("{} GiB, {} of it free", gib(memory.total), gib(memory.free)))
}
