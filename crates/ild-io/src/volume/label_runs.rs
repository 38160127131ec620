//! A label map as runs: the stretches of equal, non-zero labels along each row.
//!
//! Lesions fill a few per cent of a CT, in pieces that are long in x. As runs they are a hundred
//! times smaller than as voxels, and everything that is done to them before writing (dropping ids,
//! components, dust, counting) is done on runs.

use ndarray::{ArrayView3, ArrayViewMut2};

/// Voxels `x0..x1` of one row, all of one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First column.
    pub x0: u32,
    /// One past the last column.
    pub x1: u32,
    /// Label id, never 0.
    pub label: u8,
}

impl Run {
    /// Number of voxels.
    #[must_use]
    pub fn len(&self) -> u64 {
        u64::from(self.x1 - self.x0)
    }

    /// Always false: a run holds a voxel at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x0 == self.x1
    }
}

/// All labelled voxels of a volume, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRuns {
    shape_zyx: [usize; 3],
    /// Row `z · height + y` owns `runs[row_start[row]..row_start[row + 1]]`, ascending in x.
    row_start: Vec<u32>,
    runs: Vec<Run>,
}

impl LabelRuns {
    /// Takes the runs of `labels` (`[z, y, x]`), without the ids in `removed`.
    ///
    /// # Panics
    /// When there are 2³² runs or more, which takes a label map of at least that many voxels.
    #[must_use]
    pub fn new(labels: ArrayView3<u8>, removed: &[u8]) -> Self {
        let (depth, height, width) = labels.dim();
        let removed: [bool; 256] = std::array::from_fn(|id| removed.contains(&(id as u8)));
        let mut row_start = Vec::with_capacity(depth * height + 1);
        let mut runs = Vec::new();
        let mut copy = Vec::new();
        row_start.push(0);
        for slice in labels.outer_iter() {
            for row in slice.outer_iter() {
                let row = row.to_slice().unwrap_or_else(|| {
                    copy.clear();
                    copy.extend(row.iter());
                    &copy
                });
                push_runs(row, &removed, &mut runs);
                row_start.push(u32::try_from(runs.len()).expect("fewer than 2^32 runs"));
            }
        }
        Self { shape_zyx: [depth, height, width], row_start, runs }
    }

    /// Number of voxels of the volume along `z, y, x`.
    #[must_use]
    pub fn shape_zyx(&self) -> [usize; 3] {
        self.shape_zyx
    }

    /// Every run, in the order of the array.
    #[must_use]
    pub fn all(&self) -> &[Run] {
        &self.runs
    }

    /// Every run, to change labels in place (never to 0).
    #[must_use]
    pub fn all_mut(&mut self) -> &mut [Run] {
        &mut self.runs
    }

    /// Indices into [`LabelRuns::all`] of the runs of row `y` in slice `z`.
    #[must_use]
    pub fn row(&self, z: usize, y: usize) -> std::ops::Range<usize> {
        let row = z * self.shape_zyx[1] + y;
        self.row_start[row] as usize..self.row_start[row + 1] as usize
    }

    /// Indices into [`LabelRuns::all`] of the runs of slice `z`.
    #[must_use]
    pub fn slice(&self, z: usize) -> std::ops::Range<usize> {
        let height = self.shape_zyx[1];
        self.row_start[z * height] as usize..self.row_start[(z + 1) * height] as usize
    }

    /// Only the runs whose index `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut row_start = Vec::with_capacity(self.row_start.len());
        let mut runs = Vec::with_capacity(self.runs.len());
        row_start.push(0);
        for bounds in self.row_start.windows(2) {
            let row = bounds[0] as usize..bounds[1] as usize;
            runs.extend(row.filter(|&i| keep(i)).map(|i| self.runs[i]));
            row_start.push(runs.len() as u32);
        }
        runs.shrink_to_fit();
        Self { shape_zyx: self.shape_zyx, row_start, runs }
    }

    /// The slices that hold a label, ascending.
    #[must_use]
    pub fn labelled_slices(&self) -> Vec<usize> {
        (0..self.shape_zyx[0]).filter(|&z| !self.slice(z).is_empty()).collect()
    }

    /// Voxels per label id.
    #[must_use]
    pub fn voxels(&self) -> [u64; 256] {
        let mut count = [0; 256];
        for run in &self.runs {
            count[usize::from(run.label)] += run.len();
        }
        count
    }

    /// Writes the labels of slice `z` into `slice` (`[y, x]`), which must be zero elsewhere.
    pub fn paint(&self, z: usize, mut slice: ArrayViewMut2<u8>) {
        for (y, mut row) in slice.rows_mut().into_iter().enumerate() {
            for run in &self.runs[self.row(z, y)] {
                row.slice_mut(ndarray::s![run.x0 as usize..run.x1 as usize]).fill(run.label);
            }
        }
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>() + self.row_start.capacity() * size_of::<u32>()
    }
}

fn push_runs(row: &[u8], removed: &[bool; 256], runs: &mut Vec<Run>) {
    let mut x = 0;
    loop {
        x += leading_zeros(&row[x..]);
        let Some(&label) = row.get(x) else { return };
        let end = x + row[x..].iter().take_while(|&&value| value == label).count();
        if !removed[usize::from(label)] {
            runs.push(Run { x0: x as u32, x1: end as u32, label });
        }
        x = end;
    }
}

/// How many bytes at the start are 0; sixteen are looked at in one step, for most of a label map is
/// background.
fn leading_zeros(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks_exact(16).take_while(|block| **block == [0; 16]).count() * 16;
    blocks + bytes[blocks..].iter().take_while(|&&byte| byte == 0).count()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    fn painted(runs: &LabelRuns) -> Array3<u8> {
        let mut out = Array3::zeros(runs.shape_zyx());
        for (z, slice) in out.outer_iter_mut().enumerate() {
            runs.paint(z, slice);
        }
        out
    }

    proptest! {
        #[test]
        fn painting_the_runs_gives_the_map_back(dims in (1usize..4, 1usize..5, 1usize..40), seed in prop::collection::vec(0u8..4, 640)) {
            let labels = Array3::from_shape_fn(dims, |(z, y, x)| seed[(z * dims.1 + y) * dims.2 + x]);
            let runs = LabelRuns::new(labels.view(), &[3]);
            let expected = labels.mapv(|id| if id == 3 { 0 } else { id });
            prop_assert_eq!(painted(&runs), expected.clone());
            for id in 0..4u8 {
                let count = expected.iter().filter(|&&v| v == id && v != 0).count() as u64;
                prop_assert_eq!(runs.voxels()[usize::from(id)], count);
            }
        }
    }
}
