//! What the encoder hands to the decoder, and what the decoder hands back.

use candle_core::{Result, Tensor};

/// Features of `b` images, reusable for any number of prompts. Maps are channels-last.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// Stride 16: `[b, s/16, s/16, d]`.
    pub image_embed: Tensor,
    /// Strides 4 and 8: `[b, s/4, s/4, d/8]` and `[b, s/8, s/8, d/4]`.
    pub high_res: [Tensor; 2],
}

impl ImageFeatures {
    /// Images in the batch.
    ///
    /// # Errors
    /// When the image embedding has no axes.
    pub fn batch(&self) -> Result<usize> {
        self.image_embed.dim(0)
    }

    /// The features of one image of the batch.
    ///
    /// # Errors
    /// When the batch has no such image.
    pub fn get(&self, i: usize) -> Result<Self> {
        self.map(|map| map.narrow(0, i, 1))
    }

    /// The features of a single image, `n` times: for `n` prompts at once.
    ///
    /// # Errors
    /// When the batch holds more than one image.
    pub fn repeat(&self, n: usize) -> Result<Self> {
        self.map(|map| {
            let (_, h, w, c) = map.dims4()?;
            map.broadcast_as((n, h, w, c))?.contiguous()
        })
    }

    /// The same numbers without their history: no gradient goes back to the encoder.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            image_embed: self.image_embed.detach(),
            high_res: self.high_res.each_ref().map(Tensor::detach),
        }
    }

    fn map(&self, each: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let [fine, middle] = &self.high_res;
        Ok(Self { image_embed: each(&self.image_embed)?, high_res: [each(fine)?, each(middle)?] })
    }
}

/// Features of `b` slices before anything is known of other slices: what the video path begins
/// with. Maps are channels-last.
#[derive(Debug, Clone)]
pub struct FrameFeatures {
    /// Stride 16, without `no_mem_embed`: `[b, s/16, s/16, d]`.
    pub vision_features: Tensor,
    /// Strides 4 and 8: `[b, s/4, s/4, d/8]` and `[b, s/8, s/8, d/4]`.
    pub high_res: [Tensor; 2],
}

impl FrameFeatures {
    /// What the decoder is given: the finer maps as they are, the coarse one in the light of what
    /// is known of other slices.
    ///
    /// # Shapes
    /// - `image_embed`: `[b, s/16, s/16, d]`
    #[must_use]
    pub fn with(&self, image_embed: Tensor) -> ImageFeatures {
        ImageFeatures { image_embed, high_res: self.high_res.clone() }
    }
}

/// One mask for each prompt.
#[derive(Debug, Clone)]
pub struct MaskPrediction {
    /// Logits at stride 4: `[b, 1, s/4, s/4]`.
    pub logits: Tensor,
    /// The decoder's own estimate of the mask's intersection over union: `[b, 1]`, 0 to 1.
    pub iou: Tensor,
    /// Logit of "the object is in the image": `[b, 1]`.
    pub object_score: Tensor,
}
