//! The same voxels stored in another order.

use std::path::Path;

use ndarray::{Array3, Axis};

use crate::volume::case::{SAME_GRID_MM, same_grid};
use crate::{Affine, Geometry, LabelMap, Result};

/// Two axes are one when a step along them differs by less than this share of it: header rounding.
const SAME_STEP: f64 = 1e-2;

impl LabelMap {
    /// The label map on `grid`, the grid of the `of`; the map was read from `path` and is called a
    /// `what` in messages.
    ///
    /// When both have their voxels in the same places and only store them in another order (axes
    /// swapped or flipped: LAS beside LPS), they are put in the order of `grid`, and the log says
    /// so. No voxel is interpolated.
    ///
    /// # Errors
    /// When the places differ; says how far ([`same_grid`]).
    pub fn on_grid_of(self, path: &Path, what: &str, of: &str, grid: &Geometry) -> Result<Self> {
        let Err(elsewhere) = same_grid(path, what, &self.geometry, of, grid) else {
            return Ok(self);
        };
        let reordered = self.in_order_of(grid).ok_or(elsewhere)?;
        let [have, want] = [&self.geometry, grid].map(|geometry| geometry.affine.axis_codes());
        tracing::warn!(
            "{}: the {what} is stored {have}, the {of} {want}: the same voxels, put in the {of}'s order",
            path.display()
        );
        Ok(reordered)
    }

    fn in_order_of(&self, grid: &Geometry) -> Option<Self> {
        let axes = matching_axes(&self.geometry.affine, &grid.affine)?;
        let reordered = self.geometry.with_axes(axes);
        if reordered.shape_zyx != grid.shape_zyx
            || reordered.corner_distance_mm(grid) > SAME_GRID_MM
        {
            return None;
        }
        // Array axes are z, y, x where affine columns are x, y, z.
        let mut labels = self
            .labels
            .view()
            .permuted_axes(std::array::from_fn::<_, 3, _>(|axis| 2 - axes[2 - axis].from));
        for (column, _) in axes.iter().enumerate().filter(|(_, axis)| axis.flipped) {
            labels.invert_axis(Axis(2 - column));
        }
        Some(Self {
            labels: Array3::from_shape_fn(labels.dim(), |at| labels[at]),
            geometry: grid.clone(),
        })
    }
}

/// Which stored axis (0 = x) an axis of the wanted order is, and whether it runs the other way.
#[derive(Clone, Copy)]
struct Source {
    from: usize,
    flipped: bool,
}

fn matching_axes(have: &Affine, want: &Affine) -> Option<[Source; 3]> {
    let step = |affine: &Affine, axis: usize| -> [f64; 3] {
        std::array::from_fn(|row| affine.0[row][axis])
    };
    let mut axes = [Source { from: 0, flipped: false }; 3];
    for (column, axis) in axes.iter_mut().enumerate() {
        let wanted = step(want, column);
        let tolerance = SAME_STEP * want.spacing_xyz_mm()[column];
        let like = |from: usize, sign: f64| {
            step(have, from).iter().zip(&wanted).all(|(s, w)| (sign * s - w).abs() <= tolerance)
        };
        *axis = (0..3)
            .flat_map(|from| [false, true].map(|flipped| Source { from, flipped }))
            .find(|source| like(source.from, if source.flipped { -1.0 } else { 1.0 }))?;
    }
    Some(axes)
}

impl Geometry {
    /// The same voxels in the same places, stored with these axes.
    fn with_axes(&self, axes: [Source; 3]) -> Self {
        let size = |axis: usize| self.shape_zyx[2 - axis];
        let mut first = [0.0; 3];
        axes.iter()
            .filter(|axis| axis.flipped)
            .for_each(|axis| first[axis.from] = (size(axis.from) - 1) as f64);
        let origin = self.affine.world_mm(first);
        let mut affine = self.affine;
        for (row, start) in origin.into_iter().enumerate() {
            let steps = axes.map(|axis| {
                if axis.flipped {
                    -self.affine.0[row][axis.from]
                } else {
                    self.affine.0[row][axis.from]
                }
            });
            affine.0[row] = [steps[0], steps[1], steps[2], start];
        }
        Self::new([size(axes[2].from), size(axes[1].from), size(axes[0].from)], affine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ct() -> Geometry {
        // Oblique, LPS-like, three different sizes and spacings.
        let (c, s) = (0.96, 0.28);
        let affine = Affine([
            [-0.7 * c, 0.9 * s, 0.0, 12.0],
            [-0.7 * s, -0.9 * c, 0.0, -40.0],
            [0.0, 0.0, 2.5, 7.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        Geometry::new([4, 5, 6], affine)
    }

    /// Labels whose value follows from the place in the patient.
    fn labelled(geometry: &Geometry) -> LabelMap {
        let [z, y, x] = geometry.shape_zyx;
        let labels = Array3::from_shape_fn((z, y, x), |(z, y, x)| {
            let [a, b, c] = geometry.affine.world_mm([x as f64, y as f64, z as f64]);
            (3.0 * a - 2.0 * b + 5.0 * c + 400.0).round() as i64 as u8
        });
        LabelMap { labels, geometry: geometry.clone() }
    }

    /// The grid with its stored axes in this order, some of them flipped.
    fn stored(geometry: &Geometry, order: [usize; 3], flips: [bool; 3]) -> Geometry {
        let mut affine = geometry.affine;
        let size = |axis: usize| geometry.shape_zyx[2 - axis];
        let start = geometry.affine.world_mm(std::array::from_fn(|axis| {
            if flips[axis] { (size(axis) - 1) as f64 } else { 0.0 }
        }));
        for (row, start) in start.into_iter().enumerate() {
            for (to, &from) in order.iter().enumerate() {
                affine.0[row][to] =
                    geometry.affine.0[row][from] * if flips[from] { -1.0 } else { 1.0 };
            }
            affine.0[row][3] = start;
        }
        Geometry::new([size(order[2]), size(order[1]), size(order[0])], affine)
    }

    #[test]
    fn all_48_storage_orders_give_the_same_voxels() {
        let ct = ct();
        let wanted = labelled(&ct);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for bits in 0..8 {
                let flips = [bits & 1 == 1, bits >> 1 & 1 == 1, bits >> 2 & 1 == 1];
                let other = labelled(&stored(&ct, order, flips));
                assert_eq!(other.in_order_of(&ct).as_ref(), Some(&wanted), "{order:?} {flips:?}");
            }
        }
    }

    #[test]
    fn a_shifted_grid_or_another_spacing_is_not_the_same() {
        let ct = ct();
        let mut shifted = stored(&ct, [0, 1, 2], [false, true, false]);
        shifted.affine.0[2][3] += 0.2;
        assert!(labelled(&shifted).in_order_of(&ct).is_none());
        let mut coarser = ct.clone();
        coarser.affine.0[2][2] = 2.6;
        assert!(labelled(&coarser).in_order_of(&ct).is_none());
        let mut longer = ct.clone();
        longer.shape_zyx[0] += 1;
        assert!(labelled(&longer).in_order_of(&ct).is_none());
    }
}
