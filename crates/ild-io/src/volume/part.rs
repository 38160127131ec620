//! A label map that holds only some of the slices of the grid it was drawn on, as a DICOM
//! Segmentation does.

use ndarray::{Array3, s};

use crate::volume::same_grid::{SAME_GRID_MM, matching_axes};
use crate::{Geometry, LabelMap};

/// A slice may lie this share of a step from its place on the grid: both round their positions, tables
/// stop a little early or late.
const OFF_GRID: f64 = 0.2;

/// The map on the whole of `grid`, 0 where it holds nothing; `None` when its voxels are none of the
/// grid's.
pub(super) fn within(map: &LabelMap, grid: &Geometry) -> Option<LabelMap> {
    // A single slice says nothing of the distance to the next.
    let mut own = map.geometry.clone();
    for column in (0..3).filter(|column| map.geometry.shape_zyx[2 - column] == 1) {
        let (along, _) = own.affine.main_axes()[column];
        let wanted = grid.affine.main_axes().iter().position(|axis| axis.0 == along)?;
        let (want, have) = (grid.spacing_xyz_mm[wanted], own.spacing_xyz_mm[column]);
        own.affine.0.iter_mut().take(3).for_each(|row| row[column] *= want / have);
        own.spacing_xyz_mm[column] = want;
    }
    let order = matching_axes(&own.affine, &grid.affine)?;
    let turned = order.grid(&own);
    let mut first = [0usize; 3];
    for (axis, first) in first.iter_mut().enumerate() {
        let step = grid.affine.step_mm(axis);
        let length = grid.spacing_xyz_mm[axis];
        // How far off along this axis, at both ends of the map.
        let along = |xyz: [f64; 3]| {
            let (at, origin) = (turned.affine.world_mm(xyz), grid.affine.step_mm(3));
            (0..3).map(|i| (at[i] - origin[i]) * step[i]).sum::<f64>() / length.powi(2)
        };
        let allowed = if turned.shape_zyx[2 - axis] < grid.shape_zyx[2 - axis] {
            OFF_GRID.max(SAME_GRID_MM / length)
        } else {
            SAME_GRID_MM / length
        };
        let last = (turned.shape_zyx[2 - axis] - 1) as f64;
        let mut end = [0.0; 3];
        end[axis] = last;
        let (start, end) = (along([0.0; 3]), along(end));
        let place = start.round();
        let fits = (start - place).abs() <= allowed
            && (end - place - last).abs() <= allowed
            && place >= 0.0
            && place + last <= (grid.shape_zyx[2 - axis] - 1) as f64;
        if !fits {
            return None;
        }
        *first = place as usize;
    }
    let [z, y, x] = grid.shape_zyx;
    let mut labels = Array3::zeros((z, y, x));
    let part = order.view(map.labels.view());
    let (d, h, w) = part.dim();
    let [x0, y0, z0] = first;
    labels.slice_mut(s![z0..z0 + d, y0..y0 + h, x0..x0 + w]).assign(&part);
    Some(LabelMap { labels, geometry: grid.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::geometry::oblique_lps as ct;

    fn slices(first: usize, last: usize) -> LabelMap {
        let mut geometry = ct();
        let at = geometry.affine.world_mm([0.0, 0.0, first as f64]);
        (0..3).for_each(|row| geometry.affine.0[row][3] = at[row]);
        geometry.shape_zyx[0] = last + 1 - first;
        geometry.stored.part = true;
        let [z, y, x] = geometry.shape_zyx;
        let labels = Array3::from_shape_fn((z, y, x), |(z, y, x)| (30 * z + 6 * y + x) as u8);
        LabelMap { labels, geometry }
    }

    #[test]
    fn slices_find_their_places_whatever_their_order() {
        for (first, last) in [(0, 3), (1, 2), (3, 3)] {
            let map = slices(first, last);
            let whole = within(&map, &ct()).unwrap();
            assert_eq!(whole.labels.slice(s![first..=last, .., ..]), map.labels);
            let elsewhere = whole.labels.iter().filter(|id| **id != 0).count();
            assert_eq!(elsewhere, map.labels.iter().filter(|id| **id != 0).count());
            let axial = within(&map.clone().axial(), &ct().axial()).unwrap();
            assert_eq!(axial.labels, LabelMap { geometry: ct(), ..whole }.axial().labels);
        }
    }

    #[test]
    fn slices_of_another_grid_find_none() {
        let mut beside = slices(1, 2);
        beside.geometry.affine.0[0][3] += 0.2;
        let mut between = slices(1, 2);
        between.geometry.affine.0[2][3] += 1.0;
        let mut above = slices(1, 2);
        above.geometry.affine.0[2][3] += 5.0;
        let mut coarser = slices(1, 2);
        coarser.geometry.affine.0[2][2] *= 2.0;
        coarser.geometry.spacing_xyz_mm[2] *= 2.0;
        for other in [beside, between, above, coarser] {
            assert!(within(&other, &ct()).is_none());
        }
    }
}
