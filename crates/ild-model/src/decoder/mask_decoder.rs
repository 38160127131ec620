//! From image embedding and prompt tokens to masks.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::config::{IOU_HEAD_HIDDEN, MASK_TOKENS, Sam2Config};
use crate::decoder::transformer::TwoWayTransformer;
use crate::features::ImageFeatures;
use crate::layers::{LayerNorm, Linear, Mlp, uniform};
use ild_ops::{self as ops, Frozen, PackedWeight};

const UPSCALING_EPS: f64 = 1e-6;

/// What the decoder says before one mask is chosen.
#[derive(Debug, Clone)]
pub struct AllMasks {
    /// Logits of every mask token: `[b, 4, h, w]`.
    pub logits: Tensor,
    /// Predicted intersection over union of each: `[b, 4]`, 0 to 1.
    pub iou: Tensor,
    /// Logit of "the object is in the image": `[b, 1]`. SAM 2 uses it in video only.
    pub object_score: Tensor,
    /// Mask tokens as they leave the transformer: `[b, 4, d]`; object pointers are made of them.
    pub mask_tokens: Tensor,
}

/// A 2×2 transposed convolution with stride 2.
#[derive(Debug, Clone)]
pub struct ConvTranspose {
    weight: Tensor,
    bias: Tensor,
    packed: Arc<PackedWeight>,
}

impl ConvTranspose {
    fn new(input: usize, output: usize, vb: VarBuilder) -> Result<Self> {
        let init = uniform(output * 4); // PyTorch counts the fan-in of a transposed convolution on its second axis
        let weight = vb.get_with_hints((input, output, 2, 2), "weight", init)?;
        Ok(Self { weight, bias: vb.get_with_hints(output, "bias", init)?, packed: Arc::default() })
    }

    /// # Shapes
    /// - `x`: `[b, h, w, input]`; returns `[b, 2h, 2w, output]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv_transpose_2x2(x, &self.weight, &self.bias)
    }

    /// `gelu(norm(forward(x) + residual))`.
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, input]`, `residual` and the result: `[b, 2h, 2w, output]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward_gelu(
        &self,
        x: &Tensor,
        residual: &Tensor,
        norm: Option<&LayerNorm>,
    ) -> Result<Tensor> {
        let frozen = Frozen { weight: &self.weight, bias: &self.bias, packed: self.packed.clone() };
        if let Some(up) = ops::upscale(x, &frozen, residual, norm.map(LayerNorm::parts).as_ref())? {
            return Ok(up);
        }
        let up = (self.forward(x)? + residual)?;
        ops::gelu(&norm.map_or(Ok(up.clone()), |norm| norm.forward(&up))?)
    }
}

/// `output_upscaling`: twice 2× up, adding the finer features of the image on the way.
#[derive(Debug, Clone)]
pub struct OutputUpscaling {
    /// `output_upscaling.0`, to stride 8.
    pub dc1: ConvTranspose,
    /// `output_upscaling.1`; SAM's `LayerNorm2d`, which on a channels-last map is a layer norm.
    pub ln1: LayerNorm,
    /// `output_upscaling.3`, to stride 4.
    pub dc2: ConvTranspose,
}

impl OutputUpscaling {
    fn new(d: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            dc1: ConvTranspose::new(d, d / 4, vb.pp(0))?,
            ln1: LayerNorm::new(d / 4, UPSCALING_EPS, vb.pp(1))?,
            dc2: ConvTranspose::new(d / 4, d / 8, vb.pp(3))?,
        })
    }

    /// # Shapes
    /// - `image`: `[b, h, w, d]`, `high_res`: `[b, 4h, 4w, d/8]` and `[b, 2h, 2w, d/4]`; returns
    ///   `[b, 4h, 4w, d/8]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, image: &Tensor, high_res: &[Tensor; 2]) -> Result<Tensor> {
        let up = self.dc1.forward_gelu(image, &high_res[1], Some(&self.ln1))?;
        self.dc2.forward_gelu(&up, &high_res[0], None)
    }
}

/// Two-way transformer, upscaling and one small network per mask (SAM 2's `MaskDecoder`).
#[derive(Debug, Clone)]
pub struct MaskDecoder {
    /// Tokens and image exchange what they know.
    pub transformer: TwoWayTransformer,
    /// `obj_score_token`, `iou_token`, `mask_tokens`: `[6, d]`, in the order of the transformer's
    /// input.
    tokens: [Tensor; 3],
    /// From stride 16 to stride 4.
    pub output_upscaling: OutputUpscaling,
    /// Finest features for the masks.
    pub conv_s0: Linear,
    /// Second finest features for the masks.
    pub conv_s1: Linear,
    /// One per mask token: from token to the weights of its mask.
    pub output_hypernetworks_mlps: Vec<Mlp>,
    iou_prediction_head: Mlp,
    pred_obj_score_head: Mlp,
}

impl MaskDecoder {
    /// Reads the decoder.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        let d = config.d_model;
        let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
        let transformer = TwoWayTransformer::new(config, vb.pp("transformer"))?;
        let iou_token = vb.pp("iou_token").get_with_hints((1, d), "weight", normal)?;
        let mask_tokens =
            vb.pp("mask_tokens").get_with_hints((MASK_TOKENS, d), "weight", normal)?;
        let obj_score_token = vb.pp("obj_score_token").get_with_hints((1, d), "weight", normal)?;
        let output_upscaling = OutputUpscaling::new(d, vb.pp("output_upscaling"))?;
        let conv_s0 = Linear::conv_1x1(d, d / 8, vb.pp("conv_s0"))?;
        let conv_s1 = Linear::conv_1x1(d, d / 4, vb.pp("conv_s1"))?;
        let hyper = (0..MASK_TOKENS)
            .map(|i| Mlp::new(&[d, d, d, d / 8], vb.pp("output_hypernetworks_mlps").pp(i)));
        Ok(Self {
            transformer,
            tokens: [obj_score_token, iou_token, mask_tokens],
            output_upscaling,
            conv_s0,
            conv_s1,
            output_hypernetworks_mlps: hyper.collect::<Result<_>>()?,
            iou_prediction_head: Mlp::new(
                &[d, IOU_HEAD_HIDDEN, IOU_HEAD_HIDDEN, MASK_TOKENS],
                vb.pp("iou_prediction_head"),
            )?,
            pred_obj_score_head: Mlp::new(&[d, d, d, 1], vb.pp("pred_obj_score_head"))?,
        })
    }

    /// The transformer's input tokens: object score, IoU, four masks, then the prompt.
    ///
    /// # Shapes
    /// - `prompt`: `[b, t, d]`; returns `[b, 6 + t, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn tokens(&self, prompt: &Tensor) -> Result<Tensor> {
        let (b, _, d) = prompt.dims3()?;
        let own = Tensor::cat(&self.tokens.each_ref(), 0)?.unsqueeze(0)?;
        let own = own.broadcast_as((b, 2 + MASK_TOKENS, d))?;
        Tensor::cat(&[&own, prompt], 1)
    }

    /// Masks of every mask token.
    ///
    /// # Shapes
    /// - `features`: of `b` images (see [`ImageFeatures`]), `image_pe`: `[1, h·w, d]`, `prompt`:
    ///   `[b, t, d]`, `dense`: `[d]` (`no_mask_embed`) or `[1, h, w, d]` (a mask prompt), added to the
    ///   tokens of the image, `drawn`: `[b, h·w, d]`, added as well; returns `4h × 4w` logits
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn predict_masks(
        &self,
        features: &ImageFeatures,
        image_pe: &Tensor,
        prompt: &Tensor,
        dense: &Tensor,
        drawn: Option<&Tensor>,
    ) -> Result<AllMasks> {
        let (b, h, w, d) = features.image_embed.dims4()?;
        let image = ops::add_position(&features.image_embed, dense)?.reshape((b, h * w, d))?;
        let image = match drawn {
            Some(drawn) => (image + drawn)?,
            None => image,
        };
        let (tokens, image) = self.transformer.forward(&image, image_pe, &self.tokens(prompt)?)?;
        let up =
            self.output_upscaling.forward(&image.reshape((b, h, w, d))?, &features.high_res)?;
        let token = |i: usize| tokens.narrow(1, i, 1)?.squeeze(1); // [b, d]
        Ok(AllMasks {
            logits: self.masks(&tokens, &up)?,
            iou: candle_nn::ops::sigmoid(&self.iou_prediction_head.forward(&token(1)?)?)?,
            object_score: self.pred_obj_score_head.forward(&token(0)?)?,
            mask_tokens: tokens.narrow(1, 2, MASK_TOKENS)?,
        })
    }

    /// The product of each mask token's weights with the upscaled image.
    ///
    /// # Shapes
    /// - `tokens`: `[b, 6 + t, d]`, `up`: `[b, 4h, 4w, d/8]`; returns `[b, 4, 4h, 4w]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn masks(&self, tokens: &Tensor, up: &Tensor) -> Result<Tensor> {
        let (b, h, w, c) = up.dims4()?;
        let hyper = self.output_hypernetworks_mlps.iter().enumerate();
        let hyper = hyper
            .map(|(i, mlp)| mlp.forward(&tokens.narrow(1, 2 + i, 1)?.squeeze(1)?))
            .collect::<Result<Vec<_>>>()?;
        let hyper = Tensor::stack(&hyper, 1)?; // [b, 4, d/8]
        let pixels = up.reshape((b, h * w, c))?.transpose(1, 2)?; // [b, d/8, 16·h·w]
        hyper.matmul(&pixels)?.reshape((b, MASK_TOKENS, h, w))
    }
}
