//! The exact Euclidean distance to a set of voxels on an anisotropic grid, evaluated only where it
//! is asked for.
//!
//! A distance transform gives the distance everywhere; surface metrics need it on a surface. So one
//! pass counts, for every voxel, the slices to the nearest member of the set above or below it;
//! then each query looks around in its own slice, nearest columns first, until no farther column
//! can be nearer. A query that finds nothing within [`REACH_PX`] goes on by blocks of columns, of
//! which most are passed over at once. Whole slices use the lower envelope of parabolas
//! (Felzenszwalb and Huttenlocher 2012).
//!
//! Squares are summed in the order z, y, x, as scipy's `distance_transform_edt` does, so that a
//! distance that equals a tolerance equals it in both programs.

use crate::surface::column_blocks::{ColumnBlocks, SIDE, gap, ring};
use crate::surface::envelope::lower_envelope;

/// How far the search in the slice goes, in pixels of the finer in-plane spacing.
const REACH_PX: f64 = 5.0;
/// No member of the set in this column.
const NONE: u16 = u16::MAX;

/// Distances to a set of voxels.
pub struct DistanceTransform {
    shape_zyx: [usize; 3],
    spacing_zyx_mm: [f64; 3],
    /// Slices to the nearest member along z, or [`NONE`].
    steps: Vec<u16>,
    /// `(k · spacing)²` for every number of voxels along z, y and x.
    z_squared: Vec<f64>,
    y_squared: Vec<f64>,
    x_squared: Vec<f64>,
    offsets: Vec<Offset>,
    reach_mm: f64,
}

/// A column of the same slice, seen from a query.
#[derive(Clone, Copy)]
struct Offset {
    dy: isize,
    dx: isize,
    y_squared: f64,
    x_squared: f64,
    squared: f64,
}

impl DistanceTransform {
    /// Takes the set from `fill(z, plane)`, which is called once for each slice in order and marks
    /// members with 1 in a zeroed plane `[y, x]`.
    ///
    /// # Panics
    /// When there are 65535 slices or more.
    pub fn new(
        shape_zyx: [usize; 3],
        spacing_zyx_mm: [f64; 3],
        mut fill: impl FnMut(usize, &mut [u8]),
    ) -> Self {
        let [depth, height, width] = shape_zyx;
        assert!(depth < usize::from(NONE), "fewer than 65535 slices");
        let area = height * width;
        let mut steps = vec![NONE; depth * area];
        let mut plane = vec![0u8; area];
        for z in 0..depth {
            plane.fill(0);
            fill(z, &mut plane);
            let (before, rest) = steps.split_at_mut(z * area);
            let here = &mut rest[..area];
            match before.len().checked_sub(area) {
                None => here
                    .iter_mut()
                    .zip(&plane)
                    .for_each(|(d, &member)| *d = if member != 0 { 0 } else { NONE }),
                Some(from) => count_up(here, &before[from..], &plane),
            }
        }
        for z in (0..depth.saturating_sub(1)).rev() {
            let (here, after) = steps[z * area..].split_at_mut(area);
            here.iter_mut()
                .zip(&after[..area])
                .for_each(|(d, &below)| *d = (*d).min(below.saturating_add(1)));
        }
        let [z_squared, y_squared, x_squared] = [0, 1, 2].map(|axis| {
            (0..shape_zyx[axis]).map(|k| (k as f64 * spacing_zyx_mm[axis]).powi(2)).collect()
        });
        let reach_mm = REACH_PX * spacing_zyx_mm[1].min(spacing_zyx_mm[2]);
        let offsets = offsets(spacing_zyx_mm, reach_mm);
        Self {
            shape_zyx,
            spacing_zyx_mm,
            steps,
            z_squared,
            y_squared,
            x_squared,
            offsets,
            reach_mm,
        }
    }

    /// Distance in mm from each voxel of `points` (flat indices, ascending by slice) to the nearest
    /// member of the set; infinite when the set is empty.
    #[must_use]
    pub fn at(&self, points: &[usize]) -> Vec<f64> {
        let [_, height, width] = self.shape_zyx;
        let area = height * width;
        let mut out = vec![0.0; points.len()];
        let mut start = 0;
        while start < points.len() {
            let z = points[start] / area;
            let end = start + points[start..].partition_point(|&point| point / area == z);
            self.slice_at(z, &points[start..end], &mut out[start..end]);
            start = end;
        }
        out.iter_mut().for_each(|d| *d = d.sqrt());
        out
    }

    /// Squared distances of the points of one slice.
    ///
    /// Neighbouring points have neighbouring answers: the distance changes by no more than the step
    /// between them, which tells when looking near is in vain, and the column that was nearest to
    /// the last point bounds the search for the next.
    fn slice_at(&self, z: usize, points: &[usize], out: &mut [f64]) {
        let [_, height, width] = self.shape_zyx;
        let [_, sy, sx] = self.spacing_zyx_mm;
        let steps = &self.steps[z * height * width..][..height * width];
        let mut blocks = None;
        let (mut last, mut nearest) = ((0, 0, 0.0), None);
        for (&point, out) in points.iter().zip(out) {
            let at = point - z * height * width;
            let (y, x) = (at / width, at % width);
            let (last_y, last_x, last_mm): (usize, usize, f64) = last;
            let step_mm = (last_y.abs_diff(y) as f64 * sy).hypot(last_x.abs_diff(x) as f64 * sx);
            *out = if last_mm - step_mm > self.reach_mm {
                f64::INFINITY
            } else {
                self.search(steps, y, x)
            };
            if *out > self.reach_mm * self.reach_mm {
                let blocks = blocks.get_or_insert_with(|| ColumnBlocks::new(steps, width));
                (*out, nearest) = self.search_far(steps, blocks, (y, x), nearest);
            }
            last = (y, x, out.sqrt());
        }
    }

    fn z_squared(&self, steps: u16) -> f64 {
        self.z_squared.get(usize::from(steps)).copied().unwrap_or(f64::INFINITY)
    }

    /// Smallest squared distance among the columns within reach, nearest first.
    fn search(&self, steps: &[u16], y: usize, x: usize) -> f64 {
        let [_, height, width] = self.shape_zyx;
        let mut best = self.z_squared(steps[y * width + x]);
        for offset in &self.offsets {
            if offset.squared >= best {
                break;
            }
            let (Some(y), Some(x)) =
                (y.checked_add_signed(offset.dy), x.checked_add_signed(offset.dx))
            else {
                continue;
            };
            if y < height && x < width {
                let candidate =
                    self.z_squared(steps[y * width + x]) + offset.y_squared + offset.x_squared;
                best = if candidate < best { candidate } else { best };
            }
        }
        best
    }

    /// Smallest squared distance among all columns and the column that has it, blocks nearest
    /// first; `guess` is a column that is likely to be near. No column when the set is empty.
    fn search_far(
        &self,
        steps: &[u16],
        blocks: &ColumnBlocks,
        (y, x): (usize, usize),
        guess: Option<usize>,
    ) -> (f64, Option<usize>) {
        let [_, height, width] = self.shape_zyx;
        let squared = |at: usize| {
            let [dy, dx] = [(at / width).abs_diff(y), (at % width).abs_diff(x)];
            self.z_squared(steps[at]) + self.y_squared[dy] + self.x_squared[dx]
        };
        let mut nearest = guess;
        let mut best = guess.map_or(f64::INFINITY, squared);
        let (by, bx) = (y / SIDE, x / SIDE);
        let [down, across] = blocks.size();
        for distance in 0..down.max(across) {
            let columns = (distance.max(1) - 1) * SIDE;
            if distance > 0
                && self.y_squared[columns.min(height - 1)]
                    .min(self.x_squared[columns.min(width - 1)])
                    >= best
            {
                break;
            }
            for (row, column) in ring(by, bx, distance, [down, across]) {
                let z_squared = self.z_squared(blocks.fewest(row, column));
                if z_squared + self.y_squared[gap(y, row)] + self.x_squared[gap(x, column)] >= best
                {
                    continue;
                }
                let columns = column * SIDE..(column * SIDE + SIDE).min(width);
                for row in row * SIDE..(row * SIDE + SIDE).min(height) {
                    let y_squared = self.y_squared[row.abs_diff(y)];
                    let steps = &steps[row * width..][columns.clone()];
                    let fewest = steps.iter().fold(NONE, |least, &steps| least.min(steps));
                    if self.z_squared(fewest) + y_squared >= best {
                        continue;
                    }
                    for (&steps, column) in steps.iter().zip(columns.clone()) {
                        let candidate =
                            self.z_squared(steps) + y_squared + self.x_squared[column.abs_diff(x)];
                        if candidate < best {
                            (best, nearest) = (candidate, Some(row * width + column));
                        }
                    }
                }
            }
        }
        (best, nearest)
    }

    /// The envelope along y for every column of a slice.
    fn along_y(&self, steps: &[u16]) -> Vec<f64> {
        let [_, height, width] = self.shape_zyx;
        let mut along_y = vec![f64::INFINITY; height * width];
        let (mut column, mut result) = (vec![0.0; height], vec![0.0; height]);
        for x in 0..width {
            column
                .iter_mut()
                .enumerate()
                .for_each(|(y, v)| *v = self.z_squared(steps[y * width + x]));
            if lower_envelope(&column, self.spacing_zyx_mm[1], &mut result) {
                result.iter().enumerate().for_each(|(y, &v)| along_y[y * width + x] = v);
            }
        }
        along_y
    }

    /// Distance in mm from every voxel of slice `z` (`[y, x]`, flat); infinite when the set is
    /// empty.
    #[must_use]
    pub fn slice_mm(&self, z: usize) -> Vec<f64> {
        let [_, height, width] = self.shape_zyx;
        let mut plane = self.along_y(&self.steps[z * height * width..][..height * width]);
        let mut row = vec![f64::INFINITY; width];
        for values in plane.chunks_exact_mut(width.max(1)) {
            lower_envelope(values, self.spacing_zyx_mm[2], &mut row);
            values.iter_mut().zip(&row).for_each(|(value, squared)| *value = squared.sqrt());
        }
        plane
    }
}

/// `here = member ? 0 : before + 1`, written so that the compiler vectorises it.
fn count_up(here: &mut [u16], before: &[u16], members: &[u8]) {
    for ((d, &above), &member) in here.iter_mut().zip(before).zip(members) {
        *d = if member != 0 { 0 } else { above.saturating_add(1) };
    }
}

/// All columns within `reach` mm except the query's own, nearest first.
fn offsets(spacing_zyx_mm: [f64; 3], reach: f64) -> Vec<Offset> {
    let [_, sy, sx] = spacing_zyx_mm;
    let span = |spacing: f64| (reach / spacing).floor() as isize;
    let mut all: Vec<Offset> = (-span(sy)..=span(sy))
        .flat_map(|dy| (-span(sx)..=span(sx)).map(move |dx| (dy, dx)))
        .map(|(dy, dx)| {
            let (y_squared, x_squared) = ((dy as f64 * sy).powi(2), (dx as f64 * sx).powi(2));
            Offset { dy, dx, y_squared, x_squared, squared: y_squared + x_squared }
        })
        .filter(|offset| (offset.dy, offset.dx) != (0, 0) && offset.squared <= reach * reach)
        .collect();
    all.sort_by(|a, b| a.squared.total_cmp(&b.squared));
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Nearest member by looking at all of them.
    fn brute_force(members: &[[usize; 3]], at: [usize; 3], spacing: [f64; 3]) -> f64 {
        let squared = |m: &[usize; 3]| {
            (0..3).map(|i| ((m[i] as f64 - at[i] as f64) * spacing[i]).powi(2)).sum::<f64>()
        };
        members.iter().map(squared).fold(f64::INFINITY, f64::min).sqrt()
    }

    proptest! {
        #[test]
        fn distances_equal_brute_force(
            shape in [1usize..7, 1usize..40, 1usize..40],
            spacing in [0.3f64..6.0, 0.3f64..2.0, 0.3f64..2.0],
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let [depth, height, width] = shape;
            let voxel = |flat: usize| [flat / (height * width), flat / width % height, flat % width];
            let members: Vec<[usize; 3]> = picks.iter().map(|pick| voxel(pick.index(depth * height * width))).collect();
            let transform = DistanceTransform::new(shape, spacing, |z, plane| {
                members.iter().filter(|m| m[0] == z).for_each(|m| plane[m[1] * width + m[2]] = 1);
            });
            let points: Vec<usize> = (0..depth * height * width).collect();
            for (point, found) in points.iter().zip(transform.at(&points)) {
                let expected = brute_force(&members, voxel(*point), spacing);
                prop_assert!(found == expected || (found - expected).abs() <= 1e-12 * expected, "{found} {expected}");
            }
            let whole: Vec<f64> = (0..depth).flat_map(|z| transform.slice_mm(z)).collect();
            for (a, b) in whole.into_iter().zip(transform.at(&points)) {
                prop_assert!(a == b || (a - b).abs() <= 1e-12 * b, "whole slices {a}, points {b}");
            }
        }
    }
}
