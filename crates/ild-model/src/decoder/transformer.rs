//! Tokens look at the image and the image looks back.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::{DECODER_HEADS, Sam2Config};
use crate::layers::{LayerNorm, Linear, Mlp};
use ild_ops as ops;

const DEPTH: usize = 2;
const EPS: f64 = 1e-5;

/// Attention whose inner width may be half the embedding's (SAM 2's `Attention`).
#[derive(Debug, Clone)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
}

impl Attention {
    /// Reads `q_proj`, `k_proj`, `v_proj` and `out_proj`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(d: usize, inner: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            q_proj: Linear::new(d, inner, vb.pp("q_proj"))?,
            k_proj: Linear::new(d, inner, vb.pp("k_proj"))?,
            v_proj: Linear::new(d, inner, vb.pp("v_proj"))?,
            out_proj: Linear::new(inner, d, vb.pp("out_proj"))?,
        })
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let heads = |x: Tensor| -> Result<Tensor> {
            let (b, n, inner) = x.dims3()?;
            x.reshape((b, n, DECODER_HEADS, inner / DECODER_HEADS))
        };
        let (q, k, v) = (
            heads(self.q_proj.forward(q)?)?,
            heads(self.k_proj.forward(k)?)?,
            heads(self.v_proj.forward(v)?)?,
        );
        let scale = 1.0 / (q.dim(3)? as f64).sqrt();
        ops::attention(&q, &k, &v, scale)
    }

    /// # Shapes
    /// - `q`: `[b, nq, d]`, `k` and `v`: `[b, nk, d]`; returns `[b, nq, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        self.out_proj.forward(&self.attend(q, k, v)?)
    }

    /// `residual + forward(q, k, v)`.
    ///
    /// # Shapes
    /// - as [`Attention::forward`], `residual`: `[b, nq, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward_residual(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        residual: &Tensor,
    ) -> Result<Tensor> {
        self.out_proj.forward_residual(&self.attend(q, k, v)?, residual)
    }
}

/// One layer of the two-way transformer (SAM 2's `TwoWayAttentionBlock`).
#[derive(Debug, Clone)]
pub struct TwoWayAttentionBlock {
    /// Tokens among themselves.
    pub self_attn: Attention,
    /// Normalisation after it.
    pub norm1: LayerNorm,
    /// Tokens look at the image.
    pub cross_attn_token_to_image: Attention,
    /// Normalisation after it.
    pub norm2: LayerNorm,
    /// Each token for itself.
    pub mlp: Mlp,
    /// Normalisation after it.
    pub norm3: LayerNorm,
    /// Normalisation after the image has looked back.
    pub norm4: LayerNorm,
    /// The image looks back at the tokens.
    pub cross_attn_image_to_token: Attention,
    skip_first_layer_pe: bool,
}

impl TwoWayAttentionBlock {
    /// Reads a layer. The first one (`skip_first_layer_pe`) replaces the tokens by their
    /// self-attention, without position and without residual.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, skip_first_layer_pe: bool, vb: VarBuilder) -> Result<Self> {
        let d = config.d_model;
        let norm = |i: usize| LayerNorm::new(d, EPS, vb.pp(format!("norm{i}")));
        Ok(Self {
            self_attn: Attention::new(d, d, vb.pp("self_attn"))?,
            norm1: norm(1)?,
            cross_attn_token_to_image: Attention::new(
                d,
                d / 2,
                vb.pp("cross_attn_token_to_image"),
            )?,
            norm2: norm(2)?,
            mlp: Mlp::new(&[d, config.mlp_dim, d], vb.pp("mlp"))?,
            norm3: norm(3)?,
            norm4: norm(4)?,
            cross_attn_image_to_token: Attention::new(
                d,
                d / 2,
                vb.pp("cross_attn_image_to_token"),
            )?,
            skip_first_layer_pe,
        })
    }

    /// Self-attention of the tokens, with the residual but before `norm1`.
    ///
    /// # Shapes
    /// - `queries` and `query_pe`: `[b, t, d]`; returns `[b, t, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn attend_self(&self, queries: &Tensor, query_pe: &Tensor) -> Result<Tensor> {
        if self.skip_first_layer_pe {
            return self.self_attn.forward(queries, queries, queries);
        }
        let q = (queries + query_pe)?;
        self.self_attn.forward_residual(&q, &q, queries, queries)
    }

    /// The tokens and the image after this layer.
    ///
    /// # Shapes
    /// - `queries` and `query_pe`: `[b, t, d]`, `keys`: `[b, n, d]`, `key_pe`: `[1, n, d]`; returns
    ///   `[b, t, d]` and `[b, n, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        query_pe: &Tensor,
        key_pe: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let queries = self.norm1.forward(&self.attend_self(queries, query_pe)?)?;

        let q = (&queries + query_pe)?;
        let k = ops::add_position(keys, key_pe)?;
        let queries = self
            .norm2
            .forward(&self.cross_attn_token_to_image.forward_residual(&q, &k, keys, &queries)?)?;

        let queries = self.norm3.forward(&(&queries + self.mlp.forward(&queries)?)?)?;

        let q = (&queries + query_pe)?;
        let keys = self
            .norm4
            .forward(&self.cross_attn_image_to_token.forward_residual(&k, &q, &queries, keys)?)?;
        Ok((queries, keys))
    }
}

/// Two layers and a last look of the tokens at the image (SAM 2's `TwoWayTransformer`).
#[derive(Debug, Clone)]
pub struct TwoWayTransformer {
    /// The layers.
    pub layers: Vec<TwoWayAttentionBlock>,
    /// The last look of the tokens at the image.
    pub final_attn_token_to_image: Attention,
    norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    /// Reads `layers`, `final_attn_token_to_image` and `norm_final_attn`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        let d = config.d_model;
        let layers =
            (0..DEPTH).map(|i| TwoWayAttentionBlock::new(config, i == 0, vb.pp("layers").pp(i)));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            final_attn_token_to_image: Attention::new(
                d,
                d / 2,
                vb.pp("final_attn_token_to_image"),
            )?,
            norm_final_attn: LayerNorm::new(d, EPS, vb.pp("norm_final_attn"))?,
        })
    }

    /// # Shapes
    /// - `image`: `[b, n, d]`, `image_pe`: `[1, n, d]`, `tokens`: `[b, t, d]`; returns tokens `[b,
    ///   t, d]` and image `[b, n, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(
        &self,
        image: &Tensor,
        image_pe: &Tensor,
        tokens: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (mut queries, mut keys) = (tokens.clone(), image.clone());
        for layer in &self.layers {
            (queries, keys) = layer.forward(&queries, &keys, tokens, image_pe)?;
        }
        Ok((self.last_look(&queries, &keys, tokens, image_pe)?, keys))
    }

    /// The final attention from the tokens to the image, normed.
    fn last_look(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        query_pe: &Tensor,
        key_pe: &Tensor,
    ) -> Result<Tensor> {
        let q = (queries + query_pe)?;
        let k = ops::add_position(keys, key_pe)?;
        self.norm_final_attn
            .forward(&self.final_attn_token_to_image.forward_residual(&q, &k, keys, queries)?)
    }
}
