//! Work that takes a while and is watched: propagations and searches, one at a time for each case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ild_infer::Stop;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::error::{Answer, Problem};

/// Jobs by case, the last one of each.
#[derive(Default)]
pub struct Jobs(Mutex<HashMap<String, Arc<Job>>>);

/// One piece of work.
pub struct Job {
    /// `propagate` or `auto`.
    pub what: &'static str,
    /// Gives it up.
    pub stop: Stop,
    /// How far it is, in slices.
    pub progress: ProgressBar,
    outcome: Mutex<Option<Result<Vec<String>, String>>>,
}

/// How a job stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    what: &'static str,
    /// `running`, `done`, `failed` or `cancelled`.
    state: &'static str,
    done: u64,
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Job {
    /// Ends it: with notes for the person, or a reason.
    pub fn end(&self, outcome: Result<Vec<String>, String>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn is_running(&self) -> bool {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// How it stands.
    #[must_use]
    pub fn report(&self) -> Report {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (state, detail, notes) = match outcome {
            None => ("running", None, Vec::new()),
            Some(Ok(notes)) => ("done", None, notes),
            Some(Err(_)) if self.stop.asked() => ("cancelled", None, Vec::new()),
            Some(Err(why)) => ("failed", Some(why), Vec::new()),
        };
        let (done, total) = (self.progress.position(), self.progress.length().unwrap_or(0));
        Report { what: self.what, state, done: done.min(total), total, detail, notes }
    }
}

impl Jobs {
    /// A new job on `case`.
    ///
    /// # Errors
    /// 409 while another one runs there.
    pub fn begin(&self, case: &str, what: &'static str) -> Answer<Arc<Job>> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.get(case).is_some_and(|job| job.is_running()) {
            return Err(Problem::conflict(
                "the model is at work on this case already; wait for it or cancel it",
            ));
        }
        // What is over elsewhere is of no interest any more.
        jobs.retain(|_, job| job.is_running());
        let progress = ProgressBar::hidden();
        progress.set_length(0);
        let job =
            Arc::new(Job { what, stop: Stop::default(), progress, outcome: Mutex::new(None) });
        jobs.insert(case.to_owned(), Arc::clone(&job));
        Ok(job)
    }

    /// The last job on `case`.
    #[must_use]
    pub fn of(&self, case: &str) -> Option<Arc<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(case).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_at_a_time_works_on_a_case_and_says_how_it_ended() {
        let jobs = Jobs::default();
        let job = jobs.begin("a", "auto").unwrap();
        assert!(jobs.begin("a", "propagate").is_err());
        assert!(jobs.begin("b", "propagate").is_ok());
        assert_eq!(job.report().state, "running");
        job.stop.ask();
        job.end(Err("given up".into()));
        assert_eq!(jobs.of("a").unwrap().report().state, "cancelled");
        let again = jobs.begin("a", "propagate").unwrap();
        again.end(Err("broken".into()));
        assert_eq!(again.report().detail.as_deref(), Some("broken"));
    }
}
