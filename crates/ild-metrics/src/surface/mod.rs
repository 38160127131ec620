//! How far apart two surfaces are.

pub(crate) mod border;
pub(crate) mod column_blocks;
pub(crate) mod distance_transform;
pub(crate) mod envelope;
pub(crate) mod points;
pub(crate) mod surfel;
pub(crate) mod surfel_area;
