//! Items side by side, as tensors.

use candle_core::{Device, Result, Tensor};

use crate::data::dataset::{LABEL_SIZE, Sample};

/// What one forward pass takes, and what it should give.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[b, 3, s, s]`.
    pub images: Tensor,
    /// `[b, 4]`: x0, y0, x1, y1 in pixels of the `s × s` input.
    pub boxes: Tensor,
    /// `[b, 1, 256, 256]` of 0 and 1.
    pub masks: Tensor,
}

impl Batch {
    /// Puts items together.
    ///
    /// # Errors
    /// When the items are of different sizes.
    pub fn new(samples: &[Sample], device: &Device) -> Result<Self> {
        let b = samples.len();
        let (channels, height, width) =
            samples.first().map_or((3, 0, 0), |sample| sample.image.dim());
        let images: Vec<f32> =
            samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
        let boxes: Vec<f32> = samples.iter().flat_map(|sample| sample.box_px).collect();
        let masks: Vec<f32> = samples
            .iter()
            .flat_map(|sample| sample.mask.iter().map(|&inside| f32::from(inside)))
            .collect();
        Ok(Self {
            images: Tensor::from_vec(images, (b, channels, height, width), device)?,
            boxes: Tensor::from_vec(boxes, (b, 4), device)?,
            masks: Tensor::from_vec(masks, (b, 1, LABEL_SIZE, LABEL_SIZE), device)?,
        })
    }
}
