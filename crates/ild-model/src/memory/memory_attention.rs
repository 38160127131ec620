//! The frame looks at what is remembered.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{LayerNorm, Linear};
use crate::memory::config::MemoryConfig;
use crate::memory::position::Rotation;
use ild_ops as ops;

const EPS: f64 = 1e-5;
/// Weight of the position code at the input (`pos_enc_at_input`).
const INPUT_CODE: f64 = 0.1;

/// Attention with one head whose queries and keys are turned by their places (SAM 2's
/// `RoPEAttention`).
///
/// `softmax(q·kᵀ)·(v·Wᵥᵀ + bᵥ)·Wₒᵀ + bₒ` equals `(softmax(q·kᵀ)·v)·(Wₒ·Wᵥ)ᵀ + (Wₒ·bᵥ + bₒ)`, because
/// the weights of a query add up to 1. So values are weighted as they are, in `value_width`
/// channels instead of `d`: a quarter of that product's work where they are memories.
#[derive(Debug, Clone)]
pub struct RoPEAttention {
    /// Queries.
    pub q_proj: Linear,
    /// Keys.
    pub k_proj: Linear,
    /// Values.
    pub v_proj: Linear,
    /// What leaves.
    pub out_proj: Linear,
    scale: f64,
}

impl RoPEAttention {
    fn new(d: usize, value_width: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            q_proj: Linear::new(d, d, vb.pp("q_proj"))?,
            k_proj: Linear::new(value_width, d, vb.pp("k_proj"))?,
            v_proj: Linear::new(value_width, d, vb.pp("v_proj"))?,
            out_proj: Linear::new(d, d, vb.pp("out_proj"))?,
            scale: 1.0 / (d as f64).sqrt(),
        })
    }

    /// Queries of the frame's tokens, turned.
    ///
    /// # Shapes
    /// - `x`: `[1, n, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn queries(&self, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        rotation.apply(&self.q_proj.forward(x)?, x.dim(1)?)
    }

    /// Keys, of which the first `turned` have a place.
    ///
    /// # Shapes
    /// - `x`: `[1, l, value_width]`; returns `[1, l, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn keys(&self, x: &Tensor, rotation: &Rotation, turned: usize) -> Result<Tensor> {
        rotation.apply(&self.k_proj.forward(x)?, turned)
    }

    /// `residual + out_proj(attention)`.
    ///
    /// # Shapes
    /// - `q` and `residual`: `[1, n, d]`, `k`: `[1, l, d]`, `v`: `[1, l, value_width]`; returns
    ///   `[1, n, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let one_head = |x: &Tensor| x.unsqueeze(2);
        let looked = ops::attention(&one_head(q)?, &one_head(k)?, &one_head(v)?, self.scale)?;
        self.out_proj.after(&self.v_proj)?.forward_residual(&looked, residual)
    }
}

/// What a frame looks at, as tokens.
#[derive(Debug, Clone)]
pub struct MemoryTokens {
    /// Maps, then pointers: `[1, l, mem_dim]`.
    pub memory: Tensor,
    /// Their position codes: `[1, l, mem_dim]`.
    pub memory_pos: Tensor,
    /// How many of the `l` tokens, at the end, are parts of pointers.
    pub pointer_tokens: usize,
}

/// Self-attention, a look at the memory, an MLP (SAM 2's `MemoryAttentionLayer`).
#[derive(Debug, Clone)]
pub struct MemoryAttentionLayer {
    /// Before the self-attention.
    pub norm1: LayerNorm,
    /// Tokens of the frame among themselves.
    pub self_attn: RoPEAttention,
    /// Before the look at the memory.
    pub norm2: LayerNorm,
    /// Tokens of the frame look at the memory.
    pub cross_attn_image: RoPEAttention,
    /// Before the MLP.
    pub norm3: LayerNorm,
    /// Into the MLP.
    pub linear1: Linear,
    /// Out of it.
    pub linear2: Linear,
}

impl MemoryAttentionLayer {
    fn new(config: &MemoryConfig, d: usize, vb: VarBuilder) -> Result<Self> {
        let norm = |i: usize| LayerNorm::new(d, EPS, vb.pp(format!("norm{i}")));
        let hidden = config.dim_feedforward;
        Ok(Self {
            norm1: norm(1)?,
            self_attn: RoPEAttention::new(d, d, vb.pp("self_attn"))?,
            norm2: norm(2)?,
            cross_attn_image: RoPEAttention::new(d, config.mem_dim, vb.pp("cross_attn_image"))?,
            norm3: norm(3)?,
            linear1: Linear::new(d, hidden, vb.pp("linear1"))?,
            linear2: Linear::new(hidden, d, vb.pp("linear2"))?,
        })
    }

    /// `x` and the tokens' look at one another.
    ///
    /// # Shapes
    /// - `x`: `[1, n, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn attend_self(&self, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let (attn, a) = (&self.self_attn, self.norm1.forward(x)?);
        let k = attn.keys(&a, rotation, a.dim(1)?)?;
        attn.attend(&attn.queries(&a, rotation)?, &k, &a, x)
    }

    /// `x` and the tokens' look at the memory; `keys` is memory and position code, added.
    ///
    /// # Shapes
    /// - `x`: `[1, n, d]`, `keys`: `[1, l, mem_dim]`; returns `[1, n, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn attend_memory(
        &self,
        x: &Tensor,
        tokens: &MemoryTokens,
        keys: &Tensor,
        rotation: &Rotation,
    ) -> Result<Tensor> {
        let attn = &self.cross_attn_image;
        let q = attn.queries(&self.norm2.forward(x)?, rotation)?;
        let k = attn.keys(keys, rotation, keys.dim(1)? - tokens.pointer_tokens)?;
        attn.attend(&q, &k, &tokens.memory, x)
    }

    /// `x` and the MLP's share.
    ///
    /// # Shapes
    /// - `x`: `[1, n, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn feed_forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.linear1.forward(&self.norm3.forward(x)?)?.relu()?;
        self.linear2.forward_residual(&hidden, x)
    }

    fn forward(
        &self,
        x: &Tensor,
        tokens: &MemoryTokens,
        keys: &Tensor,
        rotation: &Rotation,
    ) -> Result<Tensor> {
        let x = self.attend_self(x, rotation)?;
        let x = self.attend_memory(&x, tokens, keys, rotation)?;
        self.feed_forward(&x)
    }
}

/// Layers and a last normalisation (SAM 2's `MemoryAttention`).
#[derive(Debug, Clone)]
pub struct MemoryAttention {
    /// The layers.
    pub layers: Vec<MemoryAttentionLayer>,
    /// The last normalisation.
    pub norm: LayerNorm,
}

impl MemoryAttention {
    /// Reads `layers` and `norm`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &MemoryConfig, d: usize, vb: VarBuilder) -> Result<Self> {
        let layers = (0..config.layers)
            .map(|i| MemoryAttentionLayer::new(config, d, vb.pp("layers").pp(i)))
            .collect::<Result<_>>()?;
        Ok(Self { layers, norm: LayerNorm::new(d, EPS, vb.pp("norm"))? })
    }

    /// What goes into the first layer.
    ///
    /// # Shapes
    /// - `frame` and `frame_pos`: `[1, n, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn input(&self, frame: &Tensor, frame_pos: &Tensor) -> Result<Tensor> {
        frame + (frame_pos * INPUT_CODE)?
    }

    /// The frame's features in the light of what is remembered.
    ///
    /// # Shapes
    /// - `frame` and `frame_pos` (its sine code): `[1, n, d]`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(
        &self,
        frame: &Tensor,
        frame_pos: &Tensor,
        tokens: &MemoryTokens,
        rotation: &Rotation,
    ) -> Result<Tensor> {
        let keys = (&tokens.memory + &tokens.memory_pos)?;
        let mut x = self.input(frame, frame_pos)?;
        for layer in &self.layers {
            x = layer.forward(&x, tokens, &keys, rotation)?;
        }
        self.norm.forward(&x)
    }
}
