//! A lesion label for every voxel.

use ndarray::Array3;

use crate::Geometry;

/// Label ids `[z, y, x]`; 0 is background.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMap {
    /// Ids.
    pub labels: Array3<u8>,
    /// Grid.
    pub geometry: Geometry,
}

impl LabelMap {
    /// The ids that occur, without 0, ascending.
    #[must_use]
    pub fn ids(&self) -> Vec<u8> {
        let mut seen = [false; 256];
        for &id in &self.labels {
            seen[usize::from(id)] = true;
        }
        (1..=255).filter(|&id| seen[usize::from(id)]).collect()
    }
}
