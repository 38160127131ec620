//! Where several views of a slice disagree, voxel by voxel.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip};

use crate::coordinates::StackIndex;
use crate::{Range, THRESHOLD};

/// The steps in which distances between probabilities are kept: a byte a voxel.
const STEPS: f32 = 255.0;

/// Of each slice that several views answered about: how far their probabilities are apart (the
/// largest distance over all questions), and whether they decide differently.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    slices: BTreeMap<StackIndex, OnSlice>,
}

#[derive(Clone, Debug)]
struct OnSlice {
    /// Highest minus lowest, in [`STEPS`].
    distance: Array2<u8>,
    /// Some views are above the threshold and some are not.
    undecided: Array2<bool>,
}

/// What the views make of the voxels of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Disagreement {
    /// Voxels of the label that some views call lesion and others do not.
    pub undecided_voxels: u64,
    /// Mean over the label's voxels of the distance between the highest and the lowest probability.
    pub mean_distance: f64,
}

impl Spread {
    /// Whether one view answered everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Adds what the views said about `slice`.
    pub fn note(&mut self, slice: StackIndex, range: &Range) {
        let Range { lowest, highest } = range;
        let here = self.slices.entry(slice).or_insert_with(|| OnSlice {
            distance: Array2::zeros(lowest.dim()),
            undecided: Array2::from_elem(lowest.dim(), false),
        });
        Zip::from(&mut here.distance).and(&mut here.undecided).and(lowest).and(highest).for_each(
            |distance, undecided, &low, &high| {
                *distance = (*distance).max(((high - low) * STEPS).round() as u8);
                *undecided |= low <= THRESHOLD && high > THRESHOLD;
            },
        );
    }

    /// The distances through a stack of `shape`, `[n, y, x]`; 0 where nothing was asked.
    #[must_use]
    pub fn volume(&self, shape: [usize; 3]) -> Array3<f32> {
        let mut out = Array3::zeros(shape);
        for (slice, here) in &self.slices {
            out.index_axis_mut(Axis(0), slice.0)
                .assign(&here.distance.mapv(|steps| f32::from(steps) / STEPS));
        }
        out
    }

    /// What the views make of each label of a stack, by id; labels without a voxel are left out.
    #[must_use]
    pub fn by_label(&self, labels: ArrayView3<u8>) -> BTreeMap<u8, Disagreement> {
        let mut found = [(0u64, 0u64, 0u64); 256];
        for (slice, here) in &self.slices {
            let labels = labels.index_axis(Axis(0), slice.0);
            Zip::from(labels).and(&here.distance).and(&here.undecided).for_each(
                |&id, &steps, &undecided| {
                    let (voxels, all_steps, all_undecided) = &mut found[usize::from(id)];
                    *voxels += 1;
                    *all_steps += u64::from(steps);
                    *all_undecided += u64::from(undecided);
                },
            );
        }
        let rows = found.into_iter().enumerate().skip(1).filter(|(_, row)| row.0 > 0);
        rows.map(|(id, (voxels, steps, undecided_voxels))| {
            let mean_distance = steps as f64 / f64::from(STEPS) / voxels as f64;
            (id as u8, Disagreement { undecided_voxels, mean_distance })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn the_largest_distance_counts_and_a_label_has_its_own_voxels() {
        let mut spread = Spread::default();
        assert!(spread.is_empty());
        let range = |lowest, highest| Range { lowest, highest };
        spread.note(StackIndex(1), &range(arr2(&[[0.4, 0.6]]), arr2(&[[0.8, 0.8]])));
        spread.note(StackIndex(1), &range(arr2(&[[0.0, 0.0]]), arr2(&[[0.2, 0.0]])));
        let volume = spread.volume([2, 1, 2]);
        let near = |a: f32, b: f32| (a - b).abs() < 0.5 / STEPS;
        assert!(near(volume[[1, 0, 0]], 0.4) && near(volume[[1, 0, 1]], 0.2));
        assert_eq!(volume[[0, 0, 0]], 0.0);
        let mut labels = Array3::zeros([2, 1, 2]);
        labels[[1, 0, 0]] = 3;
        labels[[1, 0, 1]] = 5;
        let rows = spread.by_label(labels.view());
        assert_eq!(rows.keys().collect::<Vec<_>>(), [&3, &5]);
        assert_eq!(rows[&3].undecided_voxels, 1, "0.4 is outside and 0.8 is inside");
        assert_eq!(rows[&5].undecided_voxels, 0, "both are inside");
        assert!((rows[&3].mean_distance - 0.4).abs() < 0.5 / f64::from(STEPS));
    }
}
