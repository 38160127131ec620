//! What the page is told of a mask.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Caller;
use crate::app::App;
use crate::draft::{Draft, Runs};
use crate::jobs::Report;
use crate::model::{Lung, OpenCase};
use crate::presence::Other;

/// A slice in the page's order.
#[derive(Debug, Serialize)]
pub struct Slice {
    /// Which.
    pub k: usize,
    /// Labels row by row.
    pub runs: Runs,
}

/// How a mask stands, and the slices that are other than before.
#[derive(Debug, Serialize)]
pub struct View {
    /// Goes up with every change.
    pub revision: u64,
    /// Those that changed.
    pub slices: Vec<Slice>,
    /// Of each label, mL.
    pub ml: BTreeMap<u8, f64>,
    /// The lung; nothing until it is known.
    pub lung: Option<Lung>,
    /// How many steps can be taken back, and done again.
    pub steps: [usize; 2],
    /// Whether it was changed since it was accepted.
    pub changed: bool,
    /// Who else works on the case.
    pub others: Vec<Other>,
    /// What the model does on the case, or did last.
    pub job: Option<Report>,
    /// What the person should know.
    pub note: Option<String>,
}

impl View {
    /// Of `draft`, with the slices `changed`.
    pub fn of(
        app: &App,
        (id, case): (&str, &Arc<OpenCase>),
        caller: &Caller,
        draft: &Draft,
        changed: impl IntoIterator<Item = usize>,
    ) -> Self {
        let history = &draft.history;
        let mut changed: Vec<usize> = changed.into_iter().collect();
        changed.sort_unstable();
        changed.dedup();
        let slice = |k: usize| Some(Slice { k, runs: history.slice(k)?.turned() });
        let voxel_ml = case.scan().grid().voxel_volume_ml();
        let counts = history.counts();
        let ids = (1..=255u8).filter(|&id| counts[usize::from(id)] > 0);
        Self {
            revision: history.revision(),
            slices: changed.into_iter().filter_map(slice).collect(),
            ml: ids.map(|id| (id, counts[usize::from(id)] as f64 * voxel_ml)).collect(),
            lung: app.models.lung(case),
            steps: history.steps(),
            changed: draft.is_changed(),
            others: app.presence.note(id, &caller.window, &caller.who),
            job: app.jobs.of(id).map(|job| job.report()),
            note: None,
        }
    }
}
