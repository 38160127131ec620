//! The image becomes features: trunk and neck.

pub mod fpn_neck;
pub mod hiera;
pub(crate) mod image_encoder;
