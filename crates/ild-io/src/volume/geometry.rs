//! Where voxels are in the patient.

use crate::NiftiOrientation;

/// Maps voxel `(x, y, z)` (column, row, slice index) to world RAS+ mm: `world = A · (x, y, z, 1)`,
/// row-major 4×4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [[f64; 4]; 4]);

impl Affine {
    /// Axis-aligned, positive, origin at zero.
    #[must_use]
    pub fn from_spacing_xyz_mm(spacing: [f64; 3]) -> Self {
        let mut a = [[0.0; 4]; 4];
        for i in 0..3 {
            a[i][i] = spacing[i];
        }
        a[3][3] = 1.0;
        Self(a)
    }

    /// World position of a (possibly fractional) voxel index, in mm.
    #[must_use]
    pub fn world_mm(&self, xyz: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|row| {
            let a = self.0[row];
            a[0] * xyz[0] + a[1] * xyz[1] + a[2] * xyz[2] + a[3]
        })
    }

    /// Length of the three voxel axes in mm, `(x, y, z)`.
    #[must_use]
    pub fn spacing_xyz_mm(&self) -> [f64; 3] {
        std::array::from_fn(|col| (0..3).map(|row| self.0[row][col].powi(2)).sum::<f64>().sqrt())
    }

    /// Signed volume spanned by the three axes, mm³; negative for a left-handed grid.
    #[must_use]
    pub fn determinant(&self) -> f64 {
        let a = &self.0;
        a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1])
            - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
            + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0])
    }

    /// Where each voxel axis mainly points, nibabel's axis codes, e.g. `LPS` for ITK-like storage.
    #[must_use]
    pub fn axis_codes(&self) -> String {
        const CODES: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];
        let mut free = vec![0usize, 1, 2];
        let mut out = [' '; 3];
        let mut columns: Vec<usize> = vec![0, 1, 2];
        let strength = |col: usize, row: usize| self.0[row][col].abs();
        // The most clearly aligned axis chooses first, so that an oblique grid still gets three
        // different letters.
        while !columns.is_empty() {
            let best =
                columns.iter().flat_map(|&c| free.iter().map(move |&r| (c, r))).max_by(|a, b| {
                    let norm = |c: usize| self.spacing_xyz_mm()[c].max(f64::MIN_POSITIVE);
                    (strength(a.0, a.1) / norm(a.0)).total_cmp(&(strength(b.0, b.1) / norm(b.0)))
                });
            let Some((col, row)) = best else { break };
            out[col] = CODES[row][usize::from(self.0[row][col] > 0.0)];
            columns.retain(|&c| c != col);
            free.retain(|&r| r != row);
        }
        out.iter().collect()
    }
}

/// Grid of a volume.
///
/// `spacing_xyz_mm` is what the header's `pixdim` says (`f32` widened), the number the older
/// scripts and SimpleITK use; it can differ from the lengths of the affine's axes in a malformed
/// file.
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Number of voxels along `z, y, x`.
    pub shape_zyx: [usize; 3],
    /// Distance between voxel centres along `x, y, z`, mm.
    pub spacing_xyz_mm: [f64; 3],
    /// Voxel to world.
    pub affine: Affine,
    /// Header fields of the NIfTI file this grid was read from. Whatever is written on the same
    /// grid gets them unchanged; they are no part of what the grid *is*, so two grids that differ
    /// only here are equal.
    pub nifti: Option<NiftiOrientation>,
}

impl PartialEq for Geometry {
    fn eq(&self, other: &Self) -> bool {
        (self.shape_zyx, self.spacing_xyz_mm, self.affine)
            == (other.shape_zyx, other.spacing_xyz_mm, other.affine)
    }
}

impl Geometry {
    /// A grid whose spacing is that of its affine.
    #[must_use]
    pub fn new(shape_zyx: [usize; 3], affine: Affine) -> Self {
        Self { shape_zyx, spacing_xyz_mm: affine.spacing_xyz_mm(), affine, nifti: None }
    }

    /// Spacing in the order of the arrays, mm.
    #[must_use]
    pub fn spacing_zyx_mm(&self) -> [f64; 3] {
        let [x, y, z] = self.spacing_xyz_mm;
        [z, y, x]
    }

    /// Volume of one voxel, mL.
    #[must_use]
    pub fn voxel_volume_ml(&self) -> f64 {
        self.spacing_xyz_mm.iter().product::<f64>() / 1000.0
    }

    /// How far apart two grids of the same shape are: the largest distance between corresponding
    /// corner voxels, mm.
    #[must_use]
    pub fn corner_distance_mm(&self, other: &Self) -> f64 {
        let last: [f64; 3] =
            std::array::from_fn(|axis| self.shape_zyx[2 - axis].saturating_sub(1) as f64);
        let corner = |bits: usize| {
            std::array::from_fn(|axis| if bits >> axis & 1 == 1 { last[axis] } else { 0.0 })
        };
        (0..8)
            .map(|bits| {
                let (a, b) =
                    (self.affine.world_mm(corner(bits)), other.affine.world_mm(corner(bits)));
                a.iter().zip(b).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt()
            })
            .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_codes_are_nibabels() {
        let lps = Affine([
            [-0.7, 0.0, 0.0, 1.0],
            [0.0, -0.7, 0.0, 2.0],
            [0.0, 0.0, 1.5, 3.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        assert_eq!(lps.axis_codes(), "LPS");
        let swapped = Affine([
            [0.0, 0.0, 2.0, 0.0],
            [-1.0, 0.1, 0.0, 0.0],
            [0.1, 1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        assert_eq!(swapped.axis_codes(), "PSR");
    }

    #[test]
    fn corner_distance_sees_a_shift_and_a_flip() {
        let a = Geometry::new([10, 20, 30], Affine::from_spacing_xyz_mm([1.0, 1.0, 2.0]));
        let mut b = a.clone();
        b.affine.0[0][3] += 3.0;
        assert!((a.corner_distance_mm(&b) - 3.0).abs() < 1e-12);
        b = a.clone();
        b.affine.0[2][2] = -2.0;
        assert!((a.corner_distance_mm(&b) - 36.0).abs() < 1e-12);
    }
}
