//! Convolutions that shrink a channels-last map.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::uniform;
use ild_ops as ops;

/// A convolution with a square kernel and a stride.
#[derive(Debug, Clone)]
pub struct Convolution {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

/// Kernel side, stride and padding.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
}

impl Convolution {
    /// Reads `weight` `[output, input, kernel, kernel]` and `bias` `[output]`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(input: usize, output: usize, window: Window, vb: VarBuilder) -> Result<Self> {
        let Window { kernel, stride, padding } = window;
        let init = uniform(input * kernel * kernel);
        Ok(Self {
            weight: vb.get_with_hints((output, input, kernel, kernel), "weight", init)?,
            bias: vb.get_with_hints(output, "bias", init)?,
            stride,
            padding,
        })
    }

    /// # Shapes
    /// - `x`: `[b, h, w, input]`; returns `[b, h/stride, w/stride, output]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // Patches are gathered plane by plane.
        let planes = x.permute((0, 3, 1, 2))?.contiguous()?;
        ops::patch_embed(&planes, &self.weight, &self.bias, self.stride, self.padding)
    }
}
