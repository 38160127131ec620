//! A mask as a prompt.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use ndarray::{Array2, ArrayView2};

use crate::image::resize::resize_antialiased;
use crate::layers::{LayerNorm, Linear};
use crate::memory::convolution::{Convolution, Window};
use ild_ops as ops;

const EPS: f64 = 1e-6;
/// Channels before the last step (`mask_in_chans`).
const CHANNELS: usize = 16;
/// Share of a pixel of the input that has to be inside.
const INSIDE: f32 = 0.5;
/// Logits of a mask that was given: −10 outside, 10 inside.
const SCALE: f32 = 20.0;
const BIAS: f32 = -10.0;

/// Logits as an embedding of every token (`sam_prompt_encoder.mask_downscaling`), and masks as such
/// logits (`mask_downsample`).
#[derive(Debug, Clone)]
pub struct MaskPrompt {
    first: (Convolution, LayerNorm),
    second: (Convolution, LayerNorm),
    last: Linear,
    mask_downsample: Convolution,
}

impl MaskPrompt {
    /// Reads `sam_prompt_encoder.mask_downscaling` and `mask_downsample`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(d: usize, vb: &VarBuilder) -> Result<Self> {
        let down = vb.pp("sam_prompt_encoder").pp("mask_downscaling");
        let step = |input: usize, output: usize, i: usize| -> Result<_> {
            let halving = Window { kernel: 2, stride: 2, padding: 0 };
            let conv = Convolution::new(input, output, halving, down.pp(i))?;
            Ok((conv, LayerNorm::new(output, EPS, down.pp(i + 1))?))
        };
        let quartering = Window { kernel: 4, stride: 4, padding: 0 };
        Ok(Self {
            first: step(1, CHANNELS / 4, 0)?,
            second: step(CHANNELS / 4, CHANNELS, 3)?,
            last: Linear::conv_1x1(CHANNELS, d, down.pp(6))?,
            mask_downsample: Convolution::new(1, 1, quartering, vb.pp("mask_downsample"))?,
        })
    }

    /// Logits at stride 4 as what is added to every token (SAM 2's `_embed_masks`).
    ///
    /// # Shapes
    /// - `logits`: `[b, 1, s/4, s/4]`; returns `[b, s/16, s/16, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn embed(&self, logits: &Tensor) -> Result<Tensor> {
        let (b, _, height, width) = logits.dims4()?;
        let mut x = logits.reshape((b, height, width, 1))?;
        for (conv, norm) in [&self.first, &self.second] {
            x = ops::gelu(&norm.forward(&conv.forward(&x)?)?)?;
        }
        self.last.forward(&x)
    }

    /// A mask as the logits from which the decoder makes its pointer.
    ///
    /// # Shapes
    /// - `mask`: `[b, 1, s, s]` of 0 and 1; returns `[b, 1, s/4, s/4]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn downsample(&self, mask: &Tensor) -> Result<Tensor> {
        let (b, _, height, width) = mask.dims4()?;
        let small = self.mask_downsample.forward(&mask.reshape((b, height, width, 1))?)?;
        small.permute((0, 3, 1, 2))?.contiguous()
    }
}

/// A mask of a slice at the size of the input.
#[must_use]
pub fn mask_to_input(mask: ArrayView2<bool>, image_size: usize) -> Array2<f32> {
    let mask = mask.mapv(|inside| f32::from(u8::from(inside)));
    let resized = resize_antialiased(mask.view(), image_size, image_size);
    resized.mapv(|share| f32::from(u8::from(share >= INSIDE)))
}

/// The logits at stride 4 that a mask stands for.
///
/// # Shapes
/// - `mask`: `[s, s]` of 0 and 1; returns `[1, 1, s/4, s/4]`
///
/// # Errors
/// When the device is out of memory.
pub fn mask_to_logits(mask: &Array2<f32>, device: &Device) -> Result<Tensor> {
    let (height, width) = (mask.nrows() / 4, mask.ncols() / 4);
    let logits = mask.mapv(|inside| SCALE * inside + BIAS);
    let small = resize_antialiased(logits.view(), height, width);
    Tensor::from_iter(small, device)?.reshape((1, 1, height, width))
}
