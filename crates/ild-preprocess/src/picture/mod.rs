//! The kept slices of a volume as 8-bit pictures.

pub(crate) mod flattened;
pub(crate) mod grey_level;
pub(crate) mod nearest;
pub(crate) mod percentile;
pub(crate) mod window;

use ild_io::{Images, Volume, Voxels};
use ndarray::{Array3, Array4, Axis};

use crate::picture::flattened::Flattened;
use crate::picture::grey_level::{Ramp, Scaling, Voxel, grey_slice, value_range};
use crate::picture::percentile::positive_percentiles;
use crate::picture::window::{Windowing, bounds_hu};

/// Percentiles between which an MR volume is spread.
const MR_PERCENTILES: [f64; 2] = [0.5, 99.5];

/// Pictures of a CT, and what the window did to its lung.
#[derive(Clone, Debug)]
pub struct Windowed {
    /// One picture per kept slice.
    pub images: Images,
    /// The lung-range voxels of the kept slices.
    pub flattened: Flattened,
}

/// Windows the `slices` of a CT.
///
/// With [`Scaling::ImageRange`] the range is that of the **whole** volume, as the reference takes
/// it.
#[must_use]
pub fn window_ct(
    voxels: &Voxels,
    slices: &[usize],
    windowing: &Windowing,
    scaling: Scaling,
) -> Windowed {
    let range = match scaling {
        Scaling::ImageRange => value_range(voxels).unwrap_or([0.0; 2]),
        Scaling::WindowBounds => [0.0; 2],
    };
    let (images, flattened) = windowed(voxels, slices, windowing, scaling, range);
    Windowed { images, flattened }
}

fn windowed(
    voxels: &Voxels,
    slices: &[usize],
    windowing: &Windowing,
    scaling: Scaling,
    range: [f64; 2],
) -> (Images, Flattened) {
    let [_, height, width] = voxels.shape_zyx();
    let mut flattened = Flattened::default();
    let images = match windowing {
        Windowing::Grey(window) => {
            let ramp = Ramp::new(bounds_hu(*window), scaling, range);
            let mut images = Array3::zeros((slices.len(), height, width));
            for (mut image, &z) in images.outer_iter_mut().zip(slices) {
                grey_slice(voxels, z, &ramp, image.view_mut());
                flattened.add(Flattened::of_slice(voxels, z, image.view()));
            }
            Images::Grey(images)
        }
        Windowing::Rgb(windows) => {
            let ramps = windows.map(|window| Ramp::new(bounds_hu(window), scaling, range));
            let mut images = Array4::zeros((slices.len(), height, width, 3));
            for (mut image, &z) in images.outer_iter_mut().zip(slices) {
                for (channel, ramp) in ramps.iter().enumerate() {
                    grey_slice(voxels, z, ramp, image.index_axis_mut(Axis(2), channel));
                }
                flattened.add(Flattened::of_colour_slice(voxels, z, image.view()));
            }
            Images::Rgb(images)
        }
    };
    (images, flattened)
}

/// Windows `slices` of a CT by the window's bounds, without a look at the other ones: what
/// inference does.
#[must_use]
pub fn window_slices(ct: &Volume, slices: &[usize], windowing: &Windowing) -> Images {
    let no_range = [0.0; 2]; // only [`Scaling::ImageRange`] needs it
    windowed(&ct.voxels, slices, windowing, Scaling::WindowBounds, no_range).0
}

/// Windows `slices` of a CT and spreads the grey levels between its lowest and highest value, which
/// are `range` before the window clips them.
#[must_use]
pub fn stretch_slices(
    ct: &Volume,
    slices: &[usize],
    windowing: &Windowing,
    range: [f64; 2],
) -> Images {
    windowed(&ct.voxels, slices, windowing, Scaling::ImageRange, range).0
}

/// Spreads the `slices` of an MR volume between its 0.5 and 99.5 percentiles (of voxels above
/// zero); zero stays zero. `None` when no voxel is above zero.
#[must_use]
pub fn spread_mr(voxels: &Voxels, slices: &[usize]) -> Option<Images> {
    let clip = positive_percentiles(voxels, MR_PERCENTILES[0], MR_PERCENTILES[1])?;
    let ramp = Ramp::new(clip, Scaling::ImageRange, value_range(voxels)?);
    let [_, height, width] = voxels.shape_zyx();
    let mut images = Array3::zeros((slices.len(), height, width));
    for (mut image, &z) in images.outer_iter_mut().zip(slices) {
        grey_slice(voxels, z, &ramp, image.view_mut());
        blacken_zero(voxels, z, image);
    }
    Some(Images::Grey(images))
}

/// Voxels that are exactly 0 are outside the body: black, wherever the ramp starts.
fn blacken_zero(voxels: &Voxels, z: usize, grey: ndarray::ArrayViewMut2<u8>) {
    ild_io::with_voxels!(voxels, array => {
        ndarray::Zip::from(grey).and(array.index_axis(Axis(0), z)).for_each(|grey, v| *grey = if v.real() == 0.0 { 0 } else { *grey });
    });
}
