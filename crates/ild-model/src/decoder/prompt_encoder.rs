//! Boxes and points as tokens.

use std::f32::consts::TAU;

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use crate::config::Sam2Config;

/// What a point means.
pub mod label {
    /// A point outside the object.
    pub const OUTSIDE: i64 = 0;
    /// A point inside the object.
    pub const INSIDE: i64 = 1;
    /// The top left corner of a box.
    pub const TOP_LEFT: i64 = 2;
    /// The bottom right corner of a box.
    pub const BOTTOM_RIGHT: i64 = 3;
    /// No point at all.
    pub const PADDING: i64 = -1;
}

/// Positions and kinds of points as embeddings (SAM 2's `PromptEncoder`; mask prompts are not part
/// of the image path).
///
/// It is frozen: no gradient passes through it.
#[derive(Debug, Clone)]
pub struct PromptEncoder {
    gaussian_matrix: Tensor,
    /// Rows: `not_a_point_embed`, then `point_embeddings.0` to `.3`; row `label + 1` is that of a
    /// label.
    kinds: Tensor,
    no_mask_embed: Tensor,
    image_size: usize,
    dense_pe: Tensor,
}

impl PromptEncoder {
    /// Reads `pe_layer`, `point_embeddings`, `not_a_point_embed` and `no_mask_embed`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        let d = config.d_model;
        let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
        let gaussian_matrix = vb.pp("pe_layer").get_with_hints(
            (2, d / 2),
            "positional_encoding_gaussian_matrix",
            normal,
        )?;
        let embedding = |vb: VarBuilder| vb.get_with_hints((1, d), "weight", normal);
        let points = (0..4)
            .map(|i| embedding(vb.pp("point_embeddings").pp(i)))
            .collect::<Result<Vec<_>>>()?;
        let not_a_point = embedding(vb.pp("not_a_point_embed"))?;
        let kinds =
            Tensor::cat(&[&not_a_point, &points[0], &points[1], &points[2], &points[3]], 0)?;
        let no_mask_embed = embedding(vb.pp("no_mask_embed"))?.squeeze(0)?;
        let dense_pe =
            position_encoding(&grid(config.embedding_size(), vb.device())?, &gaussian_matrix)?;
        Ok(Self { gaussian_matrix, kinds, no_mask_embed, image_size: config.image_size, dense_pe })
    }

    /// Points as tokens; one padding token is added, as SAM 2 does when no box is given apart.
    ///
    /// # Shapes
    /// - `points`: `[b, n, 2]` x, y in pixels of the `s`×`s` input, `labels`: `[b, n]` (see
    ///   [`label`]); returns `[b, n + 1, d]`
    ///
    /// # Errors
    /// Shapes other than these, or a label that is none.
    pub fn embed_points(&self, points: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (b, n, _) = points.dims3()?;
        let device = points.device();
        let size = Tensor::new(self.image_size as f32, device)?;
        let unit = (points.to_dtype(DType::F32)? + 0.5)?.broadcast_div(&size)?; // centre of the pixel
        let place = position_encoding(&unit.reshape((b * n, 2))?, &self.gaussian_matrix)?;
        let d = place.dim(1)?;
        let place = place.reshape((b, n, d))?.pad_with_zeros(1, 0, 1)?;

        let padding = Tensor::full(label::PADDING, (b, 1), device)?;
        let labels = Tensor::cat(&[&labels.to_dtype(DType::I64)?, &padding], 1)?.flatten_all()?;
        let found = labels.to_vec1::<i64>()?;
        if let Some(unknown) =
            found.iter().find(|kind| !(label::PADDING..=label::BOTTOM_RIGHT).contains(kind))
        {
            bail!("expected point labels -1 to 3, found {unknown}");
        }
        let kind = self.kinds.index_select(&(&labels + 1.0)?, 0)?.reshape((b, n + 1, d))?;
        let real = labels.ge(0i64)?.to_dtype(DType::F32)?.reshape((b, n + 1, 1))?;
        kind + place.broadcast_mul(&real)?
    }

    /// A box as the tokens of its two corners and one padding token.
    ///
    /// # Shapes
    /// - `boxes`: `[b, 4]` x0, y0, x1, y1 in pixels of the `s`×`s` input; returns `[b, 3, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn embed_boxes(&self, boxes: &Tensor) -> Result<Tensor> {
        let (b, _) = boxes.dims2()?;
        let corners = [label::TOP_LEFT, label::BOTTOM_RIGHT].repeat(b);
        let labels = Tensor::from_vec(corners, (b, 2), boxes.device())?;
        self.embed_points(&boxes.reshape((b, 2, 2))?, &labels)
    }

    /// Position of every token of the image embedding, row by row.
    ///
    /// # Shapes
    /// - returns `[1, h·w, d]`
    #[must_use]
    pub fn dense_pe(&self) -> &Tensor {
        &self.dense_pe
    }

    /// What stands for "no mask prompt" at every token of the image embedding.
    ///
    /// # Shapes
    /// - returns `[d]`
    #[must_use]
    pub fn no_mask_embed(&self) -> &Tensor {
        &self.no_mask_embed
    }
}

/// Random Fourier features of places in the unit square (SAM's `PositionEmbeddingRandom`).
///
/// # Shapes
/// - `unit`: `[.., 2]` x, y, `matrix`: `[2, d/2]`; returns `[.., d]`
fn position_encoding(unit: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let angle = (unit.affine(2.0, -1.0)?.broadcast_matmul(matrix)? * f64::from(TAU))?;
    Tensor::cat(&[angle.sin()?, angle.cos()?], candle_core::D::Minus1)
}

/// Centres of `side` × `side` tokens in the unit square: `[1, side², 2]`.
fn grid(side: usize, device: &candle_core::Device) -> Result<Tensor> {
    let at = |i: usize| (i as f32 + 0.5) / side as f32;
    let places: Vec<f32> = (0..side * side).flat_map(|i| [at(i % side), at(i / side)]).collect();
    Tensor::from_vec(places, (1, side * side, 2), device)
}
