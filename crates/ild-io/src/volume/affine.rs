//! From voxel indices to millimetres in the patient.

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

    /// One step along a voxel axis (0 = x), mm.
    #[must_use]
    pub fn step_mm(&self, axis: usize) -> [f64; 3] {
        std::array::from_fn(|row| self.0[row][axis])
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

    /// The largest cosine between two of the axes: 0 for a right-angled grid.
    #[must_use]
    pub fn shear(&self) -> f64 {
        self.cosine(0, 1).max(self.cosine(0, 2)).max(self.cosine(1, 2))
    }

    /// Cosine of the angle between two axes, without its sign.
    pub(crate) fn cosine(&self, a: usize, b: usize) -> f64 {
        let lengths = self.spacing_xyz_mm();
        let (p, q) = (self.step_mm(a), self.step_mm(b));
        let dot: f64 = p.iter().zip(q).map(|(p, q)| p * q).sum();
        (dot / (lengths[a] * lengths[b])).abs()
    }

    /// For each voxel axis the world axis (0 right, 1 anterior, 2 superior) that it mainly runs
    /// along, and whether it runs that way rather than the opposite; each world axis once.
    #[must_use]
    pub fn main_axes(&self) -> [(usize, bool); 3] {
        let lengths = self.spacing_xyz_mm().map(|mm| mm.max(f64::MIN_POSITIVE));
        let strength = |(column, row): (usize, usize)| self.0[row][column].abs() / lengths[column];
        let (mut columns, mut rows) = (vec![0, 1, 2], vec![0, 1, 2]);
        let mut out = [(0, true); 3];
        // The most clearly aligned axis chooses first, so that an oblique grid still gets three
        // different ones.
        while !columns.is_empty() {
            let pairs = columns.iter().flat_map(|&c| rows.iter().map(move |&r| (c, r)));
            let best = pairs.max_by(|a, b| strength(*a).total_cmp(&strength(*b)));
            let Some((column, row)) = best else { break };
            out[column] = (row, self.0[row][column] > 0.0);
            columns.retain(|&c| c != column);
            rows.retain(|&r| r != row);
        }
        out
    }

    /// Where each voxel axis mainly points, nibabel's axis codes, e.g. `LPS` for ITK-like storage.
    #[must_use]
    pub fn axis_codes(&self) -> String {
        const CODES: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];
        self.main_axes().map(|(row, along)| CODES[row][usize::from(along)]).iter().collect()
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
    fn the_shear_of_a_tilted_gantry_is_the_sine_of_its_tilt() {
        let mut tilted = Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0]);
        assert_eq!(tilted.shear(), 0.0);
        tilted.0[1][2] = 5.0 * 25f64.to_radians().tan();
        assert!((tilted.shear() - 25f64.to_radians().sin()).abs() < 1e-12);
    }
}
