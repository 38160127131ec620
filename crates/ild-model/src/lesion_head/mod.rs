//! The part that needs no prompt: where lesion is, of which class, and whether there is any.
//!
//! ```text
//! image ─ trunk ─┬─ four stages ─ × gate ─ pyramid ─┐
//!    └─ stem (texture at full resolution) ──────────┴─ body ─┬─ lesion   is this pixel diseased?
//!                                                            ├─ class    if so, of which class?
//!                                                            └─ present  is there any, of which?
//! ```
//!
//! The three answers are kept apart on purpose. Slices that nobody labelled can be left out of one
//! without weakening the others, and "nothing here" is a number of its own. The probability of class
//! `c` at a pixel is `gate · lesion · class_c`, that of background `1 − gate · lesion`.

mod blocks;
mod maps;
mod neighbours;
mod pyramid;
mod stem;

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

pub use maps::{LesionMaps, LesionProbabilities};

use crate::config::{PATCH_STRIDE, Sam2Config};
use crate::layers::{LayerNorm, Linear, Mlp};
use crate::lesion_head::blocks::ConvBlock;
use crate::lesion_head::pyramid::Pyramid;
use crate::lesion_head::stem::Stem;

/// What the names of its tensors begin with in a checkpoint.
pub const PREFIX: &str = "lesion_head.";
/// Metadata key of a checkpoint: label ids in the order of the class channels, as a JSON list.
pub const CLASSES_KEY: &str = "lesion_classes";

const EPS: f64 = 1e-6;
const BLOCKS: usize = 2;
/// Inputs of the presence network that are not means of features: the largest lesion logit and the
/// logarithm of the lesion's area.
const SUMMARIES: usize = 2;

/// A dense head on the four stages of the trunk and on the image itself.
#[derive(Debug, Clone)]
pub struct LesionHead {
    classes: Vec<u8>,
    stem: Stem,
    pyramid: Pyramid,
    blocks: Vec<ConvBlock>,
    norm: LayerNorm,
    lesion: Linear,
    class: Linear,
    present: Mlp,
}

/// What follows from a model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Channels of the head's maps.
    pub channels: usize,
    /// Stage of the trunk at whose resolution the head answers.
    pub level: usize,
}

impl Sizes {
    /// Small inputs are answered at stride 4; from 512 pixels on stride 8 is as fine as the 256²
    /// labels can tell.
    pub fn of(config: &Sam2Config) -> Self {
        const LARGE: usize = 512;
        const MOST: usize = 64;
        Self {
            channels: config.embed_dim.min(MOST),
            level: usize::from(config.image_size >= LARGE),
        }
    }
}

/// Rows and columns of the head's maps.
#[must_use]
pub fn map_side(config: &Sam2Config) -> usize {
    (config.image_size / PATCH_STRIDE) >> Sizes::of(config).level
}

impl LesionHead {
    /// Reads `stem`, `pyramid`, `blocks`, `norm`, `lesion`, `class` and `present`; `classes` are the
    /// label ids of the class channels.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, classes: &[u8], vb: VarBuilder) -> Result<Self> {
        let sizes = Sizes::of(config);
        let (c, k) = (sizes.channels, classes.len());
        let blocks = (0..BLOCKS).map(|i| ConvBlock::new(c, vb.pp("blocks").pp(i)));
        Ok(Self {
            classes: classes.to_vec(),
            stem: Stem::new(sizes, vb.pp("stem"))?,
            pyramid: Pyramid::new(config, sizes, vb.pp("pyramid"))?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: LayerNorm::new(c, EPS, vb.pp("norm"))?,
            lesion: Linear::new(c, 1, vb.pp("lesion"))?,
            class: Linear::new(c, k, vb.pp("class"))?,
            present: Mlp::new(&[3 * c + SUMMARIES, c, 1 + k], vb.pp("present"))?,
        })
    }

    /// Label ids in the order of the class channels.
    #[must_use]
    pub fn classes(&self) -> &[u8] {
        &self.classes
    }

    /// The head's three answers.
    ///
    /// `gate` scales the gradient that goes back into the trunk: 0 leaves the trunk to the prompts
    /// alone, bit for bit; values do not depend on it.
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`, `stages`: as [`crate::encoder::hiera::Hiera::forward`] gives them
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, image: &Tensor, stages: &[Tensor], gate: f64) -> Result<LesionMaps> {
        let stages = stages.iter().map(|stage| gated(&stage.to_dtype(DType::F32)?, gate));
        let stages = stages.collect::<Result<Vec<_>>>()?;
        let (context, coarsest) = self.pyramid.forward(&stages)?;
        let mut x = (context + self.stem.forward(&image.to_dtype(DType::F32)?)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let x = self.norm.forward(&x)?; // [b, h, w, c]
        let lesion = self.lesion.forward(&x)?; // [b, h, w, 1]
        let present = self.present.forward(&pooled(&x, &lesion, &coarsest)?)?;
        Ok(LesionMaps {
            lesion: lesion.squeeze(D::Minus1)?,
            class: self.class.forward(&x)?,
            present,
        })
    }
}

/// The same numbers with `gate` times the gradient.
fn gated(x: &Tensor, gate: f64) -> Result<Tensor> {
    if gate == 0.0 {
        return Ok(x.detach());
    }
    if gate == 1.0 || !x.track_op() {
        return Ok(x.clone());
    }
    // The difference is 0, so the numbers stay as they are to the bit.
    let difference = (x - x.detach())?;
    x.detach() + (difference * gate)?
}

/// What the presence network looks at: `[b, 3c + 2]`. Where the lesion lies is taken from the
/// lesion map without teaching it.
fn pooled(x: &Tensor, lesion: &Tensor, coarsest: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let n = h * w;
    let tokens = x.reshape((b, n, c))?;
    let logits = lesion.detach().reshape((b, n))?;
    let p = candle_nn::ops::sigmoid(&logits)?;
    let area = p.sum_keepdim(1)?; // [b, 1]
    let inside = p.unsqueeze(1)?.matmul(&tokens)?.squeeze(1)?; // [b, c]
    let inside = inside.broadcast_div(&(&area + 1.0)?)?;
    let (_, ch, cw, _) = coarsest.dims4()?;
    let whole = coarsest.reshape((b, ch * cw, c))?.mean(1)?;
    let largest = (logits.max_keepdim(1)? * 0.1)?;
    let area = ((area + 1.0)?.log()? * 0.1)?;
    Tensor::cat(&[&inside, &tokens.mean(1)?, &whole, &largest, &area], 1)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_gate_scales_the_gradient_and_nothing_else() {
        let x = Var::new(&[1.25f32, -3.5], &Device::Cpu).unwrap();
        for gate in [0.0, 0.1, 1.0] {
            let y = gated(x.as_tensor(), gate).unwrap();
            assert_eq!(y.to_vec1::<f32>().unwrap(), [1.25, -3.5]);
            let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let found = store.get(&x).map(|g| g.to_vec1::<f32>().unwrap());
            match found {
                None => assert_eq!(gate, 0.0),
                Some(g) => assert!((g[0] - 2.5 * gate as f32).abs() < 1e-6, "{gate}: {g:?}"),
            }
        }
    }
}
