//! The neck: every stage to one width.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::{STAGES, Sam2Config};
use crate::layers::Linear;
use ild_ops as ops;

/// Lateral 1×1 convolutions, and one step from the coarsest level down to the next (SAM 2's
/// `FpnNeck` with `fpn_top_down_levels = [2, 3]` and `scalp = 1`).
///
/// The sine position encodings that SAM 2 makes here are used for video only and are not made.
#[derive(Debug, Clone)]
pub struct FpnNeck {
    /// `convs.0` belongs to the coarsest level.
    convs: Vec<Linear>,
}

impl FpnNeck {
    /// Reads `convs`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        let coarsest_first = config.channels().into_iter().rev().enumerate();
        let convs = coarsest_first.map(|(i, channels)| {
            Linear::conv_1x1(channels, config.d_model, vb.pp("convs").pp(i).pp("conv"))
        });
        Ok(Self { convs: convs.collect::<Result<_>>()? })
    }

    /// The lateral convolution of a level; level 0 is the finest.
    #[must_use]
    pub fn lateral(&self, level: usize) -> &Linear {
        &self.convs[STAGES - 1 - level]
    }

    /// The map at stride 16: its own lateral plus the coarsest level's, repeated 2×2.
    ///
    /// # Shapes
    /// - `fine`: `[b, h, w, 4c]`, `coarse`: `[b, h/2, w/2, 8c]`; returns `[b, h, w, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn top_down(&self, fine: &Tensor, coarse: &Tensor) -> Result<Tensor> {
        let coarse = ops::upsample_nearest_2x(&self.lateral(3).forward(coarse)?)?;
        self.lateral(2).forward_residual(fine, &coarse)
    }
}
