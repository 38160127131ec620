//! Islands: connected pieces of a label smaller than some millilitres are dropped.
//!
//! The box of a lesion is looked at on every slice of its journey, and texture that resembles it
//! beside it becomes islands of a few voxels: no lesion that anybody would measure, and each of them
//! an invented one when lesions are counted.

use ndarray::Array3;
use serde::Serialize;

use crate::pieces::Pieces;

/// What was dropped of a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// The label.
    pub label: u8,
    /// Pieces.
    pub pieces: usize,
    /// Together, mL.
    pub volume_ml: f64,
}

/// Erases from `labels` (`[n, y, x]`) the pieces below `smallest_ml`; a voxel has `voxel_ml`.
/// `breaks`: see [`Pieces::of`]. Returns what is gone, label by label.
pub fn drop_islands(
    labels: &mut Array3<u8>,
    breaks: &[bool],
    smallest_ml: f64,
    voxel_ml: f64,
) -> Vec<Dropped> {
    if smallest_ml <= 0.0 {
        return Vec::new();
    }
    let pieces = Pieces::of(labels.view(), breaks);
    let mut dropped: Vec<Dropped> = Vec::new();
    let mut new = Vec::with_capacity(pieces.all.len());
    for piece in &pieces.all {
        let volume_ml = piece.voxels as f64 * voxel_ml;
        if volume_ml >= smallest_ml {
            new.push(piece.label);
            continue;
        }
        new.push(0);
        match dropped.iter_mut().find(|row| row.label == piece.label) {
            Some(row) => (row.pieces, row.volume_ml) = (row.pieces + 1, row.volume_ml + volume_ml),
            None => dropped.push(Dropped { label: piece.label, pieces: 1, volume_ml }),
        }
    }
    dropped.sort_by_key(|row| row.label);
    if !dropped.is_empty() {
        pieces.relabel(labels, &new);
    }
    dropped
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;

    #[test]
    fn islands_are_dropped_by_volume_and_counted_by_label() {
        let mut labels = Array3::<u8>::zeros((3, 20, 20));
        labels.slice_mut(s![.., 2..8, 2..8]).fill(1);
        labels[[0, 15, 15]] = 1;
        labels[[2, 15, 15]] = 1;
        labels.slice_mut(s![1, 12..14, 12..14]).fill(2);
        let before = labels.clone();
        assert_eq!(drop_islands(&mut labels, &[], 0.0, 0.1), []);
        assert_eq!(labels, before, "0 mL: nothing is dropped");

        let dropped = drop_islands(&mut labels, &[], 0.3, 0.1);
        assert_eq!(dropped, [Dropped { label: 1, pieces: 2, volume_ml: 0.2 }]);
        assert_eq!(labels.iter().filter(|&&id| id == 1).count(), 3 * 36);
        assert_eq!(labels.iter().filter(|&&id| id == 2).count(), 4, "0.4 mL are no island");
    }
}
