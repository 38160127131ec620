//! 3×3 convolutions of channels-last maps.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{LayerNorm, Linear};
use ild_ops as ops;

use super::EPS;
use super::neighbours::{NEIGHBOURS, neighbourhoods};

/// `x + project(gelu(convolve(norm(x))))`.
#[derive(Debug, Clone)]
pub(super) struct ConvBlock {
    norm: LayerNorm,
    conv: Linear,
    project: Linear,
}

impl ConvBlock {
    pub fn new(channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::new(channels, EPS, vb.pp("norm"))?,
            conv: Linear::new(NEIGHBOURS * channels, channels, vb.pp("conv"))?,
            project: Linear::new(channels, channels, vb.pp("project"))?,
        })
    }

    /// # Shapes
    /// - `x`: `[b, h, w, c]`; returns the same
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let around = neighbourhoods(&self.norm.forward(x)?)?;
        let (weight, bias) = self.conv.parts();
        let hidden = ops::linear_gelu(&around, weight, bias)?;
        self.project.forward_residual(&hidden, x)
    }
}

/// Each 2×2 block of pixels as one pixel with four times the channels.
///
/// # Shapes
/// - `x`: `[b, 2h, 2w, c]`; returns `[b, h, w, 4c]`
pub(super) fn merge_2x2(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let blocks = x.reshape((b, h / 2, 2, w / 2, 2, c))?.permute((0, 1, 3, 2, 4, 5))?;
    blocks.reshape((b, h / 2, w / 2, 4 * c))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn merging_keeps_a_block_together() {
        let x = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap().reshape((1, 2, 4, 1)).unwrap();
        let found = merge_2x2(&x).unwrap().reshape((2, 4)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found, [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]);
    }
}
