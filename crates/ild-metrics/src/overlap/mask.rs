//! One class of a label map, and where it lies.

use ndarray::ArrayView3;

/// The voxels of a label map `[z, y, x]` that carry `id`.
#[derive(Clone, Copy, Debug)]
pub struct Mask<'a> {
    /// Label ids.
    pub labels: ArrayView3<'a, u8>,
    /// The class.
    pub id: u8,
}

impl Mask<'_> {
    /// Smallest box around the mask; `None` when it is empty.
    #[must_use]
    pub fn extent(&self) -> Option<Extent> {
        let mut found: Option<Extent> = None;
        for (z, slice) in self.labels.outer_iter().enumerate() {
            for (y, row) in slice.outer_iter().enumerate() {
                let Some(first) = row.iter().position(|&v| v == self.id) else { continue };
                let last = row.iter().rposition(|&v| v == self.id).unwrap_or(first);
                found.get_or_insert(Extent::of([z, y, first])).include_run(z, y, first, last + 1);
            }
        }
        found
    }

    /// Writes row `(z, y)`, columns `x0..x0 + out.len()`, as 1 inside and 0 outside.
    pub(crate) fn copy_row(&self, z: usize, y: usize, x0: usize, out: &mut [u8]) {
        let row = self.labels.slice(ndarray::s![z, y, x0..x0 + out.len()]);
        match row.as_slice() {
            Some(row) => out.iter_mut().zip(row).for_each(|(o, &v)| *o = u8::from(v == self.id)),
            None => out.iter_mut().zip(row).for_each(|(o, &v)| *o = u8::from(v == self.id)),
        }
    }
}

/// Half-open box of voxels, axes `z, y, x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First voxel.
    pub start: [usize; 3],
    /// One past the last voxel.
    pub end: [usize; 3],
}

impl Extent {
    /// A single voxel.
    #[must_use]
    pub fn of(voxel: [usize; 3]) -> Self {
        Self { start: voxel, end: voxel.map(|i| i + 1) }
    }

    /// Number of voxels along `z, y, x`.
    #[must_use]
    pub fn size(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.end[axis] - self.start[axis])
    }

    /// The smallest box around both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            start: std::array::from_fn(|axis| self.start[axis].min(other.start[axis])),
            end: std::array::from_fn(|axis| self.end[axis].max(other.end[axis])),
        }
    }

    /// Grows to hold columns `x0..x1` of row `(z, y)`.
    pub fn include_run(&mut self, z: usize, y: usize, x0: usize, x1: usize) {
        *self = self.union(&Self { start: [z, y, x0], end: [z + 1, y + 1, x1] });
    }
}
