//! Cleaning a label map before anything is cut out of it.

pub(crate) mod dust;
pub(crate) mod healthy;
pub(crate) mod instances;
