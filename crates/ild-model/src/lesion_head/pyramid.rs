//! The trunk's stages brought together at the head's resolution.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::{STAGES, Sam2Config};
use crate::layers::Linear;
use ild_ops as ops;

use super::Sizes;

/// A lateral layer for each stage, and a sum from the coarsest down. SAM 2's neck has no top-down
/// step below stride 16, so its fine maps know nothing of their surroundings; these do.
#[derive(Debug, Clone)]
pub(super) struct Pyramid {
    /// Of the stages from the head's level on, finest first.
    laterals: Vec<Linear>,
    level: usize,
}

impl Pyramid {
    pub fn new(config: &Sam2Config, sizes: Sizes, vb: VarBuilder) -> Result<Self> {
        let channels = config.channels();
        let lateral = |i: usize| Linear::new(channels[i], sizes.channels, vb.pp("laterals").pp(i));
        let laterals = (sizes.level..STAGES).map(lateral).collect::<Result<_>>()?;
        Ok(Self { laterals, level: sizes.level })
    }

    /// The sum at the head's level, and the coarsest lateral map alone.
    ///
    /// # Shapes
    /// - `stages`: four maps, each half as high and wide as the one before; returns `[b, h, w, c]`
    ///   and `[b, h', w', c]`
    pub fn forward(&self, stages: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let mut maps = self.laterals.iter().zip(&stages[self.level..]).rev();
        let Some((lateral, stage)) = maps.next() else {
            candle_core::bail!("expected {STAGES} stages, found {}", stages.len())
        };
        let coarsest = lateral.forward(stage)?;
        let mut sum = coarsest.clone();
        for (lateral, stage) in maps {
            sum = lateral.forward_residual(stage, &ops::upsample_nearest_2x(&sum)?)?;
        }
        Ok((sum, coarsest))
    }
}
