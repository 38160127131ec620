//! A mask and how it came to be what it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array3, ArrayView3, Axis};

use super::{Made, Record, Runs};

/// Steps that can be undone.
const STEPS: usize = 100;
/// Bytes that they may take together.
const STEP_BYTES: usize = 64 << 20;

/// Revisions of one mask are these apart from those of any other: a page that knows a mask which is
/// no more is told.
const APART: u64 = 1 << 24;
static BEGUN: AtomicU64 = AtomicU64::new(1);

/// Slices before and after something was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What.
    pub made: Made,
    /// Of one object that is still being prompted: the next answer takes this one's place.
    pub object: Option<String>,
    changes: Vec<(usize, Runs, Runs)>,
}

impl Step {
    fn bytes(&self) -> usize {
        self.changes.iter().map(|(_, a, b)| a.bytes() + b.bytes()).sum()
    }

    fn slices(&self) -> Vec<usize> {
        self.changes.iter().map(|(z, ..)| *z).collect()
    }
}

/// A mask, `[z, y, x]`, with its past.
#[derive(Clone, Debug)]
pub struct History {
    size: [usize; 2],
    slices: Vec<Runs>,
    revision: u64,
    undo: VecDeque<Step>,
    redo: Vec<Step>,
    /// What was done before anything that can be undone.
    settled: Record,
}

impl History {
    /// Nothing yet, on `shape` (`[z, y, x]`).
    #[must_use]
    pub fn new([depth, height, width]: [usize; 3]) -> Self {
        Self {
            size: [height, width],
            slices: vec![Runs::empty(height * width); depth],
            revision: APART * BEGUN.fetch_add(1, Ordering::Relaxed),
            undo: VecDeque::new(),
            redo: Vec::new(),
            settled: Record::default(),
        }
    }

    /// A mask that was made before, with what is known of that.
    #[must_use]
    pub fn of(labels: ArrayView3<u8>, settled: Record) -> Self {
        let (depth, height, width) = labels.dim();
        let slices = labels.outer_iter().map(Runs::of).collect();
        Self { slices, settled, ..Self::new([depth, height, width]) }
    }

    /// Rows and columns.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Goes up with every change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A slice.
    #[must_use]
    pub fn slice(&self, z: usize) -> Option<&Runs> {
        self.slices.get(z)
    }

    /// Slices that hold any label.
    pub fn occupied(&self) -> impl Iterator<Item = (usize, &Runs)> {
        self.slices.iter().enumerate().filter(|(_, runs)| !runs.is_empty())
    }

    /// Voxels of each label.
    #[must_use]
    pub fn counts(&self) -> [u64; 256] {
        let mut counts = [0; 256];
        self.slices.iter().for_each(|runs| runs.count(&mut counts));
        counts
    }

    /// The whole mask, `[z, y, x]`.
    #[must_use]
    pub fn labels(&self) -> Array3<u8> {
        let [height, width] = self.size;
        let mut labels = Array3::zeros((self.slices.len(), height, width));
        for (z, runs) in self.occupied() {
            if let Some(slice) = runs.slice(self.size) {
                labels.index_axis_mut(Axis(0), z).assign(&slice);
            }
        }
        labels
    }

    /// Everything that was done to it and not undone.
    #[must_use]
    pub fn record(&self) -> Record {
        let mut record = self.settled.clone();
        self.undo.iter().for_each(|step| record.push(&step.made));
        record
    }

    /// The object that is still being prompted.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.undo.back()?.object.as_deref()
    }

    /// Replaces slices; those outside the mask and those that stay as they are are left out. Returns
    /// which changed.
    pub fn change(
        &mut self,
        made: Made,
        object: Option<String>,
        new: impl IntoIterator<Item = (usize, Runs)>,
    ) -> Vec<usize> {
        let mut changes = Vec::new();
        for (z, after) in new {
            let Some(slice) = self.slices.get_mut(z) else { continue };
            if *slice != after {
                let before = std::mem::replace(slice, after.clone());
                changes.push((z, before, after));
            }
        }
        let step = Step { made, object, changes };
        let slices = step.slices();
        if !slices.is_empty() || step.object.is_some() {
            self.revision += 1;
            self.redo.clear();
            self.undo.push_back(step);
            self.settle();
        }
        slices
    }

    /// Lets go of steps that are too many.
    fn settle(&mut self) {
        let mut bytes: usize = self.undo.iter().map(Step::bytes).sum();
        while self.undo.len() > STEPS || (bytes > STEP_BYTES && self.undo.len() > 1) {
            let Some(step) = self.undo.pop_front() else { break };
            bytes -= step.bytes();
            self.settled.push(&step.made);
        }
    }

    /// Takes the last step back; returns the slices that changed, none where there is no step.
    pub fn undo(&mut self) -> Vec<usize> {
        let Some(step) = self.undo.pop_back() else { return Vec::new() };
        for (z, before, _) in &step.changes {
            self.slices[*z] = before.clone();
        }
        self.revision += 1;
        let slices = step.slices();
        self.redo.push(step);
        slices
    }

    /// Does the step again that was taken back last.
    pub fn redo(&mut self) -> Vec<usize> {
        let Some(step) = self.redo.pop() else { return Vec::new() };
        for (z, _, after) in &step.changes {
            self.slices[*z] = after.clone();
        }
        self.revision += 1;
        let slices = step.slices();
        self.undo.push_back(step);
        slices
    }

    /// Takes back the last answer for `object`, which is asked about again: its step leaves no trace.
    pub fn take_back(&mut self, object: &str) -> Vec<usize> {
        if self.object() != Some(object) {
            return Vec::new();
        }
        let slices = self.undo();
        self.redo.pop();
        slices
    }

    /// How many steps can be taken back, and done again.
    #[must_use]
    pub fn steps(&self) -> [usize; 2] {
        [self.undo.len(), self.redo.len()]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn made(how: &str) -> Made {
        Made {
            when: String::new(),
            who: String::new(),
            how: how.to_owned(),
            label: None,
            prompt: serde_json::Value::Null,
        }
    }

    fn full(label: u8) -> Runs {
        Runs::of(Array2::from_elem((2, 3), label).view())
    }

    fn how(history: &History) -> Vec<String> {
        history.record().iter().map(|made| made.how).collect()
    }

    #[test]
    fn steps_are_taken_back_and_done_again() {
        let mut mask = History::new([4, 2, 3]);
        let begun = mask.revision();
        assert_ne!(begun, History::new([4, 2, 3]).revision());
        assert_eq!(mask.change(made("a"), None, [(1, full(5)), (9, full(1))]), [1]);
        assert_eq!(mask.change(made("b"), None, [(1, full(2)), (2, full(2))]), [1, 2]);
        assert_eq!((mask.counts()[2], mask.counts()[5]), (12, 0));
        assert_eq!(mask.undo(), [1, 2]);
        assert_eq!((mask.counts()[5], how(&mask)), (6, vec!["a".to_owned()]));
        assert_eq!(mask.redo(), [1, 2]);
        assert_eq!(mask.counts()[2], 12);
        mask.undo();
        mask.change(made("c"), None, [(0, full(1))]);
        assert!(mask.redo().is_empty(), "something else was done since");
        assert_eq!(how(&mask), ["a", "c"]);
        let labels = mask.labels();
        assert_eq!((labels[[0, 1, 2]], labels[[1, 0, 0]], labels[[3, 0, 0]]), (1, 5, 0));
        assert_eq!(mask.revision() - begun, 6);
    }

    #[test]
    fn an_object_that_is_asked_about_again_is_one_step() {
        let mut mask = History::new([2, 2, 3]);
        mask.change(made("points"), Some("a".into()), [(0, full(1))]);
        mask.take_back("a");
        mask.change(made("points"), Some("a".into()), [(0, full(2))]);
        assert_eq!(mask.steps(), [1, 0]);
        assert!(mask.take_back("b").is_empty(), "another one");
        mask.undo();
        assert_eq!(mask.counts()[0], 12);
    }

    #[test]
    fn many_steps_are_settled_and_stay_on_record() {
        let mut mask = History::new([1, 2, 3]);
        for i in 0..2 * STEPS {
            mask.change(made(&format!("{i}\n")), None, [(0, full((i % 7) as u8 + 1))]);
        }
        assert_eq!(mask.steps(), [STEPS, 0]);
        assert!(mask.record().iter().eq((0..2 * STEPS).map(|i| made(&format!("{i}\n")))));
    }
}
