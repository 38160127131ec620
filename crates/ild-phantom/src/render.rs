//! One slice of the phantom: which pixels are diseased, and the HU of all of them.

use ndarray::{Array2, Axis};

use crate::extent::Extent;
use crate::paint::{Painter, Seen};
use crate::patient::Patient;
use crate::scanner::{blur, grain};
use crate::surfaces::Surfaces;
use crate::texture::Texture;
use crate::thorax::Level;
use crate::tubes::{SliceGrid, Tube};

/// Patches smaller than this are not there at all: nobody outlines them, and a score on them would
/// be noise.
const SMALLEST_MM2: f32 = 620.0;

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
        let surfaces = Surfaces::of(&self.patient, &level, grid);
        let disease = self.disease(grid, &surfaces);
        let (share, class) = softened(&disease);
        let painter = Painter::new(self, &level, grid);
        let mut hu = Array2::from_shape_fn(grid.shape, |at| {
            let seen =
                Seen { surface: surfaces.at(at.0, at.1), class: class[at], share: share[at] };
            painter.hu([at.0, at.1], &seen)
        });
        blur(&mut hu);
        let scanner = &self.patient.scanner;
        let grain = grain(self.patient.seed ^ 0x6BA1, index, grid.shape, scanner.sharpness);
        let stored = Array2::from_shape_fn(grid.shape, |at| {
            let inside = (-surfaces.at(at.0, at.1).skin / 100.0).clamp(0.0, 1.0);
            scanner.store(hu[at], grain[at], inside, grid, [at.0, at.1])
        });
        Slice { hu: stored, disease }
    }

    /// Label ids of the disease in a slice; where two zones meet, the lower one keeps its place.
    fn disease(&self, grid: &SliceGrid, surfaces: &Surfaces) -> Array2<u8> {
        let mut labels = Array2::zeros(grid.shape);
        for extent in &self.extents {
            let Some(field) = extent.on(grid) else { continue };
            let mut mask = Array2::from_shape_fn(grid.shape, |at| {
                field[at] > 0.5 && labels[at] == 0 && surfaces.at(at.0, at.1).lung < 0.0
            });
            keep_large(&mut mask, (SMALLEST_MM2 / (grid.pixel * grid.pixel)) as usize);
            labels.zip_mut_with(&mask, |label, &inside| {
                if inside {
                    *label = extent.class;
                }
            });
        }
        labels
    }
}

/// The outline of disease as the scanner blurs it: its share of each pixel, and the class that
/// shares it.
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
                    lane[index] = if before != 0 {
                        before
                    } else {
                        lane.get(index + 1).copied().unwrap_or(0)
                    };
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
