//! The lungs of a chest CT by threshold and morphology, with checks that say when not to believe
//! it.
//!
//! Air inside the body, in one or two large pieces, closed so that vessels, walls and dense lesions
//! at the border belong to it. This is no trained model: consolidation thicker than the closing
//! stays outside, and gas-filled bowel next to the lung can leak in.

mod checks;
mod closing;
mod pieces;

use ndarray::{Array2, Array3, Axis, Zip, parallel::prelude::*};

use crate::volume::Number;
use crate::{Geometry, Volume, with_voxels};

pub use checks::{LungCheck, LungQuality};

/// Denser than this is no aerated lung: halfway between lung (about −850) and soft tissue (about
/// 40), the customary cut.
pub const AERATED_HU: i16 = -400;

/// Radius of the closing, mm: wider than hilar vessels and subpleural reticulation, narrower than
/// the mediastinum.
const CLOSING_MM: f64 = 10.0;

/// A lung mask and what speaks for or against it.
#[derive(Clone, Debug)]
pub struct LungMask {
    /// Lung, `[z, y, x]`.
    pub mask: Array3<bool>,
    /// Grid of the CT.
    pub geometry: Geometry,
    /// Volumes and checks.
    pub quality: LungQuality,
}

impl LungMask {
    /// Finds the lungs of `ct`, whose slices must be axial and whose values Hounsfield units.
    ///
    /// Always returns a mask, perhaps an empty one; [`LungQuality::problems`] says what is wrong
    /// with it.
    #[must_use]
    pub fn of(ct: &Volume) -> Self {
        let hu = hounsfield(ct);
        let spacing = ct.geometry.spacing_xyz_mm;
        let mut mask = aerated_inside_body(&hu);
        pieces::keep_lungs(&mut mask, &hu, ct.geometry.voxel_volume_ml());
        mask.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut slice| {
            closing::close(slice.view_mut(), CLOSING_MM, [spacing[0], spacing[1]]);
            closing::fill_holes(slice);
        });
        let quality = checks::judge(&mask, &hu, &ct.geometry);
        Self { mask, geometry: ct.geometry.clone(), quality }
    }

    /// The lung and what is at most `radius_mm` from it in its slice, `[z, y, x]`.
    #[must_use]
    pub fn dilated(&self, radius_mm: f64) -> Array3<bool> {
        let [dx_mm, dy_mm, _] = self.geometry.spacing_xyz_mm;
        let mut grown = Array3::from_elem(self.mask.dim(), false);
        Zip::from(grown.outer_iter_mut()).and(self.mask.outer_iter()).par_for_each(
            |mut grown, lung| {
                if lung.iter().any(|&inside| inside) {
                    grown.assign(&closing::dilate(&lung.to_owned(), radius_mm, [dx_mm, dy_mm]));
                }
            },
        );
        grown
    }
}

/// The CT's values as whole HU; not-a-number becomes the padding value −32768.
#[must_use]
#[allow(clippy::unnecessary_cast, reason = "one of the voxel types is f64 already")]
pub fn hounsfield(ct: &Volume) -> Array3<i16> {
    with_voxels!(&ct.voxels, array => {
        let mut out = Array3::<i16>::zeros(array.dim());
        Zip::from(&mut out).and(array).par_for_each(|out, &v| {
            let value = v.as_f64();
            *out = if value.is_nan() { i16::MIN } else { value.round() as i16 };
        });
        out
    })
}

/// Voxels of lung density that are not connected to the border of their slice: the air around the
/// patient is.
fn aerated_inside_body(hu: &Array3<i16>) -> Array3<bool> {
    let mut inside = Array3::from_elem(hu.dim(), false);
    inside.axis_iter_mut(Axis(0)).into_par_iter().zip(hu.axis_iter(Axis(0))).for_each(
        |(mut inside, hu)| {
            let air: Array2<bool> = hu.mapv(|v| v < AERATED_HU);
            inside.assign(&air);
            closing::clear_from_border(inside);
        },
    );
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Affine, Voxels};

    /// A body of soft tissue in air with two ellipsoidal lungs of −850 HU, a vessel in one of them,
    /// gas below.
    fn chest(lung_hu: i16) -> Volume {
        let (depth, height, width) = (60, 120, 160);
        let within = |c: [f64; 3], r: [f64; 3], p: [f64; 3]| {
            (0..3).map(|i| ((p[i] - c[i]) / r[i]).powi(2)).sum::<f64>() < 1.0
        };
        let array = Array3::from_shape_fn((depth, height, width), |(z, y, x)| {
            let p = [z as f64, y as f64, x as f64];
            let lung = within([30.0, 60.0, 50.0], [26.0, 32.0, 24.0], p)
                || within([30.0, 60.0, 112.0], [26.0, 32.0, 24.0], p);
            let vessel = (58.0..62.0).contains(&p[1]) && (45.0..49.0).contains(&p[2]);
            let bowel = within([30.0, 105.0, 80.0], [4.0, 4.0, 4.0], p);
            match () {
                () if lung && vessel => 40,
                () if lung => lung_hu,
                () if bowel => -1000,
                () if within([30.0, 60.0, 80.0], [400.0, 55.0, 74.0], p) => 40,
                () => -1000,
            }
        });
        Volume {
            voxels: Voxels::I16(array),
            geometry: Geometry::new(
                [depth, height, width],
                Affine::from_spacing_xyz_mm([2.5, 2.5, 5.0]),
            ),
        }
    }

    #[test]
    fn two_lungs_are_found_with_their_vessels_and_without_bowel_gas() {
        let lung = LungMask::of(&chest(-850));
        assert!(lung.mask[[30, 60, 50]] && lung.mask[[30, 60, 112]], "both lungs");
        assert!(lung.mask[[30, 60, 47]], "the vessel belongs to the lung");
        assert!(!lung.mask[[30, 105, 80]], "gas in the bowel does not");
        assert!(!lung.mask[[30, 2, 2]], "the air around the patient does not");
        let grown = lung.dilated(10.0);
        assert!(!lung.mask[[30, 60, 77]] && grown[[30, 60, 77]] && !grown[[30, 60, 80]]);
        assert!(!grown[[2, 60, 50]], "no slice gains lung");
        assert_eq!(lung.quality.problems(), Vec::<String>::new());
    }

    #[test]
    fn a_scan_without_air_in_the_chest_is_reported_and_not_believed() {
        let lung = LungMask::of(&chest(40));
        assert!(
            lung.quality.problems().iter().any(|problem| problem.contains("volume")),
            "{:?}",
            lung.quality.problems()
        );
    }

    #[test]
    fn values_that_are_not_hounsfield_units_are_noticed() {
        let mut ct = chest(-850);
        if let Voxels::I16(array) = &mut ct.voxels {
            array.mapv_inplace(|v| v + 1024);
        }
        let problems = LungMask::of(&ct).quality.problems();
        assert!(problems.iter().any(|problem| problem.contains("-1000 HU")), "{problems:?}");
    }
}
