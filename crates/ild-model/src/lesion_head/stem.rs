//! Texture at the image's own resolution: the trunk's first step, 4 pixels wide, passes over the
//! lines of a fine net.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::PATCH_STRIDE;
use crate::layers::{Linear, uniform};
use ild_ops as ops;

use super::Sizes;
use super::blocks::merge_2x2;

const KERNEL: usize = 7;
const PADDING: usize = 3;

/// A 7×7 convolution with half the head's stride, GELU, and 2×2 blocks merged.
#[derive(Debug, Clone)]
pub(super) struct Stem {
    weight: Tensor,
    bias: Tensor,
    merge: Linear,
    stride: usize,
}

impl Stem {
    pub fn new(sizes: Sizes, vb: VarBuilder) -> Result<Self> {
        let filters = sizes.channels / 2;
        let conv = vb.pp("conv");
        let init = uniform(3 * KERNEL * KERNEL);
        Ok(Self {
            weight: conv.get_with_hints((filters, 3, KERNEL, KERNEL), "weight", init)?,
            bias: conv.get_with_hints(filters, "bias", init)?,
            merge: Linear::new(4 * filters, sizes.channels, vb.pp("merge"))?,
            stride: (PATCH_STRIDE << sizes.level) / 2,
        })
    }

    /// # Shapes
    /// - `image`: `[b, 3, s, s]`; returns `[b, h, w, c]` at the head's stride
    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let filtered = ops::patch_embed(image, &self.weight, &self.bias, self.stride, PADDING)?;
        self.merge.forward(&merge_2x2(&ops::gelu(&filtered)?)?)
    }
}
