//! A seam for fault tests: with `ILD_KILL_AT=N` a process ends itself at the N-th moment of its
//! writing, as `kill -9` would.
//!
//! A write has three moments: its bytes are in a temporary file, its line is in the list, it has its
//! name. A removal has one. Without the variable nothing is counted. `ILD_KILL_PROGRAM=NAME` means
//! one program of several that run under these variables.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static KILL_AT: LazyLock<Option<u64>> = LazyLock::new(|| {
    let meant = std::env::var("ILD_KILL_PROGRAM").ok();
    let this = meant.is_none_or(|name| super::outputs::program() == Some(name.as_str()));
    std::env::var("ILD_KILL_AT").ok().filter(|_| this)?.parse().ok()
});
static MOMENTS: AtomicU64 = AtomicU64::new(0);

/// A moment at which a run may be killed.
pub(crate) fn moment() {
    if KILL_AT.is_some_and(|at| MOMENTS.fetch_add(1, Ordering::SeqCst) + 1 == at) {
        end();
    }
}

fn end() {
    #[cfg(unix)]
    // SAFETY: two plain system calls; the process does not return from the second.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
    std::process::abort();
}
