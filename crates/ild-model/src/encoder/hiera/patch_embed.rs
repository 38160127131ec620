//! From pixels to tokens.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::PATCH_STRIDE;
use crate::layers::uniform;
use ild_ops as ops;

const KERNEL: usize = 7;
const PADDING: usize = 3;

/// Overlapping patches: a 7×7 convolution with stride 4 (SAM 2's `PatchEmbed`).
#[derive(Debug, Clone)]
pub struct PatchEmbed {
    weight: Tensor,
    bias: Tensor,
}

impl PatchEmbed {
    /// Reads `proj`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(embed_dim: usize, vb: VarBuilder) -> Result<Self> {
        let vb = vb.pp("proj");
        let init = uniform(3 * KERNEL * KERNEL);
        let weight = vb.get_with_hints((embed_dim, 3, KERNEL, KERNEL), "weight", init)?;
        let bias = vb.get_with_hints(embed_dim, "bias", init)?;
        Ok(Self { weight, bias })
    }

    /// # Shapes
    /// - `image`: `[b, 3, s, s]`; returns `[b, s/4, s/4, c]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        ops::patch_embed(image, &self.weight, &self.bias, PATCH_STRIDE, PADDING)
    }
}
