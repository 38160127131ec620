//! Where the frames of a Segmentation lie: the grid of the slices that they span.

use std::path::Path;

use crate::files::dicom_series::{Axes, grid};
use crate::{Error, Geometry, Result};

/// Frames closer than this are of one slice, mm.
const SAME_PLACE_MM: f64 = 0.01;
/// A frame may lie this share of a step from its place on an even grid: positions are rounded, tables
/// stop a little early or late.
const OFF_GRID: f64 = 0.2;
/// Of a grid.
const LARGEST_SLICE: f64 = 65535.0;
/// A frame may lie this far beside the others, mm.
const BESIDE_MM: f64 = 0.1;

/// What frames say of where they are.
pub(super) struct Places {
    /// ImagePositionPatient of each.
    pub positions: Vec<[f64; 3]>,
    pub orientation: [f64; 6],
    pub pixel_spacing_mm: [f64; 2],
    /// SpacingBetweenSlices, else SliceThickness.
    pub between_mm: Option<f64>,
    pub rows: usize,
    pub columns: usize,
}

/// The grid, and the slice of it that each frame is.
pub(super) struct Planes {
    pub geometry: Geometry,
    pub slice_of: Vec<usize>,
}

impl Places {
    /// Slices from the first frame to the last, also those between that have none.
    pub fn planes(&self, path: &Path) -> Result<Planes> {
        let axes = Axes::of(path, self.orientation)?;
        let depths: Vec<f64> = self.positions.iter().map(|&p| axes.along(p)).collect();
        let lowest = (0..depths.len()).min_by(|&a, &b| depths[a].total_cmp(&depths[b]));
        let Some(lowest) = lowest else {
            return Err(Error::refused(path, "frames", "none", "write the segmentation again"));
        };
        let first = depths[lowest];
        let above: Vec<f64> = depths.iter().map(|depth| depth - first).collect();
        let step = self.step_mm(path, &above)?;
        let highest = above.iter().copied().fold(0.0, f64::max) / step;
        if highest > LARGEST_SLICE {
            let found = format!("frames {highest:.0} steps of {step:.3} mm apart");
            let next = "the positions or distances in the header are damaged";
            return Err(Error::refused(path, "at most 65536 slices", found, next));
        }
        let slice_of: Vec<usize> = above.iter().map(|mm| (mm / step).round() as usize).collect();
        for position in &self.positions {
            let beside = axes.beside(self.positions[lowest], *position);
            if beside > BESIDE_MM {
                return Err(Error::refused(
                    path,
                    "frames above each other",
                    format!("one displaced sideways by {beside:.2} mm"),
                    "a tilted gantry? use the mask as NIfTI beside the Segmentation (`<case>.nii.gz` of \
                     `ild-infer --upright`), and --upright for its CT",
                ));
            }
        }
        let slices = slice_of.iter().max().map_or(1, |last| last + 1);
        let shape = [slices, self.rows, self.columns];
        let origin = self.positions[lowest];
        let mut geometry = grid(&axes, origin, self.pixel_spacing_mm, step, shape);
        geometry.stored.part = true;
        Ok(Planes { geometry, slice_of })
    }

    /// The distance of slices of which all `above` are multiples.
    fn step_mm(&self, path: &Path, above: &[f64]) -> Result<f64> {
        let mut places = above.to_vec();
        places.sort_by(f64::total_cmp);
        let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
        let smallest = gaps.filter(|mm| *mm > SAME_PLACE_MM).reduce(f64::min);
        let even = |step: &f64| {
            let off = |mm: &f64| (mm / step - (mm / step).round()).abs() <= OFF_GRID;
            smallest.is_none_or(|mm| mm > 0.5 * step) && above.iter().all(off)
        };
        let said = self.between_mm.filter(|mm| *mm > SAME_PLACE_MM);
        let candidates = said.into_iter().chain(smallest);
        if let Some(step) = candidates.into_iter().find(even) {
            return Ok(step);
        }
        match smallest {
            None => Ok(said.unwrap_or(1.0)),
            Some(mm) => Err(Error::refused(
                path,
                "frames at multiples of one distance",
                format!("steps that are no multiples of {mm:.3} mm"),
                "resample the series and its segmentation to even steps first",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(heights: &[f64], between_mm: Option<f64>) -> Places {
        Places {
            positions: heights.iter().map(|z| [-10.0, -20.0, *z]).collect(),
            orientation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            pixel_spacing_mm: [0.5, 0.5],
            between_mm,
            rows: 4,
            columns: 6,
        }
    }

    #[test]
    fn frames_lie_on_the_slices_between_the_first_and_the_last() {
        let of = |heights: &[f64], between| {
            let planes = places(heights, between).planes(Path::new("a.dcm")).unwrap();
            (planes.slice_of, planes.geometry.shape_zyx[0], planes.geometry.spacing_xyz_mm[2])
        };
        assert_eq!(of(&[5.0, 0.0, 15.0, 5.0], None), (vec![1, 0, 3, 1], 4, 5.0));
        assert_eq!(of(&[0.0, 10.0], Some(2.5)), (vec![0, 4], 5, 2.5));
        assert_eq!(of(&[7.0], Some(2.5)), (vec![0], 1, 2.5));
        // What the file says of steps does not fit its positions.
        assert_eq!(of(&[0.0, 3.0, 6.0], Some(5.0)), (vec![0, 1, 2], 3, 3.0));
        let rounded = of(&[0.0, 0.6, 1.2, 1.9], Some(0.625));
        assert_eq!((rounded.0, rounded.1), (vec![0, 1, 2, 3], 4));
    }

    #[test]
    fn frames_on_no_grid_are_refused() {
        let refused = places(&[0.0, 1.0, 2.5], None).planes(Path::new("a.dcm"));
        assert!(refused.is_err_and(|error| error.to_string().contains("no multiples of 1.000 mm")));
        let far = places(&[0.0, 1e9], Some(1.0)).planes(Path::new("a.dcm"));
        assert!(far.is_err_and(|error| error.to_string().contains("at most 65536 slices")));
        let mut leaning = places(&[0.0, 1.0], None);
        leaning.positions[1][1] += 0.5;
        let refused = leaning.planes(Path::new("a.dcm"));
        assert!(refused.is_err_and(|error| error.to_string().contains("sideways by 0.50 mm")));
    }
}
