//! The later date laid over the earlier one, for pictures only: rigidly, by the lung masks.
//!
//! Heights are matched by the share of the lung's height. In the slice the lung's centre of mass is
//! moved onto the earlier one and the longer axis of its second moments turned along; both are taken
//! over all slices. Nothing is stretched, and no number is made of it.

use ild_io::Volume;
use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::QuantifyInput;
use crate::report::windowed;

/// Lungs of which one moment is less than this times the other have no longer axis to turn by.
const LONGER: f64 = 1.1;
/// A turn beyond this is no other position of a patient: the masks differ, degrees.
const LARGEST_TURN: f64 = 20.0;

/// A slice as it is drawn.
pub(super) struct Slice {
    pub grey: Array2<u8>,
    pub labels: Array2<u8>,
    pub lung: Option<Array2<bool>>,
}

impl Slice {
    /// Slice `z` as it is.
    pub fn of(input: &QuantifyInput, ct: &Volume, z: usize) -> Option<Self> {
        Some(Self {
            grey: windowed(ct, z)?,
            labels: input.map.labels.index_axis(Axis(0), z).to_owned(),
            lung: input.lung.as_ref().map(|lung| lung.mask.index_axis(Axis(0), z).to_owned()),
        })
    }
}

/// How a lung lies in its slices.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pose {
    /// Of its centre from the first pixel, along columns and rows, mm.
    centre_mm: [f64; 2],
    /// Of its longer axis against the columns, radians; `None` where it has none.
    axis: Option<f64>,
}

impl Pose {
    fn of(lung: &Array3<bool>, spacing_xyz_mm: [f64; 3]) -> Option<Self> {
        let [dx, dy, _] = spacing_xyz_mm;
        let (mut n, mut sum, mut squares) = (0.0, [0.0; 2], [0.0; 3]);
        for ((_, y, x), _) in lung.indexed_iter().filter(|(_, inside)| **inside) {
            let [x, y] = [x as f64 * dx, y as f64 * dy];
            n += 1.0;
            sum = [sum[0] + x, sum[1] + y];
            squares = [squares[0] + x * x, squares[1] + y * y, squares[2] + x * y];
        }
        if n == 0.0 {
            return None;
        }
        let centre_mm = sum.map(|s| s / n);
        let [xx, yy, xy] = [
            squares[0] / n - centre_mm[0].powi(2),
            squares[1] / n - centre_mm[1].powi(2),
            squares[2] / n - centre_mm[0] * centre_mm[1],
        ];
        let (mean, half) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
        let longer = (mean + half).sqrt() > LONGER * (mean - half).max(0.0).sqrt();
        let axis = longer.then(|| 0.5 * (2.0 * xy).atan2(xx - yy));
        Some(Self { centre_mm, axis })
    }
}

/// What brings the later lung onto the earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alignment {
    from: Pose,
    to: Pose,
    /// Radians.
    turn: f64,
}

impl Alignment {
    /// `None` where a date has no lung.
    pub fn new(earlier: &QuantifyInput, later: &QuantifyInput) -> Option<Self> {
        let pose = |input: &QuantifyInput| {
            Pose::of(&input.lung.as_ref()?.mask, input.map.geometry.spacing_xyz_mm)
        };
        Some(Self::between(pose(earlier)?, pose(later)?))
    }

    fn between(to: Pose, from: Pose) -> Self {
        let turn = from.axis.zip(to.axis).map_or(0.0, |(from, to)| {
            // An axis has two ends.
            let turn = (from - to + std::f64::consts::FRAC_PI_2).rem_euclid(std::f64::consts::PI);
            turn - std::f64::consts::FRAC_PI_2
        });
        let believed = turn.to_degrees().abs() <= LARGEST_TURN;
        Self { from, to, turn: if believed { turn } else { 0.0 } }
    }

    /// What was done, for a caption.
    pub fn words(&self) -> String {
        let [x, y] = std::array::from_fn(|i| self.to.centre_mm[i] - self.from.centre_mm[i]);
        let mm = f64::hypot(x, y);
        format!("moved by {mm:.1} mm and turned by {:.1}°", self.turn.to_degrees().abs())
    }

    /// The later slice `later` on the pixels of the earlier one: `size` rows and columns.
    pub fn moved(
        &self,
        later: &Slice,
        size: (usize, usize),
        earlier_xyz_mm: [f64; 3],
        later_xyz_mm: [f64; 3],
    ) -> Slice {
        let (sin, cos) = self.turn.sin_cos();
        let place = |row: usize, column: usize| {
            let x = column as f64 * earlier_xyz_mm[0] - self.to.centre_mm[0];
            let y = row as f64 * earlier_xyz_mm[1] - self.to.centre_mm[1];
            let x_mm = self.from.centre_mm[0] + cos * x - sin * y;
            let y_mm = self.from.centre_mm[1] + sin * x + cos * y;
            [y_mm / later_xyz_mm[1], x_mm / later_xyz_mm[0]]
        };
        let nearest = |row, column| place(row, column).map(f64::round);
        Slice {
            grey: Array2::from_shape_fn(size, |(r, c)| mixed(later.grey.view(), place(r, c))),
            labels: Array2::from_shape_fn(size, |(r, c)| at(later.labels.view(), nearest(r, c))),
            lung: later
                .lung
                .as_ref()
                .map(|lung| Array2::from_shape_fn(size, |(r, c)| at(lung.view(), nearest(r, c)))),
        }
    }
}

/// The value at whole numbers; nothing outside.
fn at<T: Copy + Default>(slice: ArrayView2<T>, [row, column]: [f64; 2]) -> T {
    if row < 0.0 || column < 0.0 {
        return T::default();
    }
    slice.get((row as usize, column as usize)).copied().unwrap_or_default()
}

/// The value between four neighbours.
fn mixed(slice: ArrayView2<u8>, [row, column]: [f64; 2]) -> u8 {
    let (low_row, low_column) = (row.floor(), column.floor());
    let (v, u) = (row - low_row, column - low_column);
    let of = |r: f64, c: f64| f64::from(at(slice, [low_row + r, low_column + c]));
    let upper = of(0.0, 0.0) * (1.0 - u) + of(0.0, 1.0) * u;
    let lower = of(1.0, 0.0) * (1.0 - u) + of(1.0, 1.0) * u;
    (upper * (1.0 - v) + lower * v).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lungs as ellipses on a slice of 120 × 160 pixels of 1 mm, turned and moved.
    fn slice(degrees: f64, [dx, dy]: [f64; 2]) -> Slice {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let inside = |row: usize, column: usize| {
            let (x, y) = (column as f64 - 80.0 - dx, row as f64 - 60.0 - dy);
            let (x, y) = (cos * x + sin * y, cos * y - sin * x);
            let lung = |centre: f64| ((x - centre) / 20.0).powi(2) + (y / 30.0).powi(2) < 1.0;
            lung(-30.0) || lung(30.0)
        };
        let lung = Array2::from_shape_fn((120, 160), |(r, c)| inside(r, c));
        let labels = lung.mapv(u8::from);
        Slice { grey: lung.mapv(|v| if v { 40 } else { 200 }), labels, lung: Some(lung) }
    }

    fn pose(slice: &Slice) -> Pose {
        let lung = slice.lung.clone().unwrap().insert_axis(Axis(0));
        Pose::of(&lung, [1.0, 1.0, 1.0]).unwrap()
    }

    #[test]
    fn a_patient_who_lies_otherwise_is_brought_back() {
        let (earlier, later) = (slice(0.0, [0.0, 0.0]), slice(7.0, [9.0, -5.0]));
        let alignment = Alignment::between(pose(&earlier), pose(&later));
        assert!((alignment.turn.to_degrees() - 7.0).abs() < 0.5, "{}", alignment.words());
        let back = alignment.moved(&later, (120, 160), [1.0; 3], [1.0; 3]);
        let overlap = |a: &Slice, b: &Slice| {
            let pairs = a.lung.as_ref().unwrap().iter().zip(b.lung.as_ref().unwrap());
            let (both, any) = pairs.fold((0, 0), |(both, any), (a, b)| {
                (both + u32::from(*a && *b), any + u32::from(*a || *b))
            });
            f64::from(both) / f64::from(any)
        };
        assert!(overlap(&earlier, &later) < 0.8 && overlap(&earlier, &back) > 0.97);
        assert_eq!(alignment.words(), "moved by 10.3 mm and turned by 7.0°");
    }

    #[test]
    fn other_pixels_are_the_same_place() {
        let (earlier, later) = (slice(0.0, [0.0, 0.0]), slice(0.0, [0.0, 0.0]));
        let mut pose_later = pose(&later);
        pose_later.centre_mm = pose_later.centre_mm.map(|mm| mm * 0.5);
        let alignment = Alignment::between(pose(&earlier), pose_later);
        // The later pixels are half as large: 80 mm there are pixel 160.
        let back = alignment.moved(&later, (120, 160), [1.0; 3], [0.5; 3]);
        assert_eq!(back.lung.unwrap()[[60, 80 - 15]], later.lung.unwrap()[[60, 80 - 30]]);
    }
}
