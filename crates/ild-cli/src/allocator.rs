//! Memory of this process: how much it took, and keeping it once taken.

/// Highest resident memory of this process so far, in bytes; `None` where the system does not tell.
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Hands back to the kernel what was freed and kept ([`keep_freed_memory`]): for programs that live on and
/// have nothing to do just now.
pub fn give_back_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes no pointer and may be called by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps freed blocks in the process instead of handing each large one back to the kernel.
///
/// Tensors above 32 MiB are otherwise a fresh `mmap` each, and the page faults cost more than the
/// arithmetic.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets allocator parameters and is called before any other thread
    // exists.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 1); // what one thread frees, another can take
    }
}
