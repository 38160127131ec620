//! From slices on disk to batches: what is drawn, how it is changed, in which order.

pub(crate) mod augment;
pub(crate) mod batch;
pub(crate) mod clips;
pub(crate) mod dataset;
pub(crate) mod dense;
pub(crate) mod items;
pub(crate) mod loader;
pub(crate) mod prompts;
pub(crate) mod sampler;
pub(crate) mod sanity;
pub(crate) mod sidecar;
