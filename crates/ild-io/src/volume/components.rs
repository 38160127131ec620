//! Connected components of a label map, on its runs.
//!
//! Two voxels are connected when they touch (by face, edge or corner) **and** carry the same label:
//! lesions of two classes that touch are two components. Runs are joined with a union-find in one
//! pass over the rows; the result equals that of connected-components-3d, whose multi-label
//! behaviour the older scripts rely on.

use std::ops::Range;

use crate::LabelRuns;

/// What touches what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// The 26 voxels around a voxel, across slices.
    Volume26,
    /// The 8 pixels around a pixel, each slice on its own.
    Slice8,
}

/// Which component each run belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// Component of each run of [`LabelRuns::all`]; numbered from 0 in the order in which the array
    /// first meets them.
    pub of_run: Vec<u32>,
    /// Number of voxels of each component.
    pub voxels: Vec<u64>,
}

impl Components {
    /// Finds the components of `runs`.
    #[must_use]
    pub fn new(runs: &LabelRuns, neighbours: Neighbours) -> Self {
        let mut sets = Sets::new(runs.all().len());
        let [depth, height, _] = runs.shape_zyx();
        for z in 0..depth {
            if runs.slice(z).is_empty() {
                continue;
            }
            for y in 0..height {
                let row = runs.row(z, y);
                if row.is_empty() {
                    continue;
                }
                if y > 0 {
                    join(runs, &mut sets, row.clone(), runs.row(z, y - 1));
                }
                if z > 0 && neighbours == Neighbours::Volume26 {
                    for above in y.saturating_sub(1)..(y + 2).min(height) {
                        join(runs, &mut sets, row.clone(), runs.row(z - 1, above));
                    }
                }
            }
        }
        sets.numbered(runs)
    }
}

/// Joins the runs of two neighbouring rows that touch and agree.
fn join(runs: &LabelRuns, sets: &mut Sets, row: Range<usize>, other: Range<usize>) {
    let all = runs.all();
    let mut first = other.start;
    for i in row {
        let run = all[i];
        // A run that ends before this one starts can touch none of the later ones either.
        while first < other.end && all[first].x1 < run.x0 {
            first += 1;
        }
        for (j, candidate) in all[first..other.end].iter().enumerate() {
            if candidate.x0 > run.x1 {
                break;
            }
            if candidate.label == run.label {
                sets.join(i as u32, (first + j) as u32);
            }
        }
    }
}

/// Union-find whose root is always the smallest member, so that roots come in the order of the
/// array.
struct Sets(Vec<u32>);

impl Sets {
    fn new(len: usize) -> Self {
        Self((0..len as u32).collect())
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.0[i as usize] != i {
            let grandparent = self.0[self.0[i as usize] as usize];
            self.0[i as usize] = grandparent;
            i = grandparent;
        }
        i
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }

    /// Numbers the sets by their first run and adds up their voxels.
    fn numbered(mut self, runs: &LabelRuns) -> Components {
        let mut voxels: Vec<u64> = Vec::new();
        for (i, run) in runs.all().iter().enumerate() {
            // Members are numbered before later ones ask for them, and parents come before
            // children.
            let parent = self.0[i] as usize;
            let number = if parent == i {
                voxels.push(0);
                voxels.len() as u32 - 1
            } else {
                self.0[parent]
            };
            self.0[i] = number;
            voxels[number as usize] += run.len();
        }
        Components { of_run: self.0, voxels }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    /// Flood fill, voxel by voxel: slow and obviously right.
    fn flood(labels: &Array3<u8>, neighbours: Neighbours) -> Array3<u32> {
        let reach = if neighbours == Neighbours::Volume26 { 1 } else { 0 };
        let mut out = Array3::<u32>::zeros(labels.dim());
        let mut next = 0;
        for (start, &label) in labels.indexed_iter() {
            if label == 0 || out[start] != 0 {
                continue;
            }
            next += 1;
            out[start] = next;
            let mut queue = VecDeque::from([start]);
            while let Some((z, y, x)) = queue.pop_front() {
                for dz in -reach..=reach {
                    for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
                        let Some(to) = offset(labels, (z, y, x), (dz, dy, dx)) else { continue };
                        if labels[to] == label && out[to] == 0 {
                            out[to] = next;
                            queue.push_back(to);
                        }
                    }
                }
            }
        }
        out
    }

    fn offset(
        labels: &Array3<u8>,
        at: (usize, usize, usize),
        by: (isize, isize, isize),
    ) -> Option<(usize, usize, usize)> {
        let to = (
            at.0.checked_add_signed(by.0)?,
            at.1.checked_add_signed(by.1)?,
            at.2.checked_add_signed(by.2)?,
        );
        labels.get(to).map(|_| to)
    }

    fn by_runs(labels: &Array3<u8>, neighbours: Neighbours) -> Array3<u32> {
        let runs = LabelRuns::new(labels.view(), &[]);
        let components = Components::new(&runs, neighbours);
        let mut out = Array3::zeros(labels.dim());
        for z in 0..labels.dim().0 {
            for y in 0..labels.dim().1 {
                for i in runs.row(z, y) {
                    for x in runs.all()[i].x0..runs.all()[i].x1 {
                        out[[z, y, x as usize]] = components.of_run[i] + 1;
                    }
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// Sparse, dense and streaky textures of up to four labels: same components, same numbers.
        #[test]
        fn runs_give_the_components_of_a_flood_fill(
            (depth, height, width) in (1usize..6, 1usize..9, 1usize..24),
            texture in prop::collection::vec((0u8..5, 1usize..6), 1200),
            background in 0u8..5,
        ) {
            let stream: Vec<u8> = texture.iter().flat_map(|&(label, n)| std::iter::repeat_n(if label <= background { 0 } else { label }, n)).collect();
            let labels = Array3::from_shape_fn((depth, height, width), |(z, y, x)| stream[(z * height + y) * width + x]);
            for neighbours in [Neighbours::Volume26, Neighbours::Slice8] {
                prop_assert_eq!(by_runs(&labels, neighbours), flood(&labels, neighbours));
            }
        }
    }

    #[test]
    fn corners_touch_and_other_labels_do_not() {
        let mut labels = Array3::<u8>::zeros((2, 2, 4));
        labels[[0, 0, 0]] = 1;
        labels[[1, 1, 1]] = 1;
        labels[[0, 0, 1]] = 2;
        labels[[0, 0, 3]] = 1;
        let components = Components::new(&LabelRuns::new(labels.view(), &[]), Neighbours::Volume26);
        assert_eq!(components.voxels, [2, 1, 1]);
        let flat = Components::new(&LabelRuns::new(labels.view(), &[]), Neighbours::Slice8);
        assert_eq!(flat.voxels, [1, 1, 1, 1]);
    }
}
