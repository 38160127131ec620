//! The same voxels stored in another order.

use ndarray::{Array3, Axis};

use crate::case::SAME_GRID_MM;
use crate::{Affine, Geometry, LabelMap};

/// A voxel centre may lie this share of a voxel beside the other grid's and still be the same one: header rounding.
const SAME_VOXEL: f64 = 1e-2;

impl LabelMap {
    /// The label map in the storage order of `ct`, when both grids have their voxels in the same places and only store them in
    /// another order (axes swapped or flipped: LAS beside LPS). No voxel is interpolated. `None` when the places differ.
    #[must_use]
    pub fn in_order_of(&self, ct: &Geometry) -> Option<Self> {
        let axes = matching_axes(&self.geometry, ct)?;
        // Array axes are z, y, x where affine columns are x, y, z.
        let order: [usize; 3] = std::array::from_fn(|axis| 2 - axes[2 - axis].from);
        let mut labels = self.labels.view().permuted_axes(order);
        for (column, axis) in axes.iter().enumerate() {
            if axis.flipped {
                labels.invert_axis(Axis(2 - column));
            }
        }
        let same_shape = labels.dim() == (ct.shape_zyx[0], ct.shape_zyx[1], ct.shape_zyx[2]);
        same_shape.then(|| Self { labels: Array3::from_shape_fn(labels.dim(), |at| labels[at]), geometry: ct.clone() })
    }
}

/// Which stored axis (0 = x) an axis of the wanted order is, and whether it runs the other way.
#[derive(Clone, Copy)]
struct Source {
    from: usize,
    flipped: bool,
}

fn matching_axes(have: &Geometry, want: &Geometry) -> Option<[Source; 3]> {
    let mut axes = [Source { from: 0, flipped: false }; 3];
    let mut taken = [false; 3];
    for (column, axis) in axes.iter_mut().enumerate() {
        let wanted = step(&want.affine, column);
        let tolerance = SAME_VOXEL * wanted.iter().map(|v| v * v).sum::<f64>().sqrt();
        let found = (0..3).filter(|&from| !taken[from]).find_map(|from| {
            let stored = step(&have.affine, from);
            let like = |sign: f64| stored.iter().zip(&wanted).all(|(s, w)| (sign * s - w).abs() <= tolerance);
            if like(1.0) { Some(Source { from, flipped: false }) } else { like(-1.0).then_some(Source { from, flipped: true }) }
        })?;
        taken[found.from] = true;
        *axis = found;
    }
    corners_agree(have, want, &axes).then_some(axes)
}

/// The corner voxels of both grids are in the same places once the axes are matched.
fn corners_agree(have: &Geometry, want: &Geometry, axes: &[Source; 3]) -> bool {
    let last = |geometry: &Geometry, axis: usize| geometry.shape_zyx[2 - axis].saturating_sub(1) as f64;
    (0..8usize).all(|corner| {
        let (mut there, mut here) = ([0.0; 3], [0.0; 3]);
        for (column, axis) in axes.iter().enumerate() {
            let far = corner >> column & 1 == 1;
            there[column] = if far { last(want, column) } else { 0.0 };
            here[axis.from] = if far != axis.flipped { last(have, axis.from) } else { 0.0 };
        }
        let (a, b) = (want.affine.world_mm(there), have.affine.world_mm(here));
        a.iter().zip(b).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt() <= SAME_GRID_MM
    })
}

/// From one voxel to the next along an axis, mm.
fn step(affine: &Affine, axis: usize) -> [f64; 3] {
    std::array::from_fn(|row| affine.0[row][axis])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ct() -> Geometry {
        // Oblique, LPS-like, three different sizes and spacings.
        let (c, s) = (0.96, 0.28);
        let affine = Affine([[-0.7 * c, 0.9 * s, 0.0, 12.0], [-0.7 * s, -0.9 * c, 0.0, -40.0], [0.0, 0.0, 2.5, 7.0], [0.0, 0.0, 0.0, 1.0]]);
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
        let start = geometry.affine.world_mm(std::array::from_fn(|axis| if flips[axis] { (size(axis) - 1) as f64 } else { 0.0 }));
        for (row, start) in start.into_iter().enumerate() {
            for (to, &from) in order.iter().enumerate() {
                affine.0[row][to] = geometry.affine.0[row][from] * if flips[from] { -1.0 } else { 1.0 };
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
