//! Ctrl-C and SIGTERM: the first asks the work to stop at its next safe place, the second ends the
//! process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Interrupted;

static ASKED: AtomicBool = AtomicBool::new(false);

pub(crate) fn install() {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(crate::Exit::Interrupted as i32);
        }
        crate::complain("stopping at the next safe place (once more to stop at once)");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::debug!("no signal handler: {error}");
    }
}

/// Whether the user or the scheduler has asked this process to stop.
#[must_use]
pub fn interrupted() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// `Err` once the process was asked to stop; for loops whose finished items are already on disk.
///
/// # Errors
/// [`Interrupted`], which ends the process with code 130.
pub fn stop_if_interrupted() -> Result<(), Interrupted> {
    if interrupted() { Err(Interrupted) } else { Ok(()) }
}
