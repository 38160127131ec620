//! Whether this process keeps books of its files: what it reads ([`inputs`]), what it writes and what
//! the lists of its folders say ([`outputs`]).
//!
//! A program that ends is asked at its end: did an input change, what is its mark. One that lives on is
//! never asked, and its books would grow with every file.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{inputs, outputs};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Closes the books of this process, and empties them: for programs that live on. From here on no file
/// counts as an input that must not be written over; whose a file is, is looked up on the disk.
pub fn close_books() {
    CLOSED.store(true, Ordering::Relaxed);
    inputs::forget_all();
    outputs::forget_all();
}

/// Whether nothing is noted any more.
pub(super) fn are_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
