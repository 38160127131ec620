//! An image becomes features, and what the lesion head says of it.

use candle_core::{DType, Tensor};

use super::Sam2;
use crate::error::{Error, Result};
use crate::features::{FrameFeatures, ImageFeatures};
use crate::lesion_head::LesionMaps;

impl Sam2 {
    /// Features of normalised images (see [`crate::image_to_input`]).
    ///
    /// SAM 2 runs `conv_s0` and `conv_s1` on the neck's two finest levels, which serve nothing
    /// else. Two affine maps in a row are one, so here they are multiplied first: the same features
    /// without the two widest maps.
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape.
    pub fn encode_image(&self, image: &Tensor) -> Result<ImageFeatures> {
        let stages = self.stages(image)?;
        self.in_pool(|| self.features(&stages))
    }

    /// Features of normalised slices for the video path, which adds to them itself what is known of
    /// other slices ([`crate::memory`]).
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`
    ///
    /// # Errors
    /// As [`Sam2::encode_image`].
    pub fn encode_frame(&self, image: &Tensor) -> Result<FrameFeatures> {
        let stages = self.stages(image)?;
        self.in_pool(|| self.frame(&stages))
    }

    /// The features of a slice of which nothing is remembered: those of [`Sam2::encode_image`].
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn without_memory(&self, frame: &FrameFeatures) -> Result<ImageFeatures> {
        Ok(frame.with(frame.vision_features.broadcast_add(&self.no_mem_embed)?))
    }

    /// What [`Sam2::encode_frame`] would have given, from the features of [`Sam2::encode_image`]: one
    /// encoding serves both paths. The two differ by the rounding of one addition, a tenth of what
    /// the reference's own f32 differs from its f64.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn frame_of(&self, features: &ImageFeatures) -> Result<FrameFeatures> {
        let vision_features = features.image_embed.broadcast_sub(&self.no_mem_embed)?;
        Ok(FrameFeatures { vision_features, high_res: features.high_res.clone() })
    }

    /// Features of normalised images and what the lesion head says of them, from one encoding;
    /// `None` where the weights have no head.
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`
    ///
    /// # Errors
    /// As [`Sam2::encode_image`].
    pub fn encode_image_with_lesions(
        &self,
        image: &Tensor,
    ) -> Result<(ImageFeatures, Option<LesionMaps>)> {
        self.encode_image_gated(image, 1.0)
    }

    /// The same for training: `gate` is the share of the head's gradient that reaches the trunk,
    /// see [`crate::LesionHead::forward`].
    ///
    /// # Errors
    /// As [`Sam2::encode_image`].
    pub fn encode_image_gated(
        &self,
        image: &Tensor,
        gate: f64,
    ) -> Result<(ImageFeatures, Option<LesionMaps>)> {
        let stages = self.stages(image)?;
        let features = self.in_pool(|| self.features(&stages))?;
        let Some(head) = &self.lesion_head else { return Ok((features, None)) };
        Ok((features, Some(self.in_pool(|| head.forward(image, &stages, gate))?)))
    }

    /// Maps of the trunk's four stages, finest first.
    fn stages(&self, image: &Tensor) -> Result<Vec<Tensor>> {
        let s = self.config.image_size;
        if image.rank() != 4 || image.dims()[1..] != [3, s, s] {
            return Err(Error::Shape {
                what: "image",
                expected: format!("[b, 3, {s}, {s}]"),
                found: image.dims().to_vec(),
            });
        }
        let image = image.to_dtype(self.precision.dtype_on(&self.device))?;
        let trunk = &self.image_encoder.trunk;
        Ok(self.in_pool(|| trunk.forward(&image, self.precision))?)
    }

    fn features(&self, stages: &[Tensor]) -> Result<ImageFeatures> {
        self.without_memory(&self.frame(stages)?)
    }

    fn frame(&self, stages: &[Tensor]) -> Result<FrameFeatures> {
        let neck = &self.image_encoder.neck;
        let vision_features = neck.top_down(&stages[2], &stages[3])?.to_dtype(DType::F32)?;
        let high_res = [
            self.sam_mask_decoder
                .conv_s0
                .after(neck.lateral(0))?
                .forward(&stages[0])?
                .to_dtype(DType::F32)?,
            self.sam_mask_decoder
                .conv_s1
                .after(neck.lateral(1))?
                .forward(&stages[1])?
                .to_dtype(DType::F32)?,
        ];
        Ok(FrameFeatures { vision_features, high_res })
    }
}
