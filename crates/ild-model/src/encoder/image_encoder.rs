//! The image encoder: trunk and neck.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::Sam2Config;
use crate::encoder::fpn_neck::FpnNeck;
use crate::encoder::hiera::Hiera;

/// Trunk and neck (SAM 2's `ImageEncoder`).
#[derive(Debug)]
pub struct ImageEncoder {
    /// The trunk.
    pub trunk: Hiera,
    /// The neck.
    pub neck: FpnNeck,
}

impl ImageEncoder {
    /// Reads `trunk` and `neck`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            trunk: Hiera::new(config, vb.pp("trunk"))?,
            neck: FpnNeck::new(config, vb.pp("neck"))?,
        })
    }

    /// The three levels of SAM 2's `ImageEncoder.forward`, finest first.
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`; returns `[b, s/4, s/4, d]`, `[b, s/8, s/8, d]`, `[b, s/16, s/16,
    ///   d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, image: &Tensor) -> Result<[Tensor; 3]> {
        let stages = self.trunk.forward(image)?;
        Ok([
            self.neck.lateral(0).forward(&stages[0])?,
            self.neck.lateral(1).forward(&stages[1])?,
            self.neck.top_down(&stages[2], &stages[3])?,
        ])
    }
}
