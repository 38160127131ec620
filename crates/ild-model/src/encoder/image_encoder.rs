//! The image encoder: trunk and neck.

use candle_core::Result;
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
}
