//! What stage 2 did, for the terminal.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cohort::dataset::Dataset;
use crate::cohort::split::Part;
use crate::stages::npz_to_npy::{LABEL_SIZE, SliceFacts};
use crate::stages::summary::{Status, tally};

/// One NPZ.
#[derive(Clone, Debug)]
pub struct NpyRow {
    /// Name of the NPZ without ending.
    pub case: String,
    /// The file.
    pub path: PathBuf,
    /// Where its slices are.
    pub part: Part,
    /// How it ended.
    pub status: Status,
    /// Why, unless it was written.
    pub reason: String,
    /// What is in it.
    pub facts: Option<SliceFacts>,
}

/// Everything about a run.
#[derive(Clone, Debug)]
pub struct NpySummary {
    /// NPZ files, train before valid, sorted by name.
    pub rows: Vec<NpyRow>,
    /// What was written to `dataset.json`.
    pub dataset: Dataset,
    /// What concerns the run as a whole.
    pub notes: Vec<String>,
    /// Patients whose slices are for training; without a table of patients, their cases.
    pub training_patients: usize,
}

impl NpySummary {
    /// Number of NPZ that ended like this.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }

    /// For the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let ids: BTreeSet<u8> = self
            .dataset
            .parts
            .values()
            .flat_map(|part| part.slices_per_label.keys().copied())
            .collect();
        let heads = ["part", "cases", "slices", "left out"].map(str::to_owned).into_iter();
        let mut grid = ild_cli::table(heads.chain(
            ids.iter().map(|&id| format!("{} (slices)", self.dataset.label_table.name(id))),
        ));
        for (name, part) in &self.dataset.parts {
            let counts = ids.iter().map(|id| part.slices_per_label.get(id).copied().unwrap_or(0));
            let numbers = [part.cases.len(), part.slices, part.vanished_slices]
                .into_iter()
                .chain(counts)
                .map(|n| n.to_string());
            grid.add_row([name.clone()].into_iter().chain(numbers).collect::<Vec<_>>());
        }
        let mut lines = vec![grid.to_string(), tally(|status| self.count(status))];
        let vanished: usize = self.dataset.parts.values().map(|part| part.vanished_slices).sum();
        if vanished > 0 {
            lines.push(format!(
                "{vanished} slices left out: their labels vanish at {LABEL_SIZE} × {LABEL_SIZE}"
            ));
        }
        lines.extend(
            self.rows
                .iter()
                .filter(|row| !row.reason.is_empty())
                .map(|row| format!("{}: {}: {}", row.case, row.status, row.reason)),
        );
        lines.extend(self.notes.iter().cloned());
        lines.join("\n")
    }
}
