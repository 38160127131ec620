//! How much of two masks is the same: voxels, classes, lesions.

pub(crate) mod confusion;
pub(crate) mod lesion_wise;
pub(crate) mod mask;
pub(crate) mod pair_scan;
pub(crate) mod taken_for;
