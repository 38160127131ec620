//! Where the slices of a scan lie, and in which order and direction its voxels are stored.

use crate::draws::Draws;
use crate::patient::Patient;
use crate::tubes::SliceGrid;
use ild_io::{Affine, Geometry};

/// Distance between slices of a scanner, patient mm. A volume with too few slices to reach from end
/// to end shows the middle.
const SPACING_MM: [f32; 2] = [0.6, 8.0];
/// The scan starts this far below the lowest lung, and its middle is here, mm of the reference
/// thorax.
const BELOW_MM: f32 = 14.0;
const MIDDLE_MM: f32 = 122.0;
/// Every fifth patient was scanned on a tilted grid.
const OBLIQUE_EVERY: usize = 5;

/// The grid of one scan.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    shape_zyx: [usize; 3],
    pixel: f32,
    spacing_z: f32,
    bottom: f32,
    /// Stored from the right to the left of the patient, and from head to foot.
    flips: [bool; 2],
    /// Half-angle tangents of the tilt about the patient's x and z axes; zero when the grid is
    /// straight.
    tilt: [f64; 2],
}

impl Grid {
    pub(crate) fn draw(
        shape_zyx: [usize; 3],
        index: usize,
        patient: &Patient,
        draws: &mut Draws,
    ) -> Self {
        let [slices, rows, columns] = shape_zyx;
        let height = patient.height_mm() + BELOW_MM * patient.scale[2];
        let spacing_z = (height / slices as f32).clamp(SPACING_MM[0], SPACING_MM[1]);
        let middle = if spacing_z * slices as f32 >= 0.999 * height {
            0.5 * height - BELOW_MM * patient.scale[2]
        } else {
            MIDDLE_MM * patient.scale[2]
        };
        // Most scans are stored left, posterior, superior; some from head to foot, a few mirrored.
        let flips = [draws.chance(0.06), draws.chance(0.14)];
        let [about_x, about_z] = [draws.about(0.0, 0.09), draws.about(0.0, 0.04)];
        let oblique = index % OBLIQUE_EVERY == OBLIQUE_EVERY - 2;
        Self {
            shape_zyx,
            pixel: patient.scanner.field_mm / rows.min(columns) as f32,
            spacing_z,
            bottom: middle - 0.5 * spacing_z * (slices - 1) as f32,
            flips,
            tilt: if oblique {
                [f64::from(about_x + about_x.signum() * 0.03), f64::from(about_z)]
            } else {
                [0.0; 2]
            },
        }
    }

    /// The grid of slice `index`, counted from the foot, in the patient frame.
    pub(crate) fn slice(&self, index: usize) -> SliceGrid {
        let [_, rows, columns] = self.shape_zyx;
        let first = |count: usize| -0.5 * self.pixel * (count - 1) as f32;
        SliceGrid {
            shape: [rows, columns],
            // The body lies a little above the middle of the field: there is a table below it.
            origin: [first(columns), first(rows) + 12.0],
            pixel: self.pixel,
            z: self.bottom + index as f32 * self.spacing_z,
            thickness: self.spacing_z,
        }
    }

    /// Whether rows, and slices, are stored backwards: `[x, z]`.
    pub(crate) fn flips(&self) -> [bool; 2] {
        self.flips
    }

    /// Where slice `index`, counted from the foot, is stored.
    pub(crate) fn stored_slice(&self, index: usize) -> usize {
        if self.flips[1] { self.shape_zyx[0] - 1 - index } else { index }
    }

    /// Geometry of the stored voxels. The patient frame is DICOM's (left, posterior, superior);
    /// world is RAS+.
    pub(crate) fn geometry(&self) -> Geometry {
        let [slices, _, columns] = self.shape_zyx;
        let first = self.slice(0);
        let (pixel, spacing_z) = (f64::from(self.pixel), f64::from(self.spacing_z));
        // Patient position of the voxel axes' directions and of voxel (0, 0, 0), in LPS.
        let [x_way, z_way] = self.flips.map(|flipped| if flipped { -1.0 } else { 1.0 });
        let start = |flipped: bool, low: f64, span: f64| if flipped { low + span } else { low };
        let axes = [[x_way * pixel, 0.0, 0.0], [0.0, pixel, 0.0], [0.0, 0.0, z_way * spacing_z]];
        let origin = [
            start(self.flips[0], f64::from(first.origin[0]), pixel * (columns - 1) as f64),
            f64::from(first.origin[1]),
            start(self.flips[1], f64::from(first.z), spacing_z * (slices - 1) as f64),
        ];
        let mut affine = [[0.0; 4]; 4];
        affine[3][3] = 1.0;
        for (column, vector) in axes.iter().chain([&origin]).enumerate() {
            let [left, posterior, superior] = self.tilted(*vector);
            for (row, value) in [-left, -posterior, superior].into_iter().enumerate() {
                // Without the addition, a flipped zero would be stored as −0.
                affine[row][column] = value + 0.0;
            }
        }
        Geometry::new(self.shape_zyx, Affine(affine))
    }

    /// Rotation about x, then z. Sine and cosine come from the tangent of the half angle, without
    /// library functions.
    fn tilted(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        let [(sx, cx), (sz, cz)] =
            self.tilt.map(|t| (2.0 * t / (1.0 + t * t), (1.0 - t * t) / (1.0 + t * t)));
        let (y, z) = (cx * y - sx * z, sx * y + cx * z);
        [cz * x - sz * y, sz * x + cz * y, z]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header floats have 24 bits; a metre to that precision.
    const TOLERANCE_MM: f64 = 1e-4;

    fn grids() -> Vec<(usize, Grid)> {
        let draw = |index: usize| {
            let mut draws = Draws::new(4, index as u64);
            let patient = Patient::draw(&mut draws);
            Grid::draw([40, 96, 96], index, &patient, &mut draws)
        };
        (0..100).map(|index| (index, draw(index))).collect()
    }

    #[test]
    fn most_scans_are_lps_and_every_fifth_is_oblique() {
        let codes: Vec<String> =
            grids().iter().map(|(_, grid)| grid.geometry().affine.axis_codes()).collect();
        let lps = codes.iter().filter(|code| *code == "LPS").count();
        assert!((65..95).contains(&lps) && codes.iter().any(|code| code == "LPI"), "{lps}");
        let oblique =
            grids().iter().filter(|(_, grid)| grid.geometry().affine.0[1][2] != 0.0).count();
        assert_eq!(oblique, 20);
    }

    #[test]
    fn a_tilt_turns_the_grid_and_does_not_stretch_it() {
        for (_, grid) in grids() {
            let spacing = grid.geometry().spacing_xyz_mm;
            let expected = [grid.pixel, grid.pixel, grid.spacing_z].map(f64::from);
            assert!(
                spacing.iter().zip(expected).all(|(a, b)| (a - b).abs() < TOLERANCE_MM),
                "{spacing:?} {expected:?}"
            );
        }
    }

    #[test]
    fn a_flipped_scan_is_the_same_patient_in_the_same_place() {
        let (_, mut grid) = grids().remove(0);
        grid.flips = [false, false];
        let straight = grid.geometry().affine;
        grid.flips = [true, true];
        let flipped = grid.geometry().affine;
        let (a, b) = (straight.world_mm([3.0, 5.0, 7.0]), flipped.world_mm([92.0, 5.0, 32.0]));
        assert!(a.iter().zip(b).all(|(p, q)| (p - q).abs() < TOLERANCE_MM), "{a:?} {b:?}");
    }
}
