//! What happens to an image before the model and to its logits behind it.

pub(crate) mod bicubic;
pub(crate) mod coordinates;
pub(crate) mod resize;
pub(crate) mod transform;
