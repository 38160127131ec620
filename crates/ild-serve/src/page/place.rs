//! From the page's voxels to the arrays', and back.

use ild_io::{Affine, Geometry, Volume, Voxels};
use ndarray::{Array3, s};

/// The column and row of a place `(i, j)` on a slice of `height` × `width`; fractions stay.
#[must_use]
pub fn on_slice([i, j]: [f64; 2], [height, width]: [usize; 2]) -> [f64; 2] {
    [(width as f64 - 1.0) - i, (height as f64 - 1.0) - j]
}

/// The CT as the page shows it: whole HU, columns to the right, rows to the front.
#[must_use]
pub fn shown(ct: &Volume) -> Volume {
    let hu = ild_io::lung::hounsfield(ct);
    let turned: Array3<i16> = hu.slice(s![.., ..;-1, ..;-1]).as_standard_layout().into_owned();
    let [depth, height, width] = ct.geometry.shape_zyx;
    let mut affine: Affine = ct.geometry.affine;
    let origin = affine.world_mm([width as f64 - 1.0, height as f64 - 1.0, 0.0]);
    for (row, start) in origin.into_iter().enumerate() {
        affine.0[row][0] = -affine.0[row][0];
        affine.0[row][1] = -affine.0[row][1];
        affine.0[row][3] = start;
    }
    let geometry = Geometry::new([depth, height, width], affine);
    Volume { voxels: Voxels::I16(turned), geometry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voxel_of_the_page_is_the_same_place_in_the_patient() {
        let mut affine = Affine::from_spacing_xyz_mm([0.7, 0.8, 2.0]);
        (affine.0[0][0], affine.0[1][1], affine.0[0][3]) = (-0.7, -0.8, 40.0);
        let hu = Array3::from_shape_fn((2, 4, 5), |(z, y, x)| (100 * z + 10 * y + x) as i16);
        let ct = Volume { voxels: Voxels::I16(hu), geometry: Geometry::new([2, 4, 5], affine) };
        let page = shown(&ct);
        assert_eq!(page.geometry.affine.axis_codes(), "RAS");
        let Voxels::I16(hu) = &page.voxels else { panic!("whole HU") };
        let (i, j, k) = (1, 0, 1);
        let [x, y] = on_slice([f64::from(i), f64::from(j)], [4, 5]);
        assert_eq!([x, y], [3.0, 3.0]);
        assert_eq!(hu[[k as usize, j as usize, i as usize]], 133);
        let world = |grid: &Geometry, at: [f64; 3]| grid.affine.world_mm(at);
        let [a, b] = [
            world(&page.geometry, [f64::from(i), f64::from(j), f64::from(k)]),
            world(&ct.geometry, [x, y, f64::from(k)]),
        ];
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }
}
