//! The clock of programs that are timed beside others.

use std::io::BufRead;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::peak_memory_bytes;

/// CPU time of all threads of this process so far; `None` where the system does not tell.
#[must_use]
pub fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a live timespec.
        let told =
            unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } == 0;
        told.then(|| Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
    }
    #[cfg(not(unix))]
    None
}

/// Says `{"ready": true}`, then does `work` for each line on stdin and answers with one line of
/// JSON: wall and CPU seconds, highest memory so far, and the sum that `work` returns, by which
/// results are compared. The other side is `Engine` in `tests/peers/alternate.py`.
///
/// # Errors
/// Those of `work`, or when stdin breaks.
pub fn serve_timings(mut work: impl FnMut(&str) -> anyhow::Result<f64>) -> anyhow::Result<()> {
    crate::say(json!({ "ready": true }))?;
    for line in std::io::stdin().lock().lines() {
        let (line, start, cpu) = (line?, Instant::now(), cpu_time());
        let sum = work(line.trim())?;
        let wall = start.elapsed().as_secs_f64();
        let cpu = cpu_time().zip(cpu).map(|(after, before)| (after - before).as_secs_f64());
        crate::say(json!({ "wall": wall, "cpu": cpu, "peak": peak_memory_bytes(), "sum": sum }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn work_takes_cpu_time_and_sleep_does_not() {
        let start = cpu_time().unwrap();
        let begun = Instant::now();
        let mut x = 1u64;
        while begun.elapsed() < Duration::from_millis(30) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let worked = cpu_time().unwrap() - start;
        assert!(worked >= Duration::from_millis(1), "{worked:?}");
    }
}
