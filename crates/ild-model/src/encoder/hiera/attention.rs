//! Attention of the trunk.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::BlockConfig;
use crate::layers::{LayerNorm, Linear};
use ild_ops::{self as ops, Precision, WindowBlock};

/// Self-attention in windows, with queries pooled 2×2 where a stage begins (SAM 2's
/// `MultiScaleAttention` together with `window_partition` and `window_unpartition`).
#[derive(Debug, Clone)]
pub struct MultiScaleAttention {
    qkv: Linear,
    proj: Linear,
    config: BlockConfig,
}

impl MultiScaleAttention {
    /// Reads `qkv` and `proj`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: BlockConfig, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            qkv: Linear::new(config.dim, 3 * config.dim_out, vb.pp("qkv"))?,
            proj: Linear::new(config.dim_out, config.dim_out, vb.pp("proj"))?,
            config,
        })
    }

    /// Packed queries, keys and values of the whole map.
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, dim]`; returns `[b, h, w, 3·dim_out]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn project(&self, x: &Tensor) -> Result<Tensor> {
        self.qkv.forward(x)
    }

    /// `residual` + attention of `x`.
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, dim]`; `residual` and the result: `[b, h', w', dim_out]`, `h' = h/2` where
    ///   queries are pooled, else `h`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let BlockConfig { num_heads, window_size, q_pool, .. } = self.config;
        let attended = ops::window_attention(
            &self.project(x)?,
            self.qkv.parts().1,
            num_heads,
            window_size,
            q_pool,
        )?;
        self.proj.forward_residual(&attended, residual)
    }

    /// The same in one operation with the normalisation before it and the shortcut beside it, see
    /// [`ops::window_block`].
    ///
    /// # Shapes
    /// - `x`: `[b, h, w, dim]`; the result as that of [`Self::forward`]
    ///
    /// # Errors
    /// Shapes other than these.
    pub(super) fn in_windows(
        &self,
        x: &Tensor,
        norm: &LayerNorm,
        shortcut: Option<&Linear>,
        precision: Precision,
    ) -> Result<Option<Tensor>> {
        let BlockConfig { num_heads: heads, window_size: window, q_pool: pool_query, .. } =
            self.config;
        let (norm, qkv, proj, shortcut) =
            (norm.parts(), self.qkv.frozen(), self.proj.frozen(), shortcut.map(Linear::frozen));
        let parts = WindowBlock { norm, qkv, proj, shortcut, heads, window, pool_query, precision };
        ops::window_block(x, &parts)
    }
}
