//! Several labels on one voxel: the one with the higher probability has it; of equals, the lower
//! id.

use std::collections::BTreeMap;

use ild_io::BoundingBox;
use ndarray::{Array2, Array3, ArrayView2, Axis, Zip, s};

use super::patch::SlicePatch;
use super::spread::Spread;
use crate::Prediction;
use crate::coordinates::StackIndex;

/// The probabilities by which labels hold their voxels on one slice, within the box around all of
/// them: whole slices would cost more memory than the CT.
#[derive(Clone, Debug)]
struct Best {
    at: BoundingBox,
    probability: Array2<f32>,
}

impl Best {
    /// What is known already, enlarged so that it covers `around` too; 0 where nothing is known.
    fn covering(known: Option<Self>, around: BoundingBox) -> Self {
        let union = |a: BoundingBox, b: BoundingBox| BoundingBox {
            x0: a.x0.min(b.x0),
            y0: a.y0.min(b.y0),
            x1: a.x1.max(b.x1),
            y1: a.y1.max(b.y1),
        };
        let at = known.as_ref().map_or(around, |known| union(known.at, around));
        match known {
            Some(known) if known.at == at => known,
            known => {
                let mut probability = Array2::zeros((at.y1 - at.y0, at.x1 - at.x0));
                if let Some(Self { at: old, probability: values }) = known {
                    probability
                        .slice_mut(s![
                            old.y0 - at.y0..old.y1 - at.y0,
                            old.x0 - at.x0..old.x1 - at.x0
                        ])
                        .assign(&values);
                }
                Self { at, probability }
            }
        }
    }
}

/// What the model said about one label, before overlaps are resolved.
#[derive(Clone, Debug, Default)]
pub struct LabelPrediction {
    /// Slices on which the model was asked about this label, and its masks there (`None`: empty).
    pub masks: BTreeMap<StackIndex, Option<SlicePatch>>,
    /// Probabilities of the visited slices, when they are to be kept.
    pub probabilities: BTreeMap<StackIndex, Array2<f32>>,
    iou_sum: f64,
    object_sum: f64,
    scored: usize,
}

impl LabelPrediction {
    /// The mask through the stack as 0 and 1, `[n, y, x]`.
    #[must_use]
    pub fn volume(&self, shape: [usize; 3]) -> Array3<u8> {
        let mut out = Array3::zeros(shape);
        for (slice, patch) in &self.masks {
            if let Some(patch) = patch {
                patch.paint(&mut out.index_axis_mut(Axis(0), slice.0), 1);
            }
        }
        out
    }

    /// Mean of the decoder's IoU estimates and of its object scores, over its answers; `None` where
    /// it was never asked.
    #[must_use]
    pub fn mean_scores(&self) -> Option<[f64; 2]> {
        let n = self.scored as f64;
        (self.scored > 0).then(|| [self.iou_sum / n, self.object_sum / n])
    }
}

/// Collects predictions of all labels of a case, in any order.
#[derive(Clone, Debug)]
pub struct Merger {
    /// Label ids `[n, y, x]`, overlaps resolved.
    pub labels: Array3<u8>,
    /// Each label on its own.
    pub per_label: BTreeMap<u8, LabelPrediction>,
    /// Where several views answered: how far apart they are.
    pub spread: Spread,
    best: Vec<Option<Best>>,
    keep_probabilities: bool,
    overlapping: u64,
}

impl Merger {
    /// Nothing predicted yet, for a stack of `shape` (`[n, y, x]`).
    #[must_use]
    pub fn new(shape: [usize; 3], keep_probabilities: bool) -> Self {
        Self {
            labels: Array3::zeros(shape),
            per_label: BTreeMap::new(),
            spread: Spread::default(),
            best: vec![None; shape[0]],
            keep_probabilities,
            overlapping: 0,
        }
    }

    /// Adds the answer for `label` on `slice`. Answers for the same label (several pieces) are
    /// united.
    pub fn add(&mut self, label: u8, slice: StackIndex, prediction: &Prediction) {
        self.claim(label, slice, prediction.mask(), prediction.probability.view());
        if let Some(range) = &prediction.range {
            self.spread.note(slice, range);
        }
        let entry = self.per_label.entry(label).or_default();
        if let Some(scores) = prediction.scores {
            entry.iou_sum += f64::from(scores.iou);
            entry.object_sum += f64::from(scores.object);
            entry.scored += 1;
        }
    }

    /// Claims the pixels of `mask` for `label` on `slice`, with these probabilities.
    pub fn claim(
        &mut self,
        label: u8,
        slice: StackIndex,
        mut mask: Array2<bool>,
        probability: ArrayView2<f32>,
    ) {
        self.resolve(label, slice, mask.view(), probability);
        let entry = self.per_label.entry(label).or_default();
        if let Some(Some(earlier)) = entry.masks.get(&slice) {
            earlier.paint(&mut mask.view_mut(), true);
        }
        entry.masks.insert(slice, SlicePatch::new(mask.view()));
        if self.keep_probabilities {
            let kept = entry
                .probabilities
                .entry(slice)
                .or_insert_with(|| Array2::zeros(probability.dim()));
            kept.zip_mut_with(&probability, |a, &b| *a = a.max(b));
        }
    }

    fn resolve(
        &mut self,
        label: u8,
        StackIndex(z): StackIndex,
        mask: ArrayView2<bool>,
        probability: ArrayView2<f32>,
    ) {
        let Some(around) = BoundingBox::around(mask, |inside| inside) else { return };
        let best = Best::covering(self.best[z].take(), around);
        let best = self.best[z].insert(best);
        let BoundingBox { x0, y0, x1, y1 } = best.at;
        let mut overlapping = 0;
        let mut labels = self.labels.index_axis_mut(Axis(0), z);
        let here = s![y0..y1, x0..x1];
        Zip::from(labels.slice_mut(here))
            .and(&mut best.probability)
            .and(mask.slice(here))
            .and(probability.slice(here))
            .for_each(|id, best, &inside, &p| {
                if inside {
                    overlapping += u64::from(*id != 0 && *id != label);
                    if p > *best || (p == *best && label < *id) {
                        *id = label;
                        *best = p;
                    }
                }
            });
        self.overlapping += overlapping;
    }

    /// Voxels that more than one label claimed (counted once per further claim).
    #[must_use]
    pub fn overlapping(&self) -> u64 {
        self.overlapping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scores, THRESHOLD};

    fn answer(values: [f32; 4]) -> Prediction {
        Prediction {
            probability: Array2::from_shape_vec((2, 2), values.to_vec()).unwrap(),
            scores: Some(Scores { iou: 0.5, object: 2.0 }),
            range: None,
        }
    }

    #[test]
    fn the_higher_probability_wins_whatever_the_order() {
        let (a, b) = (answer([0.9, 0.6, 0.2, 0.7]), answer([0.8, 0.8, 0.6, 0.7]));
        for swapped in [false, true] {
            let mut merger = Merger::new([1, 2, 2], false);
            let mut add = [(2u8, &a), (1u8, &b)];
            if swapped {
                add.reverse();
            }
            for (label, prediction) in add {
                merger.add(label, StackIndex(0), prediction);
            }
            assert_eq!(merger.labels.as_slice().unwrap(), [2, 1, 1, 1], "swapped {swapped}");
            assert_eq!(merger.overlapping(), 3);
            assert_eq!(
                merger.per_label[&2].volume([1, 2, 2]).as_slice().unwrap(),
                [1, 1, 0, 1],
                "each label on its own is complete"
            );
        }
    }

    proptest::proptest! {
        /// Against the rule itself, voxel by voxel, for claims of any shape and order.
        #[test]
        fn every_voxel_goes_to_its_most_probable_label(claims in proptest::collection::vec((1u8..5, proptest::collection::vec(0u8..10, 42)), 1..6)) {
            let mut merger = Merger::new([1, 6, 7], false);
            let mut expected = vec![(0u8, 0.0f32); 42];
            for (label, tenths) in &claims {
                // Few voxels are claimed, so that the boxes around the claims differ.
                let p: Vec<f32> = tenths.iter().map(|&t| if t < 7 { 0.0 } else { f32::from(t) / 10.0 }).collect();
                for (best, &p) in expected.iter_mut().zip(&p) {
                    if p > THRESHOLD && (p > best.1 || (p == best.1 && *label < best.0)) {
                        *best = (*label, p);
                    }
                }
                merger.add(*label, StackIndex(0), &Prediction { probability: Array2::from_shape_vec((6, 7), p).unwrap(), scores: None, range: None });
            }
            let ids: Vec<u8> = expected.iter().map(|best| best.0).collect();
            proptest::prop_assert_eq!(merger.labels.as_slice().unwrap(), ids);
        }
    }

    #[test]
    fn pieces_of_one_label_are_united() {
        let mut merger = Merger::new([1, 2, 2], true);
        merger.add(3, StackIndex(0), &answer([0.9, 0.0, 0.0, 0.0]));
        merger.add(3, StackIndex(0), &answer([0.0, 0.0, 0.0, 0.8]));
        assert_eq!(merger.per_label[&3].volume([1, 2, 2]).as_slice().unwrap(), [1, 0, 0, 1]);
        assert_eq!(
            merger.per_label[&3].probabilities[&StackIndex(0)].as_slice().unwrap(),
            [0.9, 0.0, 0.0, 0.8]
        );
        assert_eq!(merger.overlapping(), 0);
    }

    #[test]
    fn exactly_one_half_is_outside() {
        let mut merger = Merger::new([1, 2, 2], false);
        merger.add(1, StackIndex(0), &answer([0.5, 0.500_001, 0.0, 0.0]));
        assert_eq!(merger.labels.as_slice().unwrap(), [0, 1, 0, 0]);
        assert_eq!(merger.per_label[&1].mean_scores(), Some([0.5, 2.0]));
    }
}
