//! Runs of neighbouring slices: what SAM 2's memory learns on.
//!
//! A clip begins with a slice and its questions. The first of these is about one lesion, and the
//! slices that follow, in one direction, show where that lesion goes: on each, what touches it on
//! the slice before.

use std::collections::BTreeMap;

use ild_io::{Error as FileError, SlicePieces};
use ndarray::{Array2, ArrayView2};
use rand::Rng;

use crate::data::dataset::{Sample, SliceDataset};
use crate::data::prompts::{Given, POINTS, Prompt};
use crate::error::Result;

/// Slices of the CT from one slice of a clip to the next, at most.
const STEP: usize = 3;

/// A slice of a clip after the first.
#[derive(Clone, Debug)]
pub struct Following {
    /// Slices of the CT since the first slice of the clip, counted in the clip's direction.
    pub time: i64,
    /// The slice; its one question is none, its mask where the lesion is now.
    pub slice: Sample,
}

/// Which slices follow each other in their CT.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Case → slice of the CT → index in the dataset.
    cases: BTreeMap<String, BTreeMap<usize, usize>>,
    /// Case and slice of the CT of each index.
    places: BTreeMap<usize, (String, usize)>,
}

impl Neighbours {
    /// Of slices named `case-number`, by the slices of their CT.
    #[must_use]
    pub fn new<'a>(
        names: impl Iterator<Item = &'a str>,
        ct_slices: &BTreeMap<String, usize>,
    ) -> Self {
        let mut neighbours = Self::default();
        for (index, name) in names.enumerate() {
            let Some(&z) = ct_slices.get(name) else { continue };
            let case = name.rsplit_once('-').map_or(name, |(case, _)| case).to_owned();
            neighbours.cases.entry(case.clone()).or_default().insert(z, index);
            neighbours.places.insert(index, (case, z));
        }
        neighbours
    }

    /// Whether any slice has a neighbour.
    #[must_use]
    pub fn any(&self) -> bool {
        self.places.keys().any(|index| self.after(*index, true, 1).len() == 1)
    }

    /// At most `count` slices after `index`, upwards or downwards: distance in the CT and index. They
    /// end where the next one is farther than three slices.
    fn after(&self, index: usize, upwards: bool, count: usize) -> Vec<(usize, usize)> {
        let Some((case, start)) = self.places.get(&index) else { return Vec::new() };
        let slices = &self.cases[case];
        let (mut found, mut last) = (Vec::new(), *start);
        while found.len() < count {
            let next = if upwards {
                slices.range(last + 1..).next()
            } else {
                slices.range(..last).next_back()
            };
            let Some((&z, &index)) = next.filter(|(z, _)| z.abs_diff(last) <= STEP) else { break };
            found.push((z.abs_diff(*start), index));
            last = z;
        }
        found
    }
}

impl SliceDataset {
    /// Adds to `sample`, which is slice `index`, up to `slices` − 1 slices that follow it; none
    /// where its first question is not about a lesion, or nothing follows.
    ///
    /// # Errors
    /// As [`SliceDataset::sample`].
    pub(crate) fn follow(
        &self,
        sample: &mut Sample,
        index: usize,
        slices: usize,
        image_size: usize,
        rng: &mut impl Rng,
    ) -> Result<()> {
        let upwards = rng.random_bool(0.5);
        let asked = sample.prompts.first();
        let asked = asked.filter(|asked| asked.label > 0 && matches!(asked.given, Given::Box(_)));
        let Some(asked) = asked else { return Ok(()) };
        let (label, mut mask) = (asked.label, asked.mask.clone());
        for (distance, index) in self.neighbours.after(index, upwards, slices - 1) {
            let read = self.read_as(index, &sample.warp)?;
            mask = touching(&mask, label, read.1.view());
            let prompt = Prompt { label, given: NOTHING, mask: mask.clone() };
            let slice = self.finished(self.name(index), read, vec![prompt], image_size);
            sample.follows.push(Following { time: distance as i64, slice });
        }
        Ok(())
    }

    /// Refuses a folder that does not say which slices are neighbours.
    ///
    /// # Errors
    /// Says what makes one that does.
    pub(crate) fn require_neighbours(&self) -> Result<()> {
        if self.neighbours.any() {
            return Ok(());
        }
        let next = "run npz-to-npy again, on CT of which neighbouring slices are annotated; or train without --clip-slices";
        Err(FileError::refused(
            self.folder(),
            "slices that lie beside each other in their CT (`ct_slices` in dataset.json)",
            "none",
            next,
        )
        .into())
    }
}

/// As many points of padding as a question of clicks has: no prompt.
const NOTHING: Given = Given::Points([([0.0; 2], -1); POINTS]);

/// The pieces of `label` that touch `mask`.
fn touching(mask: &Array2<u8>, label: u8, labels: ArrayView2<u8>) -> Array2<u8> {
    let pieces = SlicePieces::new(labels);
    let mut next = Array2::zeros(labels.dim());
    for (index, piece) in pieces.all.iter().enumerate().filter(|(_, piece)| piece.label == label) {
        let area = &piece.around;
        let own = pieces.mask(index);
        let touches = (area.y0..area.y1)
            .any(|y| (area.x0..area.x1).any(|x| own[[y, x]] == 1 && mask[[y, x]] == 1));
        if touches {
            next += &own;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    fn neighbours() -> Neighbours {
        let names = ["a-000", "a-001", "a-002", "a-003", "b-000"];
        let z = [10, 12, 13, 20, 11];
        let ct_slices = names.iter().zip(z).map(|(name, z)| ((*name).to_owned(), z)).collect();
        Neighbours::new(names.into_iter(), &ct_slices)
    }

    #[test]
    fn a_clip_stays_in_its_ct_and_ends_at_a_gap() {
        let neighbours = neighbours();
        assert!(neighbours.any());
        assert_eq!(neighbours.after(0, true, 5), [(2, 1), (3, 2)]);
        assert_eq!(neighbours.after(2, false, 5), [(1, 1), (3, 0)]);
        assert_eq!(neighbours.after(2, false, 1), [(1, 1)]);
        assert!(neighbours.after(3, true, 5).is_empty() && neighbours.after(4, true, 5).is_empty());
        assert!(!Neighbours::new(["a-000", "a-001"].into_iter(), &BTreeMap::new()).any());
    }

    #[test]
    fn a_lesion_goes_on_where_it_is_touched() {
        let mut mask = Array2::<u8>::zeros((40, 40));
        mask.slice_mut(s![10..20, 10..20]).fill(1);
        let mut labels = Array2::<u8>::zeros((40, 40));
        labels.slice_mut(s![15..25, 15..25]).fill(3); // touches
        labels.slice_mut(s![30..35, 30..35]).fill(3); // elsewhere
        labels.slice_mut(s![8..12, 8..12]).fill(2); // another class
        let next = touching(&mask, 3, labels.view());
        assert_eq!(next.iter().map(|&m| usize::from(m)).sum::<usize>(), 100);
        assert_eq!(next[[20, 20]], 1);
        assert_eq!(touching(&next, 2, labels.view()).sum(), 0);
    }
}
