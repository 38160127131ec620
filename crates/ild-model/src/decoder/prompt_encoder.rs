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

    /// Boxes drawn on the image's tokens: the share of each token inside its box times the sum of
    /// the corners' embeddings. No tensor of its own is needed.
    ///
    /// # Shapes
    /// - `boxes`: `[b, 4]` x0, y0, x1, y1 in pixels of the `s`×`s` input; returns `[b, h·w, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn draw_boxes(&self, boxes: &Tensor) -> Result<Tensor> {
        let side = self.side()?;
        let token = self.image_size as f32 / side as f32;
        let mut shares = Vec::new();
        for row in boxes.to_dtype(DType::F32)?.to_vec2::<f32>()? {
            // The last pixel of a box lies inside.
            let [x0, y0, x1, y1] = [row[0], row[1], row[2] + 1.0, row[3] + 1.0].map(|v| v / token);
            let share = |at: usize, from: f32, to: f32| {
                (to.min(at as f32 + 1.0) - from.max(at as f32)).max(0.0)
            };
            let places =
                (0..side * side).map(|i| share(i / side, y0, y1) * share(i % side, x0, x1));
            shares.extend(places);
        }
        let shares = Tensor::from_vec(shares, (boxes.dim(0)?, side * side, 1), boxes.device())?;
        let corners = (self.kind(label::TOP_LEFT)? + self.kind(label::BOTTOM_RIGHT)?)?;
        shares.broadcast_mul(&corners)
    }

    /// Clicks drawn on the image's tokens: at each the embedding of its kind. Corners draw their box
    /// ([`PromptEncoder::draw_boxes`]).
    ///
    /// # Shapes
    /// - `points`: `[b, n, 2]`, `labels`: `[b, n]`, as of [`PromptEncoder::embed_points`]; returns
    ///   `[b, h·w, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn draw_points(&self, points: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (b, n, _) = points.dims3()?;
        let side = self.side()?;
        let token = self.image_size as f32 / side as f32;
        let places = points.to_dtype(DType::F32)?.reshape((b * n, 2))?.to_vec2::<f32>()?;
        let kinds = labels.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?;
        let mut drawn = [vec![0f32; b * side * side], vec![0f32; b * side * side]];
        for (i, (place, kind)) in places.iter().zip(&kinds).enumerate() {
            let at = |v: f32| (((v + 0.5) / token).max(0.0) as usize).min(side - 1);
            let place = i / n * side * side + at(place[1]) * side + at(place[0]);
            if let Some(drawn) = usize::try_from(*kind).ok().and_then(|kind| drawn.get_mut(kind)) {
                drawn[place] = 1.0;
            }
        }
        let [outside, inside] =
            drawn.map(|drawn| Tensor::from_vec(drawn, (b, side * side, 1), points.device()));
        let outside = outside?.broadcast_mul(&self.kind(label::OUTSIDE)?)?;
        let clicks = (outside + inside?.broadcast_mul(&self.kind(label::INSIDE)?)?)?;
        match boxes_among(&places, &kinds, n) {
            Some(boxes) => {
                clicks + self.draw_boxes(&Tensor::from_vec(boxes, (b, 4), points.device())?)?
            }
            None => Ok(clicks),
        }
    }

    /// Rows and columns of the image's tokens.
    fn side(&self) -> Result<usize> {
        Ok(self.dense_pe.dim(1)?.isqrt())
    }

    /// What stands for a kind of point: `[1, 1, d]`.
    fn kind(&self, label: i64) -> Result<Tensor> {
        self.kinds.narrow(0, (label + 1) as usize, 1)?.unsqueeze(0)
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

/// `x0, y0, x1, y1` of the box that the corners among each `n` points make, when all have one.
fn boxes_among(places: &[Vec<f32>], kinds: &[i64], n: usize) -> Option<Vec<f32>> {
    let mut boxes = Vec::new();
    for (places, kinds) in places.chunks(n.max(1)).zip(kinds.chunks(n.max(1))) {
        for corner in [label::TOP_LEFT, label::BOTTOM_RIGHT] {
            let at = kinds.iter().position(|kind| *kind == corner)?;
            boxes.extend_from_slice(&places[at]);
        }
    }
    (!boxes.is_empty()).then_some(boxes)
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
