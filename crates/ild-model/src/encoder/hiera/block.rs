//! One block of the trunk.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::attention::MultiScaleAttention;
use crate::config::BlockConfig;
use crate::layers::{LayerNorm, Linear};
use ild_ops::{self as ops, Precision};

const EPS: f64 = 1e-6;
const MLP_RATIO: usize = 4;

/// Attention and MLP, each after a normalisation and with a residual (SAM 2's `MultiScaleBlock`).
#[derive(Debug, Clone)]
pub struct MultiScaleBlock {
    norm1: LayerNorm,
    /// Attention; public so that its parts can be compared with another implementation's.
    pub attn: MultiScaleAttention,
    norm2: LayerNorm,
    mlp: [Linear; 2],
    proj: Option<Linear>,
    q_pool: bool,
}

impl MultiScaleBlock {
    /// Reads `norm1`, `attn`, `norm2`, `mlp` and, where the channels double, `proj`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: BlockConfig, vb: VarBuilder) -> Result<Self> {
        let BlockConfig { dim, dim_out, .. } = config;
        let hidden = MLP_RATIO * dim_out;
        let mlp = vb.pp("mlp").pp("layers");
        Ok(Self {
            norm1: LayerNorm::new(dim, EPS, vb.pp("norm1"))?,
            attn: MultiScaleAttention::new(config, vb.pp("attn"))?,
            norm2: LayerNorm::new(dim_out, EPS, vb.pp("norm2"))?,
            mlp: [
                Linear::new(dim_out, hidden, mlp.pp(0))?,
                Linear::new(hidden, dim_out, mlp.pp(1))?,
            ],
            proj: if dim == dim_out {
                None
            } else {
                Some(Linear::new(dim, dim_out, vb.pp("proj"))?)
            },
            q_pool: config.q_pool,
        })
    }

    /// The normed map that attention sees.
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, dim]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn normed(&self, x: &Tensor) -> Result<Tensor> {
        self.norm1.forward(x)
    }

    /// On the CPU products are computed in `precision` where no gradient is asked for; on a GPU the
    /// type of `x` says what is computed in.
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, dim]`; returns `[b, h', w', dim_out]`, `h' = h/2` where queries are
    ///   pooled, else `h`
    ///
    /// # Errors
    /// Shapes other than these; a precision this processor does not have.
    pub fn forward(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        let x = match self.attn.in_windows(x, &self.norm1, self.proj.as_ref(), precision)? {
            Some(x) => x,
            None => self.attention(x)?,
        };
        let [first, second] = &self.mlp;
        let layers = [&first.frozen(), &second.frozen()];
        match ops::normed_mlp(&x, &self.norm2.parts(), layers, precision)? {
            Some(x) => Ok(x),
            None => ops::mlp_residual(&self.norm2.forward(&x)?, first.parts(), second.parts(), &x),
        }
    }

    /// The block's first half, step by step.
    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.normed(x)?;
        let shortcut = match &self.proj {
            Some(proj) => proj.forward(&normed)?, // the projection of the normed map, not of `x`
            None => x.clone(),
        };
        let shortcut = if self.q_pool { ops::max_pool_2x2(&shortcut)? } else { shortcut };
        self.attn.forward(&normed, &shortcut)
    }
}
