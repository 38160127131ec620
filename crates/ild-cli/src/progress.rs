//! Progress on long work: bars on a terminal, nothing elsewhere (the log lines stay).

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::veil;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

static HIDDEN: AtomicBool = AtomicBool::new(true);

pub(crate) fn set_hidden(hidden: bool) {
    HIDDEN.store(hidden, Ordering::Relaxed);
}

fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

fn add(bar: ProgressBar) -> ProgressBar {
    if HIDDEN.load(Ordering::Relaxed) {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        return bar;
    }
    bars().add(bar)
}

/// A bar of `total` steps: what, how far, how fast, how long still. Use `set_message` for a running
/// figure.
#[must_use]
pub fn progress_bar(total: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix} {wide_bar} {pos}/{len} · {per_sec} · {eta} left {msg}",
    );
    let bar = ProgressBar::new(total).with_prefix(what);
    add(if let Ok(style) = style { bar.with_style(style) } else { bar })
}

/// Writes log lines above the bars instead of through them.
pub(crate) fn log_writer() -> impl Write {
    LogWriter
}

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len();
        // Whole lines come, each in one piece.
        let bytes = match std::str::from_utf8(bytes) {
            Ok(line) => veil::over(line).into_owned().into_bytes(),
            Err(_) => bytes.to_vec(),
        };
        // What stderr cannot take is lost: a log that nobody reads is no reason to stop.
        let _ = if HIDDEN.load(Ordering::Relaxed) {
            io::stderr().write_all(&bytes)
        } else {
            bars().suspend(|| io::stderr().write_all(&bytes))
        };
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
