//! The extent of a zone of disease as a smooth field on a coarse grid, and its outline in a slice.

use ndarray::{Array2, Array3, Zip};

use crate::disease::Zone;
use crate::noise::{floor, mix};
use crate::patient::Patient;
use crate::thorax::Level;
use crate::tubes::SliceGrid;

/// Distance between grid points: fine enough for shapes whose thinnest part is kept above three of
/// it.
const STEP_MM: f32 = 4.0;
/// Passes of a three-point mean per axis; three give a Gaussian of 1.4 steps, which rounds corners
/// and removes slivers.
const PASSES: usize = 3;

/// Smoothed share of disease, 1 inside; the outline is where it is one half.
pub(crate) struct Extent {
    pub class: u8,
    field: Array3<f32>,
    origin: [f32; 3],
}

impl Extent {
    pub(crate) fn of(zone: &Zone, patient: &Patient) -> Self {
        let margin = PASSES as f32 * STEP_MM;
        let half = [150.0 * patient.scale[0], 110.0 * patient.scale[1]];
        let heights = zone.heights.map(|z| z * patient.scale[2]);
        let origin = [-half[0], -half[1], heights[0] - margin];
        let count = |length: f32| (length / STEP_MM) as usize + 2;
        let shape = [
            count(heights[1] - heights[0] + 2.0 * margin),
            count(2.0 * half[1]),
            count(2.0 * half[0]),
        ];
        let mut field = Array3::zeros(shape);
        for (k, mut plane) in field.outer_iter_mut().enumerate() {
            let z_mm = origin[2] + k as f32 * STEP_MM;
            let level = Level::at(z_mm / patient.scale[2]);
            for ((j, i), value) in plane.indexed_iter_mut() {
                let p = [origin[0] + i as f32 * STEP_MM, origin[1] + j as f32 * STEP_MM, z_mm];
                let (distances, xy) = patient.distances_at(&level, p);
                // Half a step either side of the edge, so that the outline does not follow the
                // grid.
                let depth = zone.depth(&level, xy, p, &distances);
                let medial = (distances.lung - distances.costal.max(0.0)).max(0.0);
                *value = (0.5 + (depth - medial) / STEP_MM).clamp(0.0, 1.0);
            }
        }
        for _ in 0..PASSES {
            smooth(&mut field);
        }
        Self { class: zone.class, field, origin }
    }

    /// The field on the pixels of a slice; `None` where the zone does not reach.
    pub(crate) fn on(&self, grid: &SliceGrid) -> Option<Array2<f32>> {
        let height = (grid.z - self.origin[2]) / STEP_MM;
        let below = floor(height);
        let (planes, rows, columns) = self.field.dim();
        if below < 0 || below as usize + 1 >= planes {
            return None;
        }
        let mut plane = Array2::zeros((rows, columns));
        let (low, high) = (
            self.field.index_axis(ndarray::Axis(0), below as usize),
            self.field.index_axis(ndarray::Axis(0), below as usize + 1),
        );
        Zip::from(&mut plane)
            .and(low)
            .and(high)
            .for_each(|out, &a, &b| *out = mix(a, b, height - below as f32));
        if plane.iter().all(|&share: &f32| share < 0.5) {
            return None;
        }
        Some(Array2::from_shape_fn(grid.shape, |(row, column)| {
            let [x, y] = grid.position(row, column);
            bilinear(&plane, (x - self.origin[0]) / STEP_MM, (y - self.origin[1]) / STEP_MM)
        }))
    }
}

fn bilinear(plane: &Array2<f32>, x: f32, y: f32) -> f32 {
    let (i, j) = (floor(x), floor(y));
    let (rows, columns) = plane.dim();
    if i < 0 || j < 0 || i as usize + 1 >= columns || j as usize + 1 >= rows {
        return 0.0;
    }
    let (i, j) = (i as usize, j as usize);
    let (tx, ty) = (x - i as f32, y - j as f32);
    mix(
        mix(plane[[j, i]], plane[[j, i + 1]], tx),
        mix(plane[[j + 1, i]], plane[[j + 1, i + 1]], tx),
        ty,
    )
}

/// Mean of three neighbours along each axis.
fn smooth(field: &mut Array3<f32>) {
    for axis in 0..3 {
        for mut lane in field.lanes_mut(ndarray::Axis(axis)) {
            let mut before = lane[0];
            for index in 0..lane.len() {
                let here = lane[index];
                let after = lane[(index + 1).min(lane.len() - 1)];
                lane[index] = (before + here + after) / 3.0;
                before = here;
            }
        }
    }
}
