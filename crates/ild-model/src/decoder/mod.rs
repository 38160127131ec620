//! Features and prompts become masks.

pub mod mask_decoder;
pub(crate) mod mask_selection;
pub mod prompt_encoder;
pub mod transformer;
