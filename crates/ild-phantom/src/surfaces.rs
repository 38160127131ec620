//! Distances to the surfaces of the chest over a slice.

use ndarray::Array2;

use crate::noise::{Plane, mix};
use crate::patient::Patient;
use crate::thorax::{Distances, Level, WARP_MM};
use crate::tubes::SliceGrid;

/// Surfaces are smooth: on a fine grid they are computed at points about this far apart and
/// interpolated between.
const STEP_MM: f32 = 1.7;

/// What is known of the anatomy at a pixel: its position in the reference frame and signed
/// distances, negative inside.
#[derive(Clone, Copy)]
pub(crate) struct Surface {
    pub xy: [f32; 2],
    pub lung: f32,
    pub cavity: f32,
    pub heart: f32,
    pub dome: f32,
    pub skin: f32,
    pub muscle: f32,
}

/// [`Surface`] at every pixel of a slice.
pub(crate) struct Surfaces {
    knots: Array2<Surface>,
    /// Pixels between knots.
    step: usize,
}

impl Surfaces {
    pub(crate) fn of(patient: &Patient, level: &Level, grid: &SliceGrid) -> Self {
        let step = ((STEP_MM / grid.pixel) as usize).clamp(1, 4);
        let shape = grid.shape.map(|size| (size - 1) / step + 2);
        let (low, high) = (grid.position(0, 0), grid.position(shape[0] * step, shape[1] * step));
        let [wavelength, height] = WARP_MM;
        let warp =
            [0, 1].map(|axis| Plane::new(patient.warp_seed(axis), wavelength, low, high, grid.z));
        let knots = Array2::from_shape_fn(shape, |(j, i)| {
            let [x, y] = grid.position(j * step, i * step);
            let calm = height * Patient::warp_share(x);
            let [u, v, _] = patient
                .reference([x, y, grid.z], [calm * warp[0].at(x, y), calm * warp[1].at(x, y)]);
            Surface::at(patient, level, [u, v])
        });
        Self { knots, step }
    }

    #[inline]
    pub(crate) fn at(&self, row: usize, column: usize) -> Surface {
        if self.step == 1 {
            return self.knots[[row, column]];
        }
        let (j, i) = (row / self.step, column / self.step);
        let part = |index: usize| (index % self.step) as f32 / self.step as f32;
        let upper = self.knots[[j, i]].mix(&self.knots[[j, i + 1]], part(column));
        if row.is_multiple_of(self.step) {
            return upper;
        }
        let lower = self.knots[[j + 1, i]].mix(&self.knots[[j + 1, i + 1]], part(column));
        upper.mix(&lower, part(row))
    }
}

impl Surface {
    fn at(patient: &Patient, level: &Level, xy: [f32; 2]) -> Self {
        let [skin, muscle] = patient.skin(level, xy);
        // Between skin and muscle there is nothing but fat.
        let Distances { lung, cavity, heart, dome, .. } =
            if muscle > 0.0 { Distances::OUTSIDE } else { patient.distances(level, xy) };
        Self { xy, lung, cavity, heart, dome, skin, muscle }
    }

    #[inline]
    fn mix(&self, other: &Self, t: f32) -> Self {
        Self {
            xy: [mix(self.xy[0], other.xy[0], t), mix(self.xy[1], other.xy[1], t)],
            lung: mix(self.lung, other.lung, t),
            cavity: mix(self.cavity, other.cavity, t),
            heart: mix(self.heart, other.heart, t),
            dome: mix(self.dome, other.dome, t),
            skin: mix(self.skin, other.skin, t),
            muscle: mix(self.muscle, other.muscle, t),
        }
    }
}
