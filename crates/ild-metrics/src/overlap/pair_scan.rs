//! One pass over two label maps: how many voxels of each class agree, slice by slice, and where the
//! class lies.

use std::collections::BTreeMap;

use ndarray::ArrayView3;

use crate::{Confusion, Extent};

/// What one pass over ground truth and prediction tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairScan {
    /// Counts of each slice, by class; classes that a slice lacks are left out.
    pub slices: Vec<BTreeMap<u8, Confusion>>,
    /// Smallest box around a class in either map.
    pub extents: BTreeMap<u8, Extent>,
    /// Counts with every class taken for the same.
    pub any_class: Confusion,
    /// Voxels by label id in `reference` and in `predicted`; both 0 is left out.
    pub taken_for: BTreeMap<(u8, u8), u64>,
}

impl PairScan {
    /// Compares `reference` and `predicted`, both `[z, y, x]`; 0 is background.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn new(reference: ArrayView3<u8>, predicted: ArrayView3<u8>) -> Self {
        assert_eq!(reference.dim(), predicted.dim(), "label maps of one pair have one shape");
        let (reference, predicted) =
            (reference.as_standard_layout(), predicted.as_standard_layout());
        let (mut slices, mut any_class) = (Vec::new(), Confusion::default());
        let mut extents = vec![None; 256];
        let mut taken_for = vec![0u64; 256 * 256];
        for (z, (r, p)) in reference.outer_iter().zip(predicted.outer_iter()).enumerate() {
            let mut counts = vec![Confusion::default(); 256];
            for (y, (r, p)) in r.outer_iter().zip(p.outer_iter()).enumerate() {
                if let (Some(r), Some(p)) = (r.as_slice(), p.as_slice()) {
                    runs(r, p, |x0, x1, a, b| {
                        let n = (x1 - x0) as u64;
                        taken_for[usize::from(a) * 256 + usize::from(b)] += n;
                        match (a != 0, b != 0) {
                            (true, true) => any_class.tp += n,
                            (true, false) => any_class.fn_ += n,
                            _ => any_class.fp += n,
                        }
                        if a == b {
                            counts[usize::from(a)].tp += n;
                        } else {
                            counts[usize::from(a)].fn_ += n;
                            counts[usize::from(b)].fp += n;
                        }
                        for id in [a, b] {
                            if id != 0 {
                                extents[usize::from(id)]
                                    .get_or_insert(Extent::of([z, y, x0]))
                                    .include_run(z, y, x0, x1);
                            }
                        }
                    });
                }
            }
            let present =
                counts.iter().enumerate().skip(1).filter(|(_, c)| **c != Confusion::default());
            slices.push(present.map(|(id, c)| (id as u8, *c)).collect());
        }
        let extents = extents
            .into_iter()
            .enumerate()
            .filter_map(|(id, extent)| Some((id as u8, extent?)))
            .collect();
        let taken_for = (0..=u16::MAX)
            .zip(taken_for)
            .filter(|(_, voxels)| *voxels > 0)
            .map(|(pair, voxels)| (((pair >> 8) as u8, (pair & 255) as u8), voxels))
            .collect();
        Self { slices, extents, any_class, taken_for }
    }

    /// Counts of a class over all slices.
    #[must_use]
    pub fn total(&self, id: u8) -> Confusion {
        self.slices.iter().filter_map(|slice| slice.get(&id).copied()).sum()
    }
}

/// Calls `found(x0, x1, reference, predicted)` for each stretch of a row in which neither value
/// changes and one is not 0.
fn runs(reference: &[u8], predicted: &[u8], mut found: impl FnMut(usize, usize, u8, u8)) {
    const BLOCK: usize = 32;
    let empty = |row: &[u8]| row.iter().fold(0, |seen, v| seen | v) == 0;
    let length = reference.len();
    let mut x = 0;
    while x < length {
        while x + BLOCK <= length
            && empty(&reference[x..x + BLOCK])
            && empty(&predicted[x..x + BLOCK])
        {
            x += BLOCK;
        }
        let pairs = || reference[x..].iter().zip(&predicted[x..]);
        x += pairs().take_while(|(r, p)| **r | **p == 0).count();
        let pairs = || reference[x..].iter().zip(&predicted[x..]);
        let Some((&a, &b)) = pairs().next() else { break };
        let same = pairs().take_while(|(r, p)| **r == a && **p == b).count();
        found(x, x + same, a, b);
        x += same;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    #[test]
    fn counts_and_extents_equal_a_count_by_hand() {
        let mut reference = Array3::<u8>::zeros((3, 4, 40));
        reference.slice_mut(s![1, 1..3, 5..35]).fill(2);
        let mut predicted = Array3::<u8>::zeros((3, 4, 40));
        predicted.slice_mut(s![1, 2..4, 6..36]).fill(2);
        predicted[[0, 0, 39]] = 7;
        predicted[[1, 1, 5]] = 7;
        let scan = PairScan::new(reference.view(), predicted.view());
        // Rows 1 and 2 of 30 voxels in the reference, rows 2 and 3 in the prediction; in row 2
        // columns 6..35 agree.
        assert_eq!(scan.total(2), Confusion { tp: 29, fp: 31, fn_: 31 });
        // As one class the two differ outside columns 6..35 of row 2 as well: (1, 1, 5) is a 7 over
        // a 2.
        assert_eq!(scan.any_class, Confusion { tp: 30, fp: 32, fn_: 30 });
        assert_eq!(scan.total(7), Confusion { tp: 0, fp: 2, fn_: 0 });
        // Row 1 of class 2 was missed but for column 5, which was called 7; row 3 was invented.
        let expected = [((0, 2), 31), ((0, 7), 1), ((2, 0), 30), ((2, 2), 29), ((2, 7), 1)];
        assert_eq!(scan.taken_for, BTreeMap::from(expected));
        assert_eq!(scan.slices[0].keys().copied().collect::<Vec<_>>(), [7]);
        assert!(scan.slices[2].is_empty());
        assert_eq!(scan.extents[&2], Extent { start: [1, 1, 5], end: [2, 4, 36] });
        assert_eq!(scan.extents[&7], Extent { start: [0, 0, 5], end: [2, 2, 40] });
    }
}
