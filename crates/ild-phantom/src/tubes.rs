//! Vessels and airways as tapered tubes, and how a slice is covered by them.

use ndarray::Array2;

use crate::draws::Draws;
use crate::patient::Patient;
use crate::solid::{coverage, segment};

/// What runs in a tube.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blood in a vessel of the lung.
    Vessel,
    /// Blood in a great vessel or the oesophagus' wall, drawn over the mediastinum.
    Great,
    /// Air in a windpipe or bronchus whose wall can be seen.
    Airway,
    /// Air in a small bronchus, seen only where the lung around it is solid.
    Bronchiole,
}

/// A tube from `a` to `b` in the patient frame, mm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tube {
    pub a: [f32; 3],
    pub b: [f32; 3],
    /// Radii at the two ends.
    pub radii: [f32; 2],
    pub kind: Kind,
}

/// Share of every pixel `[y, x]` that is inside a tube, by kind.
pub(crate) struct Covered {
    pub vessel: Array2<f32>,
    pub great: Array2<f32>,
    pub lumen: Array2<f32>,
    pub wall: Array2<f32>,
    pub bronchiole: Array2<f32>,
}

/// The grid of a slice in the patient frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceGrid {
    /// Rows and columns.
    pub shape: [usize; 2],
    /// Centre of pixel (0, 0), `x, y`, mm.
    pub origin: [f32; 2],
    /// Width of a pixel, mm.
    pub pixel: f32,
    /// Height of the slice, mm.
    pub z: f32,
    /// Distance to the next slice, mm.
    pub thickness: f32,
}

impl SliceGrid {
    /// Position of a pixel, mm.
    pub(crate) fn position(&self, row: usize, column: usize) -> [f32; 2] {
        [self.origin[0] + column as f32 * self.pixel, self.origin[1] + row as f32 * self.pixel]
    }

    /// Pixels within `reach` mm of the interval, along axis 0 = x or 1 = y.
    fn span(&self, axis: usize, low: f32, high: f32) -> std::ops::Range<usize> {
        let size = self.shape[1 - axis];
        let index = |mm: f32| ((mm - self.origin[axis]) / self.pixel).clamp(-1.0, size as f32);
        let first = (index(low) + 1.0) as usize;
        first.min(size)..((index(high) + 1.0) as usize).min(size)
    }
}

/// Thickness of a bronchus' wall for a lumen of this radius, mm.
fn wall_mm(radius: f32) -> f32 {
    0.6 + 0.16 * radius
}

impl Covered {
    pub(crate) fn by(tubes: &[Tube], grid: &SliceGrid) -> Self {
        let empty = || Array2::zeros(grid.shape);
        let mut covered = Self {
            vessel: empty(),
            great: empty(),
            lumen: empty(),
            wall: empty(),
            bronchiole: empty(),
        };
        for tube in tubes {
            covered.add(tube, grid);
        }
        covered
    }

    fn add(&mut self, tube: &Tube, grid: &SliceGrid) {
        let widest = tube.radii[0].max(tube.radii[1]);
        let reach =
            widest + grid.pixel + if tube.kind == Kind::Airway { wall_mm(widest) } else { 0.0 };
        // A thick slice averages over its thickness: two planes stand for it.
        let planes = [-0.25, 0.25].map(|part| grid.z + part * grid.thickness);
        let range = |axis: usize| {
            [tube.a[axis].min(tube.b[axis]) - reach, tube.a[axis].max(tube.b[axis]) + reach]
        };
        let [low, high] = range(2);
        if planes[1] < low || planes[0] > high {
            return;
        }
        for row in grid.span(1, range(1)[0], range(1)[1]) {
            for column in grid.span(0, range(0)[0], range(0)[1]) {
                let [x, y] = grid.position(row, column);
                for z in planes {
                    self.cover(tube, [x, y, z], [row, column], grid.pixel);
                }
            }
        }
    }

    fn cover(&mut self, tube: &Tube, p: [f32; 3], at: [usize; 2], pixel: f32) {
        let (axis, t) = segment(p, tube.a, tube.b);
        let radius = tube.radii[0] + (tube.radii[1] - tube.radii[0]) * t;
        // A vessel thinner than a pixel covers only part of it.
        let share =
            |radius: f32| 0.5 * coverage(axis - radius, pixel) * (2.0 * radius / pixel).min(1.0);
        let mut paint = |plane: fn(&mut Self) -> &mut Array2<f32>, share: f32| {
            let value = &mut plane(self)[at];
            *value = f32::min(*value + share, 1.0);
        };
        match tube.kind {
            Kind::Vessel => paint(|c| &mut c.vessel, share(radius)),
            Kind::Great => paint(|c| &mut c.great, share(radius)),
            Kind::Bronchiole => paint(|c| &mut c.bronchiole, share(radius)),
            Kind::Airway => {
                paint(|c| &mut c.lumen, share(radius));
                paint(|c| &mut c.wall, share(radius + wall_mm(radius)));
            }
        }
    }
}

/// Windpipe, main bronchi, aorta, venae cavae, pulmonary trunk and arteries, oesophagus: `x, y, z`
/// of the ends in the reference frame and the radii.
type Row = ([f32; 3], [f32; 3], [f32; 2], Kind);
const GREAT: [Row; 21] = [
    ([0.0, 2.0, 300.0], [-2.0, 18.0, 166.0], [8.5, 8.5], Kind::Airway),
    ([-2.0, 18.0, 168.0], [-36.0, 16.0, 143.0], [7.0, 5.2], Kind::Airway),
    ([-2.0, 18.0, 168.0], [42.0, 18.0, 138.0], [6.2, 5.0], Kind::Airway),
    ([-10.0, -22.0, 120.0], [-14.0, -24.0, 178.0], [15.0, 14.5], Kind::Great),
    ([-14.0, -24.0, 178.0], [4.0, 2.0, 194.0], [14.0, 13.5], Kind::Great),
    ([4.0, 2.0, 194.0], [22.0, 40.0, 182.0], [13.5, 12.5], Kind::Great),
    ([22.0, 40.0, 182.0], [18.0, 50.0, 120.0], [12.0, 11.5], Kind::Great),
    ([18.0, 50.0, 120.0], [6.0, 52.0, -60.0], [11.5, 10.5], Kind::Great),
    ([-27.0, -14.0, 120.0], [-27.0, -16.0, 215.0], [9.0, 8.5], Kind::Great),
    ([-27.0, -16.0, 215.0], [-30.0, -22.0, 300.0], [7.5, 6.0], Kind::Great),
    ([-27.0, -18.0, 205.0], [26.0, -34.0, 218.0], [6.5, 6.0], Kind::Great),
    ([26.0, -34.0, 218.0], [34.0, -20.0, 300.0], [6.0, 5.5], Kind::Great),
    ([-12.0, -10.0, 196.0], [-22.0, -8.0, 300.0], [6.5, 5.0], Kind::Great),
    ([8.0, 2.0, 198.0], [16.0, 2.0, 300.0], [4.5, 4.0], Kind::Great),
    ([18.0, 22.0, 196.0], [24.0, 18.0, 300.0], [5.0, 4.5], Kind::Great),
    ([18.0, -34.0, 118.0], [22.0, -12.0, 152.0], [14.0, 13.0], Kind::Great),
    ([20.0, -8.0, 150.0], [-40.0, 4.0, 146.0], [10.0, 8.0], Kind::Great),
    ([22.0, -8.0, 152.0], [44.0, 20.0, 152.0], [10.5, 8.5], Kind::Great),
    ([0.0, 22.0, 118.0], [-44.0, 18.0, 122.0], [8.0, 6.5], Kind::Great),
    ([0.0, 22.0, 118.0], [46.0, 24.0, 120.0], [8.0, 6.5], Kind::Great),
    ([4.0, 38.0, 300.0], [10.0, 36.0, 40.0], [6.0, 6.5], Kind::Great),
];

/// The tubes of the mediastinum of one patient.
pub(crate) fn great_tubes(patient: &Patient, draws: &mut Draws) -> Vec<Tube> {
    let size = draws.about(1.0, 0.1);
    let place = |p: [f32; 3]| std::array::from_fn(|axis| p[axis] * patient.scale[axis]);
    GREAT
        .iter()
        .map(|&(a, b, radii, kind)| Tube {
            a: place(a),
            b: place(b),
            radii: radii.map(|r| r * size),
            kind,
        })
        .collect()
}
