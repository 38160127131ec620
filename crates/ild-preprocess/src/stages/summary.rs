//! What a run did, as a table and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ild_io::LabelTable;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cohort::pairs::Sources;
use crate::picture::flattened::Flattened;
use crate::stages::case::CaseFacts;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Done in this run.
    Written,
    /// Done before; inputs and settings have not changed.
    Unchanged,
    /// Nothing to write, with a reason that is no fault.
    Skipped,
    /// The input was refused.
    Rejected,
    /// The machine failed (disk full, no permission).
    Failed,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        })
    }
}

/// `3 written, 0 unchanged, …`
#[must_use]
pub(crate) fn tally(count: impl Fn(Status) -> usize) -> String {
    let states =
        [Status::Written, Status::Unchanged, Status::Skipped, Status::Rejected, Status::Failed];
    states.map(|status| format!("{} {status}", count(status))).join(", ")
}

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name.
    pub case: String,
    /// Part of the split it is in; `None` when it is in none.
    pub part: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Why, unless it was written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<CaseFacts>,
}

/// Everything about a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Cases, sorted by name.
    pub cases: Vec<Row>,
    /// Label files without a CT.
    pub labels_without_image: Vec<PathBuf>,
    /// CTs without a label file.
    pub images_without_label: Vec<PathBuf>,
    /// What concerns the run as a whole.
    pub notes: Vec<String>,
}

/// Sums over cases.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Total {
    /// Number of cases.
    pub cases: usize,
    /// Slices with a label.
    pub slices: usize,
    /// Voxels per label id.
    pub voxels: BTreeMap<u8, u64>,
    /// What the window did to the lung.
    pub flattened: Flattened,
}

impl Total {
    fn of<'a>(facts: impl Iterator<Item = &'a CaseFacts>) -> Self {
        let mut total = Self::default();
        for facts in facts {
            total.cases += 1;
            total.slices += facts.slices;
            for (&id, &count) in &facts.voxels {
                *total.voxels.entry(id).or_default() += count;
            }
            total.flattened.add(facts.flattened.unwrap_or_default());
        }
        total
    }
}

impl Summary {
    /// Number of cases that ended like this.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.cases.iter().filter(|row| row.status == status).count()
    }

    /// The files that the cases done were made from.
    #[must_use]
    pub fn input_files(&self, sources: &Sources) -> Vec<PathBuf> {
        let done = self.cases.iter().filter(|row| row.facts.is_some());
        done.flat_map(|row| {
            let image = sources.image_dir.join(format!("{}{}", row.case, sources.image_suffix));
            [image, sources.label_dir.join(format!("{}{}", row.case, sources.label_suffix))]
        })
        .collect()
    }

    /// Sums over all cases that have an NPZ.
    #[must_use]
    pub fn total(&self) -> Total {
        Total::of(self.cases.iter().filter_map(|row| row.facts.as_ref()))
    }

    /// Sums per part, in the order of the work: train, valid, test, then folds.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, Total)> {
        let names: BTreeSet<&str> =
            self.cases.iter().filter_map(|row| row.part.as_deref()).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_by_key(|name| {
            ["train", "valid", "test"].iter().position(|known| known == name).unwrap_or(3)
        });
        let of = |name: &str| {
            Total::of(
                self.cases
                    .iter()
                    .filter(|row| row.part.as_deref() == Some(name))
                    .filter_map(|row| row.facts.as_ref()),
            )
        };
        names.into_iter().map(|name| (name.to_owned(), of(name))).collect()
    }

    /// For the terminal: one line per part, then every case that was not written and why.
    #[must_use]
    pub fn text(&self, table: &LabelTable) -> String {
        let total = self.total();
        let ids: Vec<u8> = total.voxels.keys().copied().collect();
        let heads = ["part", "cases", "slices"].map(str::to_owned).into_iter();
        let mut grid = ild_cli::table(
            heads.chain(ids.iter().map(|&id| format!("{} (voxels)", table.name(id)))),
        );
        for (part, sum) in self.parts().iter().chain([&("total".to_owned(), total.clone())]) {
            let counts = ids.iter().map(|id| sum.voxels.get(id).copied().unwrap_or(0));
            let numbers = [sum.cases as u64, sum.slices as u64]
                .into_iter()
                .chain(counts)
                .map(|n| n.to_string());
            grid.add_row([part.clone()].into_iter().chain(numbers).collect::<Vec<_>>());
        }
        let mut lines = vec![grid.to_string(), tally(|status| self.count(status))];
        if let Some(share) = total.flattened.share() {
            lines.push(format!(
                "{:.1} % of the lung-range voxels (-950..-200 HU) became black or white",
                100.0 * share
            ));
        }
        let excuse = |row: &Row| format!("{}: {}: {}", row.case, row.status, row.reason);
        lines.extend(self.cases.iter().filter(|row| !row.reason.is_empty()).map(excuse));
        lines.extend(
            self.labels_without_image
                .iter()
                .map(|path| format!("{}: label without CT", path.display())),
        );
        lines.extend(
            self.images_without_label
                .iter()
                .map(|path| format!("{}: CT without label", path.display())),
        );
        lines.extend(self.notes.iter().cloned());
        lines.join("\n")
    }

    /// All of it for other programs; `settings` says how it was made.
    #[must_use]
    pub fn json(&self, table: &LabelTable, settings: &Value) -> Value {
        let parts: serde_json::Map<String, Value> =
            self.parts().into_iter().map(|(name, total)| (name, json!(total))).collect();
        json!({
            "settings": settings,
            "label_table": table,
            "parts": parts,
            "total": self.total(),
            "flattened_share": self.total().flattened.share(),
            "cases": self.cases,
            "labels_without_image": self.labels_without_image,
            "images_without_label": self.images_without_label,
            "notes": self.notes,
        })
    }
}
