//! How slices become what the model looks at, where that is not this project's own way.

use ild_io::Window;
use ild_model::resize_bicubic_u8;
use ild_preprocess::Windowing;
use ndarray::{Array3, Axis};

/// The preparation of somebody else's scripts, for weights that were trained and tried with it.
///
/// Both spread the grey levels between the lowest and the highest value that the CT itself has
/// within the window (`medsam2_infer_3D_CT.py`): a HU has not the same grey in every scan. Slices
/// are resized as 8-bit pictures by Pillow's bicubic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// MedSAM2 at 512², window -150..250 HU (its script for any CT).
    Medsam2,
    /// MedSAM2 at 512², window -1500..0 HU (its script for lung nodules): all above 0 HU is white.
    Medsam2Lung,
}

impl Preset {
    /// The model, where neither the user nor the checkpoint names one.
    #[must_use]
    pub fn model(self) -> &'static str {
        "t512"
    }

    /// The window, where neither the user nor the checkpoint names one.
    #[must_use]
    pub fn windowing(self) -> Windowing {
        Windowing::Grey(match self {
            Self::Medsam2 => Window { level_hu: 50.0, width_hu: 400.0 },
            Self::Medsam2Lung => Window { level_hu: -750.0, width_hu: 1500.0 },
        })
    }

    /// A picture (`[y, x, 3]`) at the size of the input.
    #[must_use]
    pub fn resized(self, picture: &Array3<u8>, side: usize) -> Array3<u8> {
        let mut input = Array3::zeros((side, side, 3));
        for (mut out, channel) in input.axis_iter_mut(Axis(2)).zip(picture.axis_iter(Axis(2))) {
            out.assign(&resize_bicubic_u8(channel, side, side));
        }
        input
    }
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, Geometry, LabelTable, Volume, Voxels};
    use ndarray::Array2;

    use super::*;
    use crate::Scan;

    #[test]
    fn windows_are_those_of_the_scripts() {
        let bounds =
            |preset: Preset| ild_preprocess::bounds_hu(preset.windowing().single().unwrap());
        assert_eq!(bounds(Preset::Medsam2), [-150.0, 250.0]);
        assert_eq!(bounds(Preset::Medsam2Lung), [-1500.0, 0.0]);
    }

    /// `np.uint8((np.clip(hu, -150, 250) - low) / (high - low) * 255)`, low and high of the clipped
    /// volume: -150 and 100 here.
    #[test]
    fn grey_levels_are_spread_over_what_the_whole_ct_has_within_the_window() {
        let hu = Array3::from_shape_vec((2, 1, 3), vec![-900, -150, -25, 0, 99, 100]).unwrap();
        let geometry = Geometry::new([2, 1, 3], Affine::from_spacing_xyz_mm([1.0; 3]));
        let ct = Volume { voxels: Voxels::I16(hu), geometry };
        let windowing = Preset::Medsam2.windowing();
        let scan = Scan::of_ct("a", ct, windowing, &LabelTable::default());
        let greys = |scan: &Scan| {
            let row =
                |i: usize| scan.rgb(i).index_axis(Axis(2), 1).iter().copied().collect::<Vec<_>>();
            [row(0), row(1)].concat()
        };
        assert_eq!(greys(&scan), [0, 0, 79, 95, 158, 159], "the window's own limits");
        let scan = scan.prepared_for(Some(Preset::Medsam2));
        assert_eq!(greys(&scan), [0, 0, 127, 153, 253, 255], "the CT's");
    }

    #[test]
    fn a_picture_is_resized_channel_by_channel() {
        let plane = Array2::from_shape_fn((9, 12), |(y, x)| (20 * y + 3 * x) as u8);
        let picture = Array3::from_shape_fn((9, 12, 3), |(y, x, c)| plane[[y, x]] / (c as u8 + 1));
        let input = Preset::Medsam2.resized(&picture, 16);
        assert_eq!(input.dim(), (16, 16, 3));
        assert_eq!(input.index_axis(Axis(2), 0), resize_bicubic_u8(plane.view(), 16, 16));
        assert_ne!(input.index_axis(Axis(2), 0), input.index_axis(Axis(2), 2));
    }
}
