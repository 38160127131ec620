//! A frame and its mask become a map to remember.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::layers::{LayerNorm, Linear, uniform};
use crate::memory::config::MemoryConfig;
use crate::memory::convolution::{Convolution, Window};
use ild_ops as ops;

const EPS: f64 = 1e-6;
/// Halvings from the input's pixels to the tokens of the image embedding.
const STEPS: usize = 4;
/// Each halving multiplies the channels by this.
const WIDER: usize = 4;
/// Side of the fuser's kernels.
const FUSER_KERNEL: usize = 7;
/// How much wider the fuser's blocks are inside.
const FUSER_HIDDEN: usize = 4;
/// What the fuser's blocks add at the beginning of training (`layer_scale_init_value`).
const LAYER_SCALE: f64 = 1e-6;
/// `sigmoid_scale_for_mem_enc` and `sigmoid_bias_for_mem_enc`.
const MASK_SCALE: f64 = 20.0;
const MASK_BIAS: f64 = -10.0;

/// From pixels of the mask to tokens (SAM 2's `MaskDownSampler`).
#[derive(Debug, Clone)]
pub struct MaskDownSampler {
    /// `encoder.0`, `.3`, `.6`, `.9` and the normalisations behind them.
    pub steps: Vec<(Convolution, LayerNorm)>,
    /// `encoder.12`.
    pub last: Linear,
}

impl MaskDownSampler {
    fn new(d: usize, vb: VarBuilder) -> Result<Self> {
        let halving = Window { kernel: 3, stride: 2, padding: 1 };
        let step = |i: u32| {
            let (input, output) = (WIDER.pow(i), WIDER.pow(i + 1));
            let conv = Convolution::new(input, output, halving, vb.pp(3 * i))?;
            Ok((conv, LayerNorm::new(output, EPS, vb.pp(3 * i + 1))?))
        };
        Ok(Self {
            steps: (0..STEPS as u32).map(step).collect::<Result<_>>()?,
            last: Linear::conv_1x1(WIDER.pow(STEPS as u32), d, vb.pp(3 * STEPS))?,
        })
    }

    /// # Shapes
    /// - `mask`: `[b, s, s, 1]`; returns `[b, s/16, s/16, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, mask: &Tensor) -> Result<Tensor> {
        let mut x = mask.clone();
        for (conv, norm) in &self.steps {
            x = ops::gelu(&norm.forward(&conv.forward(&x)?)?)?;
        }
        self.last.forward(&x)
    }
}

/// A block of the fuser (SAM 2's `CXBlock`, from ConvNeXt).
#[derive(Debug, Clone)]
pub struct CXBlock {
    dwconv: (Tensor, Tensor),
    /// Behind the convolution.
    pub norm: LayerNorm,
    pwconv1: Linear,
    pwconv2: Linear,
    gamma: Tensor,
}

impl CXBlock {
    fn new(d: usize, vb: VarBuilder) -> Result<Self> {
        let (hidden, dwconv) = (FUSER_HIDDEN * d, vb.pp("dwconv"));
        let init = uniform(FUSER_KERNEL * FUSER_KERNEL);
        let shape = (d, 1, FUSER_KERNEL, FUSER_KERNEL);
        let dwconv = (
            dwconv.get_with_hints(shape, "weight", init)?,
            dwconv.get_with_hints(d, "bias", init)?,
        );
        Ok(Self {
            dwconv,
            norm: LayerNorm::new(d, EPS, vb.pp("norm"))?,
            pwconv1: Linear::new(d, hidden, vb.pp("pwconv1"))?,
            pwconv2: Linear::new(hidden, d, vb.pp("pwconv2"))?,
            gamma: vb.get_with_hints(d, "gamma", Init::Const(LAYER_SCALE))?,
        })
    }

    /// The convolution of each channel for itself.
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn depthwise(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv_depthwise(x, &self.dwconv.0, &self.dwconv.1)
    }

    /// # Shapes
    /// - `x`: `[b, h, w, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.norm.forward(&self.depthwise(x)?)?;
        // γ is a factor of each output: it goes into the layer that makes it.
        let (weight, bias) = self.pwconv2.parts();
        let weight = weight.broadcast_mul(&self.gamma.unsqueeze(1)?)?;
        let bias = (bias * &self.gamma)?;
        ops::mlp_residual(&y, self.pwconv1.parts(), (&weight, &bias), x)
    }
}

/// Mask and features, fused (SAM 2's `MemoryEncoder`).
#[derive(Debug, Clone)]
pub struct MemoryEncoder {
    /// The mask's way.
    pub mask_downsampler: MaskDownSampler,
    /// The features' way.
    pub pix_feat_proj: Linear,
    /// `fuser.layers`.
    pub fuser: Vec<CXBlock>,
    /// To the channels that are stored.
    pub out_proj: Linear,
}

impl MemoryEncoder {
    /// Reads `mask_downsampler`, `pix_feat_proj`, `fuser` and `out_proj`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &MemoryConfig, d: usize, vb: VarBuilder) -> Result<Self> {
        let blocks = vb.pp("fuser").pp("layers");
        let fuser = (0..config.fuser_layers).map(|i| CXBlock::new(d, blocks.pp(i)));
        Ok(Self {
            mask_downsampler: MaskDownSampler::new(d, vb.pp("mask_downsampler").pp("encoder"))?,
            pix_feat_proj: Linear::conv_1x1(d, d, vb.pp("pix_feat_proj"))?,
            fuser: fuser.collect::<Result<_>>()?,
            out_proj: Linear::conv_1x1(d, config.mem_dim, vb.pp("out_proj"))?,
        })
    }

    /// The mask that is encoded, from logits at the size of the input: of a prompted frame what is
    /// inside (`binarize_mask_from_pts_for_mem_enc`), of any other the probability; then scaled to
    /// −10 to 10.
    ///
    /// # Shapes
    /// - `logits`: `[b, 1, s, s]`; returns `[b, s, s, 1]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn mask_to_encode(&self, logits: &Tensor, prompted: bool) -> Result<Tensor> {
        let (b, _, height, width) = logits.dims4()?;
        let mask = if prompted {
            logits.gt(0f64)?.to_dtype(DType::F32)?
        } else {
            candle_nn::ops::sigmoid(logits)?
        };
        mask.affine(MASK_SCALE, MASK_BIAS)?.reshape((b, height, width, 1))
    }

    /// # Shapes
    /// - `features`: `[b, h, w, d]`, without `no_mem_embed`, `mask`: `[b, 16h, 16w, 1]`; returns
    ///   `[b, h, w, mem_dim]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, features: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let mask = self.mask_downsampler.forward(mask)?;
        let mut x = self.pix_feat_proj.forward_residual(features, &mask)?;
        for block in &self.fuser {
            x = block.forward(&x)?;
        }
        self.out_proj.forward(&x)
    }
}
