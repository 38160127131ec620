//! What happened lately, for a person who looks at `/logs/`.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::clock;

/// Lines that are kept.
const KEPT: usize = 2000;

/// The last lines; nothing in them but routes, times, and the names of cases as the server's own
/// folders have them.
#[derive(Default)]
pub struct Journal(Mutex<VecDeque<String>>);

impl Journal {
    /// One more line, here and in the log.
    pub fn say(&self, text: impl AsRef<str>) {
        let text = ild_cli::printable(text.as_ref()).replace('\n', " ");
        tracing::info!("{text}");
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(format!("{} {text}", clock::now()));
    }

    /// The last `n` lines, oldest first.
    #[must_use]
    pub fn last(&self, n: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(n)).cloned().collect()
    }
}
