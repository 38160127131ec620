//! Slices of a tilted gantry, each shifted in its own plane until all lie above each other.
//!
//! The planes stay what they are: nothing is interpolated between slices. In the plane a value is
//! mixed linearly from the neighbours of the place where it was, which blurs by less than a pixel; the
//! picture grows by the largest shift, and what no slice covers is air.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip, s};
use rayon::prelude::*;

use crate::Voxels;
use crate::volume::Number;

/// Shifts of the slices of one stack.
#[derive(Clone, Debug)]
pub(in crate::files) struct Tilt {
    /// Of each slice along the columns and along the rows, pixels.
    shifts: Vec<[f64; 2]>,
    /// The first column and row of the upright grid, in pixels of the first slice.
    first: [i64; 2],
    /// How many columns and rows more it has.
    more: [usize; 2],
    /// Distances between columns and between rows, mm.
    pixel_mm: [f64; 2],
    degrees: f64,
}

impl Tilt {
    /// `along_mm` are the displacements of the slices along a row and along a column, `spacing_mm` the
    /// distances between rows and between columns, `height_mm` that from the first to the last slice.
    pub(super) fn new(along_mm: [Vec<f64>; 2], spacing_mm: [f64; 2], height_mm: f64) -> Self {
        let [between_rows, between_columns] = spacing_mm;
        let pixel_mm = [between_columns, between_rows];
        let of_slice = |k: usize| std::array::from_fn(|i| along_mm[i][k] / pixel_mm[i]);
        let shifts: Vec<[f64; 2]> = (0..along_mm[0].len()).map(of_slice).collect();
        let ends = |i: usize| {
            shifts.iter().fold([0.0f64; 2], |[low, high], shift| {
                [low.min(shift[i].floor()), high.max(shift[i].ceil())]
            })
        };
        let ends = [ends(0), ends(1)];
        let last = shifts.len() - 1;
        let sideways = along_mm[0][last].hypot(along_mm[1][last]);
        Self {
            first: ends.map(|[low, _]| low as i64),
            more: ends.map(|[low, high]| (high - low) as usize),
            degrees: sideways.atan2(height_mm).to_degrees(),
            shifts,
            pixel_mm,
        }
    }

    /// From the first pixel of the first slice to that of the upright grid, along a row and a column.
    pub(super) fn first_mm(&self) -> [f64; 2] {
        std::array::from_fn(|i| self.first[i] as f64 * self.pixel_mm[i])
    }

    pub(super) fn shape(&self, [slices, rows, columns]: [usize; 3]) -> [usize; 3] {
        [slices, rows + self.more[1], columns + self.more[0]]
    }

    pub(super) fn note(&self) -> String {
        let farthest = |i: usize| self.shifts.iter().map(|s| s[i].abs()).fold(0.0, f64::max);
        let mm = (farthest(0) * self.pixel_mm[0]).hypot(farthest(1) * self.pixel_mm[1]);
        format!(
            "the gantry was tilted by {:.1}°: each slice is shifted in its own plane, by up to {mm:.1} \
             mm, its values mixed linearly from two neighbours along each axis (a blur of less than a \
             pixel); {} columns and {} rows of air are added, nothing is interpolated between slices",
            self.degrees, self.more[0], self.more[1]
        )
    }

    /// The stack upright; `fill` where there is nothing.
    pub(super) fn upright(&self, voxels: &Voxels, fill: f64) -> Voxels {
        match voxels {
            Voxels::I16(a) => Voxels::I16(self.shifted(a.view(), fill, |v| v.round() as i16)),
            Voxels::I32(a) => Voxels::I32(self.shifted(a.view(), fill, |v| v.round() as i32)),
            other => {
                let a = crate::with_voxels!(other, a => a.mapv(Number::as_f32));
                Voxels::F32(self.shifted(a.view(), fill, |v| v as f32))
            }
        }
    }

    fn shifted<T: Number + Send + Sync + Default>(
        &self,
        stack: ArrayView3<T>,
        fill: f64,
        from: impl Fn(f64) -> T + Sync,
    ) -> Array3<T> {
        let (slices, rows, columns) = stack.dim();
        let [_, more_rows, more_columns] = self.shape([slices, rows, columns]);
        let mut out = Array3::from_elem((slices, more_rows, more_columns), T::default());
        out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(k, mut plane)| {
            let slice = stack.index_axis(Axis(0), k).mapv(Number::as_f64);
            let [x, y] = self.shifts[k];
            let wide = along_columns(slice.view(), more_columns, self.first[0] as f64 - x, fill);
            let tall = along_columns(wide.t(), more_rows, self.first[1] as f64 - y, fill);
            Zip::from(&mut plane).and(tall.t()).for_each(|out, &v| *out = from(v));
        });
        out
    }

    /// Labels on the upright grid where they were in the slices, to the nearest pixel.
    pub(in crate::files) fn leaning(&self, upright: ArrayView3<u8>) -> Array3<u8> {
        let (slices, rows, columns) = upright.dim();
        let (rows, columns) = (rows - self.more[1], columns - self.more[0]);
        let mut out = Array3::zeros((slices, rows, columns));
        for (k, mut plane) in out.axis_iter_mut(Axis(0)).enumerate() {
            let at = |i: usize| (self.shifts[k][i].round() as i64 - self.first[i]) as usize;
            let (x, y) = (at(0), at(1));
            plane.assign(&upright.slice(s![k, y..y + rows, x..x + columns]));
        }
        out
    }
}

/// Each row taken at `0, 1, …` + `from`, mixed linearly; `fill` farther than half a pixel outside.
fn along_columns(rows: ArrayView2<f64>, length: usize, from: f64, fill: f64) -> Array2<f64> {
    let n = rows.ncols();
    let last = (n - 1) as f64;
    let mut out = Array2::from_elem((rows.nrows(), length), fill);
    for (j, mut column) in out.axis_iter_mut(Axis(1)).enumerate() {
        let at = j as f64 + from;
        if !(-0.5..=last + 0.5).contains(&at) {
            continue;
        }
        let at = at.clamp(0.0, last);
        let low = (at as usize).min(n - 1);
        let high = (low + 1).min(n - 1);
        let share = at - low as f64;
        Zip::from(&mut column)
            .and(rows.column(low))
            .and(rows.column(high))
            .for_each(|out, &a, &b| *out = a + share * (b - a));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three slices of 4 × 5 pixels of 1 mm, each 1.5 pixels farther back than the one below.
    fn tilt() -> Tilt {
        Tilt::new([vec![0.0; 3], vec![0.0, 1.5, 3.0]], [1.0, 1.0], 10.0)
    }

    #[test]
    fn a_slope_stays_a_slope_where_the_slices_are() {
        // A value that depends on where in space the pixel is: row + shift.
        let stack = Array3::from_shape_fn((3, 4, 5), |(k, y, _)| {
            (100.0 * (y as f64 + 1.5 * k as f64)) as i16
        });
        let upright = tilt().upright(&Voxels::I16(stack), -1000.0);
        let Voxels::I16(upright) = upright else { panic!() };
        assert_eq!(upright.dim(), (3, 7, 5));
        for k in 0..3 {
            for y in 0..7 {
                let at = y as f64 - 1.5 * k as f64;
                let expected = match at {
                    at if !(-0.5..=3.5).contains(&at) => -1000,
                    at => (100.0 * (at.clamp(0.0, 3.0) + 1.5 * k as f64)).round() as i16,
                };
                assert_eq!(upright[[k, y, 2]], expected, "slice {k} row {y}");
            }
        }
    }

    #[test]
    fn labels_go_back_to_the_pixel_they_came_from() {
        let mut leaning = Array3::<u8>::zeros((3, 4, 5));
        leaning.slice_mut(s![.., 1..3, 2..4]).fill(2);
        let there = tilt().shifted(leaning.view(), 0.0, |v| v.round() as u8);
        // Whole shifts come back exactly; half a pixel to the nearest.
        let back = tilt().leaning(there.view());
        assert_eq!(back.index_axis(Axis(0), 0), leaning.index_axis(Axis(0), 0));
        assert_eq!(back.index_axis(Axis(0), 2), leaning.index_axis(Axis(0), 2));
    }
}
