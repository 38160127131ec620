//! Removing specks: components too small to be told from noise, or to be found by a box.

use crate::{Components, LabelRuns, Neighbours};

/// Components below these sizes are removed; a component of exactly this size stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DustLimits {
    /// In the volume, 26-connected, voxels.
    pub min_voxels_3d: u64,
    /// In each slice, 8-connected, pixels; counted on what the first limit left.
    pub min_pixels_2d: u64,
}

impl Default for DustLimits {
    /// The reference's limits.
    fn default() -> Self {
        Self { min_voxels_3d: 1000, min_pixels_2d: 100 }
    }
}

/// `runs` without the components that are smaller than `limits`, first in the volume, then in each
/// slice.
#[must_use]
pub fn remove_dust(runs: &LabelRuns, limits: DustLimits) -> LabelRuns {
    let kept = keep_large(runs, Neighbours::Volume26, limits.min_voxels_3d);
    keep_large(&kept, Neighbours::Slice8, limits.min_pixels_2d)
}

/// `runs` without the components of fewer than `min_voxels` voxels.
#[must_use]
pub fn keep_large(runs: &LabelRuns, neighbours: Neighbours, min_voxels: u64) -> LabelRuns {
    if min_voxels <= 1 {
        return runs.clone();
    }
    let components = Components::new(runs, neighbours);
    runs.filtered(|i| components.voxels[components.of_run[i] as usize] >= min_voxels)
}
