//! Where in the lung: thirds of its height, left and right, near its edge or deep inside.
//!
//! - *Thirds* divide the height (along the patient's axis, from the affine) between the lung's
//!   lowest and highest voxel in three equal parts. They are parts of space, not lobes.
//! - *Sides* are the two largest connected pieces of the lung mask when they lie apart, else the
//!   halves of its width.
//! - *Rim* voxels have their centre within [`RIM_MM`] of the centre of the nearest voxel that is
//!   not lung: the edge at mediastinum and fissure-free hilum counts like that at the chest wall.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::AddAssign;

use ild_io::{Components, Geometry, LabelRuns, Neighbours};
use ndarray::{Array3, s};
use rayon::prelude::*;
use serde::Serialize;

use crate::{DistanceTransform, Extent, Mask};

/// Thickness of the subpleural rim, mm.
pub const RIM_MM: f64 = 10.0;
/// A second piece smaller than this share of the first is no second lung.
const SECOND_LUNG_SHARE: f64 = 0.1;

/// Voxels by third (upper, middle, lower), side (left, right) and depth (rim, core).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RegionCounts([[[u64; 2]; 2]; 3]);

impl RegionCounts {
    /// All voxels.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().flatten().sum()
    }

    /// Upper (0), middle or lower (2) third.
    #[must_use]
    pub fn third(&self, third: usize) -> u64 {
        self.0[third].iter().flatten().sum()
    }

    /// Left (0) or right (1) lung.
    #[must_use]
    pub fn side(&self, side: usize) -> u64 {
        self.0.iter().flat_map(|third| third[side]).sum()
    }

    /// Rim (0) or core (1).
    #[must_use]
    pub fn depth(&self, depth: usize) -> u64 {
        self.0.iter().flatten().map(|side| side[depth]).sum()
    }
}

impl AddAssign for RegionCounts {
    fn add_assign(&mut self, other: Self) {
        for (a, b) in self.0.iter_mut().flatten().flatten().zip(other.0.iter().flatten().flatten())
        {
            *a += b;
        }
    }
}

impl Sum for RegionCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// How left and right were told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideRule {
    /// Two pieces that do not touch.
    TwoPieces,
    /// The middle of the lung mask's width, because its pieces touch or there is only one.
    MiddleOfWidth,
}

/// Counts of the lung and of each class inside it.
#[derive(Debug)]
pub(super) struct Regions {
    pub lung: RegionCounts,
    pub classes: BTreeMap<u8, RegionCounts>,
    pub sides_by: SideRule,
}

impl Regions {
    /// Counts `labels` inside `lung`, both `[z, y, x]` on the grid `geometry`.
    pub fn new(labels: &Array3<u8>, lung: &Array3<bool>, geometry: &Geometry) -> Self {
        let inside = lung.mapv(u8::from);
        let mask = Mask { labels: inside.view(), id: 1 };
        let empty = Self {
            lung: RegionCounts::default(),
            classes: BTreeMap::new(),
            sides_by: SideRule::MiddleOfWidth,
        };
        let Some(extent) = mask.extent() else { return empty };
        let runs = LabelRuns::new(inside.view(), &[]);
        let places = Places::new(&runs, geometry);
        let edge = edge_distance(mask, extent, geometry.spacing_zyx_mm());
        let width = extent.size()[2] + 2;
        let per_slice = (extent.start[0]..extent.end[0]).into_par_iter().map(|z| {
            let distance = edge.slice_mm(z + 1 - extent.start[0]);
            // On the heap: a thread that takes over parts of others holds several of them.
            let mut counts = vec![RegionCounts::default(); 257];
            for y in extent.start[1]..extent.end[1] {
                for i in runs.row(z, y) {
                    let run = runs.all()[i];
                    for x in run.x0 as usize..run.x1 as usize {
                        let at = (y + 1 - extent.start[1]) * width + x + 1 - extent.start[2];
                        let (third, side) = places.of([x, y, z], i);
                        let depth = usize::from(distance[at] > RIM_MM);
                        // Entry 256 is the lung; entry 0, healthy lung, is not asked for.
                        counts[256].0[third][side][depth] += 1;
                        counts[usize::from(labels[[z, y, x]])].0[third][side][depth] += 1;
                    }
                }
            }
            counts
        });
        let counts = per_slice.reduce(
            || vec![RegionCounts::default(); 257],
            |mut sum, part| {
                sum.iter_mut().zip(part).for_each(|(a, b)| *a += b);
                sum
            },
        );
        let classes = (1..=255u8)
            .map(|id| (id, counts[usize::from(id)]))
            .filter(|(_, c)| c.total() > 0)
            .collect();
        Self { lung: counts[256], classes, sides_by: places.rule() }
    }
}

/// Distance of every voxel of the lung's box, widened by one voxel on all sides, to the nearest
/// voxel that is not lung.
fn edge_distance(lung: Mask, extent: Extent, spacing_zyx_mm: [f64; 3]) -> DistanceTransform {
    let [depth, height, width] = extent.size().map(|n| n + 2);
    DistanceTransform::new([depth, height, width], spacing_zyx_mm, |z, plane| {
        plane.fill(1);
        if z == 0 || z == depth - 1 {
            return;
        }
        let inner = s![
            extent.start[0] + z - 1,
            extent.start[1]..extent.end[1],
            extent.start[2]..extent.end[2]
        ];
        for (y, row) in lung.labels.slice(inner).outer_iter().enumerate() {
            let out = &mut plane[(y + 1) * width + 1..][..width - 2];
            out.iter_mut().zip(row).for_each(|(o, &v)| *o = u8::from(v != lung.id));
        }
    })
}

/// Third and side of each lung voxel.
struct Places<'a> {
    geometry: &'a Geometry,
    /// Lowest and highest position along the patient's axis, mm.
    height_mm: [f64; 2],
    /// Position of the middle from left to right, mm.
    middle_mm: f64,
    /// Side of each run, when the lungs are two pieces.
    side_of_run: Option<Vec<usize>>,
}

impl<'a> Places<'a> {
    fn new(runs: &LabelRuns, geometry: &'a Geometry) -> Self {
        let (mut height_mm, mut width_mm) =
            ([f64::INFINITY, f64::NEG_INFINITY], [f64::INFINITY, f64::NEG_INFINITY]);
        let components = Components::new(runs, Neighbours::Volume26);
        let mut right_sum = vec![0.0; components.voxels.len()];
        let [depth, rows, _] = runs.shape_zyx();
        for (z, y) in (0..depth).flat_map(|z| (0..rows).map(move |y| (z, y))) {
            for i in runs.row(z, y) {
                let run = runs.all()[i];
                let ends = [run.x0, run.x1 - 1]
                    .map(|x| geometry.affine.world_mm([f64::from(x), y as f64, z as f64]));
                for [right, _, up] in ends {
                    height_mm = [height_mm[0].min(up), height_mm[1].max(up)];
                    width_mm = [width_mm[0].min(right), width_mm[1].max(right)];
                }
                // World x grows to the patient's right; along a run it is linear.
                right_sum[components.of_run[i] as usize] +=
                    run.len() as f64 * (ends[0][0] + ends[1][0]) / 2.0;
            }
        }
        let middle_mm = (width_mm[0] + width_mm[1]) / 2.0;
        let centre: Vec<f64> =
            right_sum.iter().zip(&components.voxels).map(|(sum, n)| sum / *n as f64).collect();
        let side_of_run = two_pieces(&components.voxels, &centre, middle_mm).map(|split| {
            components
                .of_run
                .iter()
                .map(|piece| usize::from(centre[*piece as usize] > split))
                .collect()
        });
        Self { geometry, height_mm, middle_mm, side_of_run }
    }

    fn rule(&self) -> SideRule {
        if self.side_of_run.is_some() { SideRule::TwoPieces } else { SideRule::MiddleOfWidth }
    }

    /// Third (0 upper) and side (0 left) of voxel `xyz`, which belongs to run `run`.
    fn of(&self, xyz: [usize; 3], run: usize) -> (usize, usize) {
        let [right, _, up] = self.geometry.affine.world_mm(xyz.map(|i| i as f64));
        let [low, high] = self.height_mm;
        let from_top = if high > low { (high - up) / (high - low) } else { 0.0 };
        let third = ((from_top * 3.0) as usize).min(2);
        let side = self
            .side_of_run
            .as_ref()
            .map_or(usize::from(right > self.middle_mm), |sides| sides[run]);
        (third, side)
    }
}

/// Where to split left from right when the two largest pieces are two lungs: large both, and on
/// either side of the middle.
fn two_pieces(voxels: &[u64], centre: &[f64], middle: f64) -> Option<f64> {
    let mut order: Vec<usize> = (0..voxels.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(voxels[i]));
    match order[..] {
        [first, second, ..] => {
            let large = voxels[second] as f64 >= SECOND_LUNG_SHARE * voxels[first] as f64;
            let apart = (centre[first] > middle) != (centre[second] > middle);
            (large && apart).then(|| (centre[first] + centre[second]) / 2.0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ild_io::Affine;

    use super::*;

    /// Two lungs of 30 × 30 × 40 mm, 20 mm apart, on a grid whose columns run from the patient's
    /// right to left and whose slices run from foot to head, at 1 × 1 × 2 mm.
    fn lungs() -> (Array3<bool>, Geometry) {
        let mut lung = Array3::from_elem((20, 40, 100), false);
        lung.slice_mut(s![.., 5..35, 5..35]).fill(true);
        lung.slice_mut(s![.., 5..35, 55..85]).fill(true);
        let affine = Affine([
            [-1.0, 0.0, 0.0, 50.0],
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, 2.0, -100.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        (lung, Geometry::new([20, 40, 100], affine))
    }

    #[test]
    fn low_columns_are_the_patients_right_and_high_slices_are_up() {
        let (lung, geometry) = lungs();
        let mut labels = Array3::<u8>::zeros(lung.dim());
        labels.slice_mut(s![18..20, 10..12, 10..12]).fill(3);
        let regions = Regions::new(&labels, &lung, &geometry);
        assert_eq!(regions.sides_by, SideRule::TwoPieces);
        let class = regions.classes[&3];
        assert_eq!((class.total(), class.side(0), class.side(1), class.third(0)), (8, 0, 8, 8));
        assert_eq!(regions.lung.total(), 2 * 20 * 30 * 30);
        // 20 slices, whose positions 0 ..= 38 mm fall 7 (from 25.33 mm up), 6 and 7 into the
        // thirds.
        assert_eq!(
            [0, 1, 2].map(|third| regions.lung.third(third)),
            [7, 6, 7].map(|n| n * 2 * 900)
        );
    }

    #[test]
    fn the_rim_is_counted_to_the_voxel() {
        let (lung, geometry) = lungs();
        let regions = Regions::new(&Array3::zeros(lung.dim()), &lung, &geometry);
        // Farther than 10 mm from any voxel outside: 10 columns and rows fewer on each side; of 20
        // slices of 2 mm (the volume's end is the lung's edge) 5 fewer on each side.
        assert_eq!(regions.lung.depth(1), 2 * 10 * 10 * 10);
    }

    #[test]
    fn two_pieces_of_one_lung_are_no_two_lungs() {
        let (mut lung, geometry) = lungs();
        lung.slice_mut(s![10, .., 5..35]).fill(false); // the right lung in two, of 10 and 9 slices
        lung.slice_mut(s![.., .., 55..85]).fill(false);
        lung.slice_mut(s![0..2, 5..35, 55..85]).fill(true);
        let regions = Regions::new(&Array3::zeros(lung.dim()), &lung, &geometry);
        assert_eq!(regions.sides_by, SideRule::MiddleOfWidth);
        assert_eq!([0, 1].map(|side| regions.lung.side(side)), [2 * 900, 19 * 900]);
    }

    #[test]
    fn lungs_that_touch_are_split_in_the_middle() {
        let (mut lung, geometry) = lungs();
        lung.slice_mut(s![10, 20, 30..60]).fill(true);
        let regions = Regions::new(&Array3::zeros(lung.dim()), &lung, &geometry);
        assert_eq!(regions.sides_by, SideRule::MiddleOfWidth);
        assert_eq!(regions.lung.side(0), 20 * 900 + 10);
        assert_eq!(regions.lung.side(1), 20 * 900 + 10);
    }
}
