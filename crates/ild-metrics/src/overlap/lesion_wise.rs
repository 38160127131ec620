//! Lesions found and lesions invented: detection, counted by connected components.
//!
//! A lesion is a 26-connected component of one class. A lesion of the ground truth is found when at
//! least the given share of its voxels is predicted as its class; a predicted lesion is true when
//! at least that share of it is that class in the ground truth.

use std::collections::BTreeMap;
use std::ops::Range;

use ild_io::{Components, LabelRuns, Neighbours};
use ndarray::ArrayView3;
use serde::Serialize;

/// Upper ends of the size strata, mL; the last stratum is open.
pub const STRATA_ML: [f64; 2] = [1.0, 10.0];

/// Lesions of one class in one case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LesionScores {
    /// In the ground truth.
    pub reference: u64,
    /// Of those, found.
    pub found: u64,
    /// In the prediction.
    pub predicted: u64,
    /// Of those, true.
    pub true_predicted: u64,
    /// `[in the ground truth, found]` below 1 mL, below 10 mL, above.
    pub strata: [[u64; 2]; 3],
}

impl LesionScores {
    /// Share of the ground truth's lesions that were found; `None` when there are none.
    #[must_use]
    pub fn sensitivity(&self) -> Option<f64> {
        if self.reference == 0 { None } else { Some(self.found as f64 / self.reference as f64) }
    }

    /// Share of the predicted lesions that are true; `None` when there are none.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        if self.predicted == 0 {
            None
        } else {
            Some(self.true_predicted as f64 / self.predicted as f64)
        }
    }

    /// `2·found / (2·found + missed + invented)` with precision's and sensitivity's own counts:
    /// their harmonic mean.
    ///
    /// `None` when there is no lesion on either side, 0 when there are some on one side only.
    #[must_use]
    pub fn f1(&self) -> Option<f64> {
        match (self.sensitivity(), self.precision()) {
            (None, None) => None,
            (Some(s), Some(p)) if s + p > 0.0 => Some(2.0 * s * p / (s + p)),
            _ => Some(0.0),
        }
    }

    /// Adds the counts of another case.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.reference += other.reference;
        self.found += other.found;
        self.predicted += other.predicted;
        self.true_predicted += other.true_predicted;
        for (mine, theirs) in self.strata.iter_mut().flatten().zip(other.strata.iter().flatten()) {
            *mine += theirs;
        }
        self
    }
}

/// Counts the lesions of every class in two label maps of one shape.
///
/// `overlap` is the share (0..=1) of a lesion's voxels that has to be covered; one voxel is always
/// needed.
///
/// # Example
/// ```
/// use ild_metrics::lesion_scores;
/// use ndarray::{Array3, s};
///
/// let mut truth = Array3::<u8>::zeros((3, 16, 16));
/// truth.slice_mut(s![1, 1..4, 1..4]).fill(2);
/// truth.slice_mut(s![1, 9..12, 9..12]).fill(2);
/// let mut found = Array3::<u8>::zeros((3, 16, 16));
/// found.slice_mut(s![1, 1..3, 1..4]).fill(2); // two thirds of the first lesion
/// let scores = &lesion_scores(truth.view(), found.view(), 0.002, 0.5)[&2];
/// assert_eq!((scores.reference, scores.found, scores.predicted), (2, 1, 1));
/// ```
#[must_use]
pub fn lesion_scores(
    reference: ArrayView3<u8>,
    predicted: ArrayView3<u8>,
    voxel_ml: f64,
    overlap: f64,
) -> BTreeMap<u8, LesionScores> {
    let mut scores: BTreeMap<u8, LesionScores> = BTreeMap::new();
    for lesion in lesions(reference, predicted) {
        let class = scores.entry(lesion.label).or_default();
        let volume_ml = lesion.voxels as f64 * voxel_ml;
        let stratum = STRATA_ML.iter().take_while(|end| volume_ml >= **end).count();
        let found = u64::from(lesion.is_covered(overlap));
        class.reference += 1;
        class.found += found;
        class.strata[stratum][0] += 1;
        class.strata[stratum][1] += found;
    }
    for lesion in lesions(predicted, reference) {
        let class = scores.entry(lesion.label).or_default();
        class.predicted += 1;
        class.true_predicted += u64::from(lesion.is_covered(overlap));
    }
    scores
}

struct Lesion {
    label: u8,
    voxels: u64,
    covered: u64,
}

impl Lesion {
    fn is_covered(&self, share: f64) -> bool {
        self.covered > 0 && self.covered as f64 >= share * self.voxels as f64
    }
}

/// The lesions of `of`, and how many of their voxels carry the same label in `by`.
fn lesions(of: ArrayView3<u8>, by: ArrayView3<u8>) -> Vec<Lesion> {
    let runs = LabelRuns::new(of, &[]);
    let components = Components::new(&runs, Neighbours::Volume26);
    let mut lesions: Vec<Lesion> =
        components.voxels.iter().map(|&voxels| Lesion { label: 0, voxels, covered: 0 }).collect();
    for ((z, y), other) in rows(by) {
        for i in runs.row(z, y) {
            let run = runs.all()[i];
            let lesion = &mut lesions[components.of_run[i] as usize];
            lesion.label = run.label;
            let columns: Range<usize> = run.x0 as usize..run.x1 as usize;
            lesion.covered +=
                other.slice(ndarray::s![columns]).iter().filter(|id| **id == run.label).count()
                    as u64;
        }
    }
    lesions
}

fn rows<'a>(
    map: ArrayView3<'a, u8>,
) -> impl Iterator<Item = ((usize, usize), ndarray::ArrayView1<'a, u8>)> {
    let (_, height, _) = map.dim();
    let count = map.dim().0 * height;
    (0..count).map(move |i| {
        ((i / height, i % height), map.slice_move(ndarray::s![i / height, i % height, ..]))
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    /// Three lesions of class 1 (8, 27 and 1 voxels), one of class 2; of class 1 the first is half
    /// covered, the second by one voxel, the third not, and there is one invented lesion.
    fn maps() -> (Array3<u8>, Array3<u8>) {
        let (mut reference, mut predicted) =
            (Array3::<u8>::zeros((6, 12, 12)), Array3::<u8>::zeros((6, 12, 12)));
        reference.slice_mut(s![0..2, 0..2, 0..2]).fill(1);
        reference.slice_mut(s![0..3, 0..3, 5..8]).fill(1);
        reference[[5, 11, 11]] = 1;
        reference.slice_mut(s![4..6, 4..6, 4..6]).fill(2);
        predicted.slice_mut(s![0..1, 0..2, 0..2]).fill(1);
        predicted[[2, 2, 7]] = 1;
        predicted.slice_mut(s![5, 0..2, 0..2]).fill(1);
        predicted.slice_mut(s![4..6, 4..6, 4..6]).fill(2);
        (reference, predicted)
    }

    #[test]
    fn lesions_are_matched_by_covered_share() {
        let (reference, predicted) = maps();
        let scores = lesion_scores(reference.view(), predicted.view(), 0.1, 0.1);
        let expected = LesionScores {
            reference: 3,
            found: 1,
            predicted: 3,
            true_predicted: 2,
            strata: [[2, 1], [1, 0], [0, 0]],
        };
        assert_eq!(scores[&1], expected);
        assert_eq!(
            (scores[&1].sensitivity(), scores[&1].precision()),
            (Some(1.0 / 3.0), Some(2.0 / 3.0))
        );
        assert!((scores[&1].f1().unwrap() - 4.0 / 9.0).abs() < 1e-15);
        assert_eq!((scores[&2].reference, scores[&2].found, scores[&2].f1()), (1, 1, Some(1.0)));
    }

    #[test]
    fn any_overlap_counts_when_no_share_is_asked() {
        let (reference, predicted) = maps();
        assert_eq!(lesion_scores(reference.view(), predicted.view(), 0.1, 0.0)[&1].found, 2);
    }

    #[test]
    fn a_class_on_one_side_only_has_an_f1_of_zero() {
        let (reference, _) = maps();
        let empty = Array3::zeros(reference.dim());
        let scores = lesion_scores(reference.view(), empty.view(), 0.1, 0.1);
        assert_eq!(
            (scores[&2].sensitivity(), scores[&2].precision(), scores[&2].f1()),
            (Some(0.0), None, Some(0.0))
        );
        assert!(lesion_scores(empty.view(), empty.view(), 0.1, 0.1).is_empty());
    }
}
