//! Where voxels are in the patient.

use std::path::Path;

use crate::volume::storage_order::StorageOrder;
use crate::{Affine, Error, HeaderNote, NiftiOrientation, Result};

/// Grid of a volume whose arrays are in the order that this crate hands out (see [`StorageOrder`]).
#[derive(Clone, Debug)]
pub struct Geometry {
    /// Number of voxels along `z, y, x`.
    pub shape_zyx: [usize; 3],
    /// Distance between voxel centres along `x, y, z`, mm: the lengths of the affine's columns, as
    /// the header's `f32` numbers say them (SimpleITK's `GetSpacing`).
    pub spacing_xyz_mm: [f64; 3],
    /// Voxel to world.
    pub affine: Affine,
    /// How the file it was read from stores it; files written on this grid are stored the same way.
    /// It is no part of what the grid *is*: two grids that differ only here are equal.
    pub stored: Stored,
    /// What deserves a word about the header it was read from.
    pub notes: Vec<HeaderNote>,
}

/// How a file stores a grid.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stored {
    /// Which axes of the file are the axes of the array.
    pub order: StorageOrder,
    /// Its NIfTI header's fields, in the file's own order.
    pub nifti: Option<NiftiOrientation>,
    /// Whether it holds only some slices of the grid that it was drawn on, as a DICOM Segmentation
    /// does.
    pub part: bool,
}

impl PartialEq for Geometry {
    fn eq(&self, other: &Self) -> bool {
        (self.shape_zyx, self.spacing_xyz_mm, self.affine)
            == (other.shape_zyx, other.spacing_xyz_mm, other.affine)
    }
}

/// Two lengths along one axis that differ by a smaller share are one, rounded: headers hold `f32`
/// matrices of cosines with a few digits.
pub(crate) const SAME_LENGTH_RELATIVE: f64 = 1e-3;
/// Cosine between two axes up to which a grid counts as right-angled, 0.3 degrees: volumes are then
/// right to 1e-5, distances to 0.5 %.
pub(crate) const RIGHT_ANGLED: f64 = 5e-3;
/// And how far sideways the end of an axis may lie from where a right-angled grid has it, mm: more
/// than headers' rounding moves it (0.2 mm over half a metre at four decimals), about a voxel.
const SIDEWAYS_MM: f64 = 1.0;
/// Cosine between two axes from which on it is worth a word.
pub(crate) const VISIBLE_SHEAR: f64 = 1e-3;
/// Spacings of chest CT and CT phantoms lie within these, mm.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 0.1..=10.0;
/// The product of the spacings and the determinant are one number up to `f32` rounding.
const ROUNDING_RELATIVE: f64 = 1e-6;

impl Geometry {
    /// A grid whose spacing is that of its affine, stored as its arrays are.
    #[must_use]
    pub fn new(shape_zyx: [usize; 3], affine: Affine) -> Self {
        Self {
            shape_zyx,
            spacing_xyz_mm: affine.spacing_xyz_mm(),
            affine,
            stored: Stored::default(),
            notes: Vec::new(),
        }
    }

    /// Spacing in the order of the arrays, mm.
    #[must_use]
    pub fn spacing_zyx_mm(&self) -> [f64; 3] {
        let [x, y, z] = self.spacing_xyz_mm;
        [z, y, x]
    }

    /// Volume of one voxel, mL: what its three edges span, sheared or not.
    #[must_use]
    pub fn voxel_volume_ml(&self) -> f64 {
        let product: f64 = self.spacing_xyz_mm.iter().product();
        let spanned = self.affine.determinant().abs();
        let right_angled = (spanned - product).abs() <= ROUNDING_RELATIVE * product;
        (if right_angled { product } else { spanned }) / 1000.0
    }

    /// What speaks against this being the grid of a chest: voxels of no such size.
    pub(crate) fn implausible_spacing(&self) -> Option<HeaderNote> {
        let spacing_mm = self.spacing_xyz_mm;
        let odd = spacing_mm.iter().any(|mm| !PLAUSIBLE_MM.contains(mm));
        odd.then_some(HeaderNote::ImplausibleSpacing { spacing_mm })
    }

    /// Refuses axes that are not perpendicular, on which no distance along the axes is one in the
    /// patient; what is merely odd about lengths and angles is noted.
    ///
    /// # Errors
    /// Names `path` and says by how much.
    pub(crate) fn check_lengths(&mut self, path: &Path) -> Result<()> {
        let shear = self.affine.shear();
        let degrees = shear.asin().to_degrees();
        if shear > RIGHT_ANGLED || self.sideways_mm() > SIDEWAYS_MM {
            return Err(Error::refused(
                path,
                "a right-angled grid",
                format!(
                    "axes that are {degrees:.2} degrees off (a tilted gantry kept as a shear?)"
                ),
                "resample it to a right-angled grid first, CT and labels alike",
            ));
        }
        self.notes.extend(self.implausible_spacing());
        if shear > VISIBLE_SHEAR {
            self.notes.push(HeaderNote::NotRightAngled { degrees });
        }
        Ok(())
    }

    /// How far sideways the axes' oblique angles put the end of the longest of them.
    fn sideways_mm(&self) -> f64 {
        let [z, y, x] = self.shape_zyx.map(|n| n as f64);
        let long = [0, 1, 2].map(|axis| [x, y, z][axis] * self.spacing_xyz_mm[axis]);
        let between = |a: usize, b: usize| self.affine.cosine(a, b) * long[a].max(long[b]);
        between(0, 1).max(between(0, 2)).max(between(1, 2))
    }

    /// Notes that the file's slices are not axial.
    pub(crate) fn note_order(&mut self) {
        let stored = self.affine.axis_codes();
        if !stored.ends_with(['S', 'I']) {
            self.notes.push(HeaderNote::NotAxial { stored });
        }
    }

    /// nibabel's axis codes of the file, e.g. `SPL`; the arrays' own are
    /// `affine.axis_codes()`.
    #[must_use]
    pub fn stored_codes(&self) -> String {
        self.as_stored().affine.axis_codes()
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

/// For tests: oblique, stored LPS, three different sizes and spacings.
#[cfg(test)]
pub(crate) fn oblique_lps() -> Geometry {
    let (c, s) = (0.96, 0.28);
    let affine = Affine([
        [-0.7 * c, 0.9 * s, 0.0, 12.0],
        [-0.7 * s, -0.9 * c, 0.0, -40.0],
        [0.0, 0.0, 2.5, 7.0],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    Geometry::new([4, 5, 6], affine)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_counts_as_right_angled_is_bounded_by_angle_and_by_drift() {
        let refused = |slices: usize, degrees: f64| {
            let mut affine = Affine::from_spacing_xyz_mm([0.7, 0.7, 1.0]);
            affine.0[1][2] = degrees.to_radians().tan();
            Geometry::new([slices, 20, 20], affine).check_lengths(Path::new("a.nii")).is_err()
        };
        // 0.9 and 1.1 mm at the 300th slice; a small volume may be off by 0.25 degrees.
        assert_eq!(
            [0.9f64, 1.1].map(|mm| refused(300, (mm / 300.0).atan().to_degrees())),
            [false, true]
        );
        assert_eq!([0.25, 0.3].map(|degrees| refused(30, degrees)), [false, true]);
    }

    #[test]
    fn voxels_of_no_chest_are_noted_and_not_refused() {
        let notes = |mm: f64| {
            let mut grid = Geometry::new([4, 4, 4], Affine::from_spacing_xyz_mm([0.7, 0.7, mm]));
            grid.check_lengths(Path::new("a.nii")).unwrap();
            grid.notes
        };
        assert_eq!([0.1, 5.0, 10.0].map(|mm| notes(mm).len()), [0; 3]);
        let said = notes(1e20)[0].to_string();
        assert!(said.starts_with("a spacing of 0.7 × 0.7 × 1e20 mm is implausible"), "{said}");
        assert_eq!(notes(0.02).len(), 1);
    }

    #[test]
    fn the_volume_of_a_sheared_voxel_is_the_determinant() {
        // A gantry tilted by 25 degrees, kept as a shear.
        let mut affine = Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0]);
        affine.0[1][2] = 5.0 * 25f64.to_radians().tan();
        let sheared = Geometry::new([1, 1, 1], affine);
        assert!((sheared.voxel_volume_ml() - 0.7 * 0.7 * 5.0 / 1000.0).abs() < 1e-12);
        let straight = Geometry::new([1, 1, 1], Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0]));
        assert_eq!(straight.voxel_volume_ml(), 0.7 * 0.7 * 5.0 / 1000.0);
    }
}
