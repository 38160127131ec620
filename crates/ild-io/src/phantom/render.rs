//! One slice of the phantom: which pixels are diseased, and the HU of all of them.

use ndarray::{Array2, Axis};

use super::extent::Extent;
use super::noise::{mix, rough};
use super::patient::Patient;
use super::scanner::{blur, grain};
use super::solid::coverage;
use super::texture::Texture;
use super::thorax::{Distances, Level};
use super::tissue::AIR_HU;
use super::tubes::{Covered, SliceGrid, Tube};

/// Patches smaller than this are not there at all: nobody outlines them, and a score on them would be noise.
const SMALLEST_MM2: f32 = 620.0;
/// Pixels between points at which the warp is computed; it is smooth, so it is interpolated between.
const WARP_STEP: usize = 8;

/// Everything of a patient that does not depend on the slice.
pub(crate) struct Anatomy {
    pub patient: Patient,
    pub tubes: Vec<Tube>,
    pub extents: Vec<Extent>,
    pub texture: Texture,
}

/// A finished slice.
pub(crate) struct Slice {
    /// HU as stored, `[y, x]`.
    pub hu: Array2<i16>,
    /// Label ids of all disease, outlined or not, `[y, x]`.
    pub disease: Array2<u8>,
}

impl Anatomy {
    /// Renders the slice with this number on this grid.
    pub(crate) fn slice(&self, index: usize, grid: &SliceGrid) -> Slice {
        let level = Level::at(grid.z / self.patient.scale[2]);
        let reference = self.reference(grid);
        let (distances, skin) = self.surfaces(&level, grid, &reference);
        let disease = self.disease(grid, &distances);
        let (share, class) = softened(&disease);
        let covered = Covered::by(&self.tubes, grid);
        let mut hu = Array2::from_shape_fn(grid.shape, |at| {
            let seen = Seen { xy: reference[at], distances: distances[at], skin: skin[at], class: class[at], share: share[at] };
            self.clean_hu(&level, grid, [at.0, at.1], &seen, &covered)
        });
        blur(&mut hu);
        let scanner = &self.patient.scanner;
        let grain = grain(self.patient.seed ^ 0x6BA1, index, grid.shape, scanner.sharpness);
        let stored = Array2::from_shape_fn(grid.shape, |at| {
            let inside = (-skin[at][0] / 100.0).clamp(0.0, 1.0);
            scanner.store(hu[at], grain[at], inside, grid, [at.0, at.1])
        });
        Slice { hu: stored, disease }
    }

    /// Positions of the pixels in the reference frame.
    fn reference(&self, grid: &SliceGrid) -> Array2<[f32; 2]> {
        let knots = grid.shape.map(|size| size / WARP_STEP + 2);
        let knot = Array2::from_shape_fn(knots, |(j, i)| {
            let [x, y] = grid.position(j * WARP_STEP, i * WARP_STEP);
            self.patient.warp([x, y, grid.z])
        });
        Array2::from_shape_fn(grid.shape, |(row, column)| {
            let (j, i) = (row / WARP_STEP, column / WARP_STEP);
            let (ty, tx) = ((row % WARP_STEP) as f32 / WARP_STEP as f32, (column % WARP_STEP) as f32 / WARP_STEP as f32);
            let warp = std::array::from_fn(|axis| {
                let along = |j: usize| mix(knot[[j, i]][axis], knot[[j, i + 1]][axis], tx);
                mix(along(j), along(j + 1), ty)
            });
            let [x, y] = grid.position(row, column);
            let [x, y, _] = self.patient.reference([x, y, grid.z], warp);
            [x, y]
        })
    }

    /// Distances to the surfaces of the chest, and to skin and muscle, at every pixel.
    fn surfaces(&self, level: &Level, grid: &SliceGrid, reference: &Array2<[f32; 2]>) -> (Array2<Distances>, Array2<[f32; 2]>) {
        let skin = reference.mapv(|xy| self.patient.skin(level, xy));
        let distances = Array2::from_shape_fn(grid.shape, |at| {
            if skin[at][0] > 0.0 { Distances::OUTSIDE } else { self.patient.distances(level, reference[at]) }
        });
        (distances, skin)
    }

    /// Label ids of the disease in a slice; where two zones meet, the lower one keeps its place.
    fn disease(&self, grid: &SliceGrid, distances: &Array2<Distances>) -> Array2<u8> {
        let mut labels = Array2::zeros(grid.shape);
        for extent in &self.extents {
            let Some(field) = extent.on(grid) else { continue };
            let mut mask = Array2::from_shape_fn(grid.shape, |at| field[at] > 0.5 && distances[at].lung < 0.0 && labels[at] == 0);
            keep_large(&mut mask, (SMALLEST_MM2 / (grid.pixel * grid.pixel)) as usize);
            labels.zip_mut_with(&mask, |label, &inside| {
                if inside {
                    *label = extent.class;
                }
            });
        }
        labels
    }

    /// HU before blur and noise.
    fn clean_hu(&self, level: &Level, grid: &SliceGrid, at: [usize; 2], seen: &Seen, covered: &Covered) -> f32 {
        let patient = &self.patient;
        let [x, y] = grid.position(at[0], at[1]);
        let body = coverage(seen.skin[0], grid.pixel);
        let outside = if body < 1.0 { patient.outside_hu([x, y], grid.pixel) } else { AIR_HU };
        if body <= 0.0 {
            return outside;
        }
        let lung = coverage(seen.distances.lung, grid.pixel);
        let mut hu = 0.0;
        if lung < 1.0 {
            let soft = patient.soft_hu(level, seen.xy, &seen.distances, seen.skin, grid.pixel);
            let blood = 46.0 + patient.contrast_hu;
            hu = mix(soft, blood, if seen.distances.cavity < 0.0 { covered.great[at] } else { 0.0 });
        }
        if lung > 0.0 {
            hu = mix(hu, self.lung_hu([x, y, grid.z], seen, covered, at), lung);
        }
        if seen.distances.cavity < -2.0 {
            hu = mix(hu, 25.0, covered.wall[at] * if lung > 0.5 { 0.8 } else { 1.0 });
            hu = mix(hu, -985.0, covered.lumen[at]);
        }
        mix(outside, hu, body)
    }

    fn lung_hu(&self, p: [f32; 3], seen: &Seen, covered: &Covered, at: [usize; 2]) -> f32 {
        let patient = &self.patient;
        let uneven = 17.0 * rough(patient.seed ^ 0x1416, p.map(|c| c / 24.0)) + 14.0 * rough(patient.seed ^ 0x1417, p.map(|c| c / 5.0));
        let healthy = patient.lung_hu + patient.gravity_hu * seen.xy[1] / 100.0 + uneven;
        let fissure = self.fissure(seen.xy, p[2] / patient.scale[2]);
        let mut hu = mix(healthy, -600.0, fissure);
        if seen.share > 0.0 {
            hu = mix(hu, self.texture.hu(seen.class, p, healthy), seen.share);
        }
        hu = mix(hu, 35.0 + patient.contrast_hu, covered.vessel[at]);
        // Small bronchi show as dark branches where the lung around them is solid.
        let bronchogram = if seen.class == 4 { covered.bronchiole[at] * seen.share } else { 0.0 };
        mix(hu, -930.0, bronchogram)
    }

    /// Share of a thin curved sheet that runs from high at the back to low at the front.
    fn fissure(&self, xy: [f32; 2], z: f32) -> f32 {
        if !self.patient.fissures {
            return 0.0;
        }
        let [x, y] = xy;
        let height = 118.0 + 1.15 * y + 0.004 * (x.abs() - 60.0) * (x.abs() - 60.0);
        coverage((z - height).abs() * 0.66 - 0.45, 1.2)
    }
}

/// What is known of a pixel before its HU.
struct Seen {
    xy: [f32; 2],
    distances: Distances,
    skin: [f32; 2],
    class: u8,
    /// Share of disease after softening of the outline.
    share: f32,
}

/// The outline of disease as the scanner blurs it: its share of each pixel, and the class that shares it.
fn softened(labels: &Array2<u8>) -> (Array2<f32>, Array2<u8>) {
    let mut share = labels.mapv(|label| f32::from(u8::from(label != 0)));
    let mut class = labels.clone();
    if labels.iter().all(|&label| label == 0) {
        return (share, class);
    }
    blur(&mut share);
    for axis in 0..2 {
        for mut lane in class.lanes_mut(Axis(axis)) {
            let mut before = 0;
            for index in 0..lane.len() {
                let here = lane[index];
                if here == 0 {
                    lane[index] = if before != 0 { before } else { lane.get(index + 1).copied().unwrap_or(0) };
                }
                before = here;
            }
        }
    }
    (share, class)
}

/// Clears 8-connected regions of fewer than `smallest` pixels.
fn keep_large(mask: &mut Array2<bool>, smallest: usize) {
    let (rows, columns) = mask.dim();
    let mut left = mask.clone();
    let mut region = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            if !left[[row, column]] {
                continue;
            }
            region.clear();
            region.push((row, column));
            left[[row, column]] = false;
            let mut next = 0;
            while let Some(&(y, x)) = region.get(next) {
                next += 1;
                for v in y.saturating_sub(1)..(y + 2).min(rows) {
                    for u in x.saturating_sub(1)..(x + 2).min(columns) {
                        if std::mem::take(&mut left[[v, u]]) {
                            region.push((v, u));
                        }
                    }
                }
            }
            if region.len() < smallest {
                for &at in &region {
                    mask[at] = false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_below_the_limit_vanish_and_diagonal_neighbours_belong_together() {
        let mut mask = Array2::from_elem((8, 8), false);
        for at in [[0, 0], [1, 1], [2, 2], [6, 6], [6, 7]] {
            mask[at] = true;
        }
        keep_large(&mut mask, 3);
        assert_eq!(mask.iter().filter(|&&inside| inside).count(), 3);
        assert!(mask[[2, 2]] && !mask[[6, 6]]);
    }
}
