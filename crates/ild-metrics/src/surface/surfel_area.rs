//! How much surface passes through a 2×2×2 neighbourhood.
//!
//! A neighbourhood's code has one bit for each of its eight voxels; the surface between the voxels
//! inside and outside is made of at most four triangles (marching cubes on the dual grid). The
//! triangles' area vectors are facts of the definition used by DeepMind's `surface-distance`
//! (Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy",
//! 2021); only their absolute values matter for an area, and a code and its complement have the
//! same surface, so that 27 kinds of surface describe all 256 codes.

/// Area of the surface in each of the 256 neighbourhoods, mm², for voxels of this spacing.
///
/// A triangle's area vector on the unit grid, `(z, y, x)`, is stretched by the two spacings its
/// components span.
#[must_use]
pub fn surfel_areas_mm2(spacing_zyx_mm: [f64; 3]) -> [f64; 256] {
    let [dz, dy, dx] = spacing_zyx_mm;
    let stretch = [dy * dx, dz * dx, dz * dy];
    let area = |vector: &[u8; 3]| {
        let squared = |axis: usize| (f64::from(vector[axis]) / EIGHTHS * stretch[axis]).powi(2);
        (squared(0) + squared(1) + squared(2)).sqrt()
    };
    std::array::from_fn(|code| {
        let half = if code < 128 { code } else { 255 - code };
        SURFACES[usize::from(KIND[half])].iter().map(area).sum()
    })
}

/// Unit of [`SURFACES`]: an eighth of a unit square.
const EIGHTHS: f64 = 8.0;

/// Which of [`SURFACES`] passes through the neighbourhood with this code; code `255 − c` has that
/// of `c`.
#[rustfmt::skip]
const KIND: [u8; 128] = [
     0,  1,  1,  2,  1,  3,  4,  5,  1,  4,  3,  5,  2,  5,  5,  6,
     1,  7,  4,  8,  4,  9, 10, 11,  4, 12, 13, 14, 15, 16, 17,  5,
     1,  4,  7,  8,  4, 13, 12, 14,  4, 10,  9, 11, 15, 17, 16,  5,
     2,  8,  8, 18, 15, 19, 20,  8, 15, 20, 19,  8, 21, 15, 15,  2,
     1,  4,  4, 15,  7,  9, 12, 16,  4, 10, 13, 17,  8, 11, 14,  5,
     3,  9, 13, 19,  9, 22, 23,  9, 13, 23, 24, 13, 19,  9, 13,  3,
     4, 10, 12, 20, 12, 23, 25, 12, 10, 26, 23, 10, 20, 10, 12,  4,
     5, 11, 14,  8, 16,  9, 12,  7, 17, 10, 13,  4, 15,  4,  4,  1,
];

/// Absolute area vectors `(z, y, x)` of the triangles of each kind of surface, in eighths.
const SURFACES: [&[[u8; 3]]; 27] = [
    &[],
    &[[1, 1, 1]],
    &[[2, 2, 0], [2, 2, 0]],
    &[[2, 0, 2], [2, 0, 2]],
    &[[1, 1, 1], [1, 1, 1]],
    &[[1, 1, 1], [2, 2, 2], [4, 0, 0]],
    &[[4, 0, 0], [4, 0, 0]],
    &[[0, 2, 2], [0, 2, 2]],
    &[[0, 4, 0], [1, 1, 1], [2, 2, 2]],
    &[[0, 0, 4], [1, 1, 1], [2, 2, 2]],
    &[[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    &[[1, 1, 1], [1, 1, 1], [2, 2, 2], [2, 2, 2]],
    &[[0, 2, 2], [0, 2, 2], [1, 1, 1]],
    &[[1, 1, 1], [2, 0, 2], [2, 0, 2]],
    &[[0, 2, 2], [1, 1, 1], [2, 0, 2], [3, 3, 3]],
    &[[1, 1, 1], [2, 2, 0], [2, 2, 0]],
    &[[0, 2, 2], [1, 1, 1], [2, 2, 0], [3, 3, 3]],
    &[[1, 1, 1], [1, 1, 1], [2, 2, 2], [4, 0, 0]],
    &[[0, 4, 0], [0, 4, 0]],
    &[[1, 1, 1], [2, 0, 2], [2, 2, 0], [3, 3, 3]],
    &[[0, 4, 0], [1, 1, 1], [1, 1, 1], [2, 2, 2]],
    &[[2, 2, 0], [2, 2, 0], [2, 2, 0], [2, 2, 0]],
    &[[0, 0, 4], [0, 0, 4]],
    &[[0, 0, 4], [1, 1, 1], [1, 1, 1], [2, 2, 2]],
    &[[2, 0, 2], [2, 0, 2], [2, 0, 2], [2, 0, 2]],
    &[[0, 2, 2], [0, 2, 2], [0, 2, 2], [0, 2, 2]],
    &[[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_faces_have_the_area_of_a_voxel_side() {
        let areas = surfel_areas_mm2([3.0, 2.0, 0.5]);
        assert_eq!(areas[0b1111_0000], 2.0 * 0.5, "the plane across z");
        assert_eq!(areas[0b1100_1100], 3.0 * 0.5, "the plane across y");
        assert_eq!(areas[0b1010_1010], 3.0 * 2.0, "the plane across x");
        assert_eq!((areas[0], areas[255]), (0.0, 0.0));
    }
}
