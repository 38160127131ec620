//! 3×3 convolutions of channels-last maps.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{LayerNorm, Linear};
use ild_ops as ops;

use super::EPS;

/// Each pixel with its eight neighbours, zeros beyond the edge.
const NEIGHBOURS: usize = 9;

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

/// The 3×3 neighbourhood of each pixel as its channels, row by row.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`; returns `[b, h, w, 9c]`
fn neighbourhoods(x: &Tensor) -> Result<Tensor> {
    let (_, h, w, _) = x.dims4()?;
    let padded = x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)?;
    let shifted = |i: usize| padded.narrow(1, i / 3, h)?.narrow(2, i % 3, w);
    let shifted = (0..NEIGHBOURS).map(shifted).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&shifted, 3)
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
    fn neighbourhoods_are_rows_of_three_with_zeros_beyond_the_edge() {
        let x = Tensor::arange(1f32, 5.0, &Device::Cpu).unwrap().reshape((1, 2, 2, 1)).unwrap();
        let found = neighbourhoods(&x).unwrap().reshape((4, 9)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found[0], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0]);
        assert_eq!(found[3], [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn merging_keeps_a_block_together() {
        let x = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap().reshape((1, 2, 4, 1)).unwrap();
        let found = merge_2x2(&x).unwrap().reshape((2, 4)).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(found, [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]);
    }
}
