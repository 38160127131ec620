//! One piece of work that somebody may give up, while the process goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ild_cli::Interrupted;

/// Says that a piece of work is to be given up; copies say the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for it.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `Err` once it was asked for, or the whole process is to stop.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.asked() { Err(Interrupted) } else { ild_cli::stop_if_interrupted() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_asked_with_the_original() {
        let stop = Stop::default();
        let copy = stop.clone();
        assert!(copy.check().is_ok());
        stop.ask();
        assert!(copy.asked() && copy.check().is_err());
    }
}
