//! What a run tells at its end.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::case::Segmented;
use crate::{Error, Result};

/// What the summary tells of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseFacts {
    /// Names of the labels in the result.
    pub labels: Vec<String>,
    /// Where its prompt came from.
    pub prompt: String,
    /// Slices of the stack.
    pub slices: usize,
    /// Slices encoded by the model.
    pub encoded: usize,
    /// Wall time.
    pub seconds: f64,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl CaseFacts {
    pub(super) fn of(done: &Segmented, time: Duration) -> Self {
        let names = done.merger.per_label.keys().map(|&id| done.scan.label_table.name(id));
        Self {
            labels: names.collect(),
            prompt: done.provenance.stamp.clone(),
            slices: done.scan.z_index().len(),
            encoded: done.encoded,
            seconds: time.as_secs_f64(),
            notes: done.scan.notes.clone(),
        }
    }

    pub(super) fn log(&self, case: &str) {
        let speed = self.slices as f64 / self.seconds;
        tracing::info!(
            "{case}: {} slices in {:.1} s ({speed:.2} slices/s)",
            self.slices,
            self.seconds
        );
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Segmented now.
    Done(CaseFacts),
    /// Segmented by an earlier run with the same settings and inputs.
    Skipped(CaseFacts),
    /// Not segmented, and why.
    Failed(String),
}

/// One line of the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Case.
    pub case: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Case by case, in the order of their names.
    pub rows: Vec<Row>,
    /// Failures that were refusals of an input.
    pub(super) rejected: usize,
}

impl Summary {
    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count()
    }

    /// `Err` when a case failed.
    ///
    /// # Errors
    /// [`Error::Cases`].
    pub fn verdict(&self) -> Result<()> {
        let failed = self.failed();
        if failed == 0 {
            Ok(())
        } else {
            Err(Error::Cases { failed, total: self.rows.len(), rejected: failed == self.rejected })
        }
    }

    /// The table at the end of a run whose results are in `output`.
    #[must_use]
    pub fn table(&self, output: &Path) -> String {
        let mut table =
            ild_cli::table(["case", "labels", "slices", "encoded", "seconds", "prompt", "output"]);
        for Row { case, outcome } in &self.rows {
            let (facts, time) = match outcome {
                Outcome::Done(facts) => (facts, format!("{:.1}", facts.seconds)),
                Outcome::Skipped(facts) => (facts, "done before".to_owned()),
                Outcome::Failed(why) => {
                    table.add_row([case.as_str(), "failed", "", "", "", "", why]);
                    continue;
                }
            };
            let none = facts.labels.is_empty();
            table.add_row([
                case.clone(),
                if none { "none".to_owned() } else { facts.labels.join(", ") },
                facts.slices.to_string(),
                facts.encoded.to_string(),
                time,
                facts.prompt.clone(),
                output.join(format!("{case}.nii.gz")).display().to_string(),
            ]);
        }
        table.to_string()
    }
}
