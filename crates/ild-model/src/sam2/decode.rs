//! Features and a prompt become a mask.

use candle_core::{DType, IndexOp, Tensor};

use super::Sam2;
use crate::decoder::mask_decoder::AllMasks;
use crate::decoder::mask_selection::{DecodeMode, select};
use crate::error::{Error, Result};
use crate::features::{ImageFeatures, MaskPrediction};

impl Sam2 {
    /// A mask for each box. Features of one image serve any number of boxes.
    ///
    /// # Shapes
    /// - `boxes`: `[b, 4]` x0, y0, x1, y1 in pixels of the `s`×`s` input
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, or where features and boxes are not equally many.
    pub fn decode_box(
        &self,
        features: &ImageFeatures,
        boxes: &Tensor,
        mode: DecodeMode,
    ) -> Result<MaskPrediction> {
        if boxes.rank() != 2 || boxes.dim(1)? != 4 {
            return Err(Error::Shape {
                what: "boxes",
                expected: "[b, 4]".into(),
                found: boxes.dims().to_vec(),
            });
        }
        let encoder = &self.sam_prompt_encoder;
        let prompt = encoder.embed_boxes(&boxes.to_dtype(DType::F32)?)?;
        let drawn = self.drawn(|| encoder.draw_boxes(boxes))?;
        let dense = encoder.no_mask_embed();
        choose(&self.decode_all(features, &prompt, dense, drawn.as_ref())?, self.mode(mode))
    }

    /// A mask for each set of points.
    ///
    /// # Shapes
    /// - `points`: `[b, n, 2]` x, y in pixels of the `s`×`s` input, `labels`: `[b, n]` (see
    ///   [`crate::decoder::prompt_encoder::label`])
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, or where features and points are not equally many.
    pub fn decode_points(
        &self,
        features: &ImageFeatures,
        points: &Tensor,
        labels: &Tensor,
        mode: DecodeMode,
    ) -> Result<MaskPrediction> {
        if points.rank() != 3 || points.dim(2)? != 2 {
            return Err(Error::Shape {
                what: "points",
                expected: "[b, n, 2]".into(),
                found: points.dims().to_vec(),
            });
        }
        if labels.dims() != &points.dims()[..2] {
            return Err(Error::Shape {
                what: "labels",
                expected: format!("{:?}", &points.dims()[..2]),
                found: labels.dims().to_vec(),
            });
        }
        let dense = self.sam_prompt_encoder.no_mask_embed();
        choose(&self.decode_placed(features, points, labels, dense)?, self.mode(mode))
    }

    /// All four masks of points and a mask prompt; `dense` as in [`Sam2::decode_with`].
    pub(crate) fn decode_placed(
        &self,
        features: &ImageFeatures,
        points: &Tensor,
        labels: &Tensor,
        dense: &Tensor,
    ) -> Result<AllMasks> {
        let encoder = &self.sam_prompt_encoder;
        let prompt = encoder.embed_points(points, labels)?;
        let drawn = self.drawn(|| encoder.draw_points(points, labels))?;
        self.decode_all(features, &prompt, dense, drawn.as_ref())
    }

    /// The prompt on the image's tokens, for models that want it there.
    fn drawn(
        &self,
        draw: impl FnOnce() -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Option<Tensor>> {
        self.config.drawn_prompts.then(draw).transpose()
    }

    pub(crate) fn mode(&self, asked: DecodeMode) -> DecodeMode {
        if self.config.dynamic_multimask_via_stability { asked } else { DecodeMode::Train }
    }

    /// All four masks of prompt tokens.
    ///
    /// # Shapes
    /// - `prompt`: `[b, t, d]`
    ///
    /// # Errors
    /// [`Error::Shape`] where features and prompts are not equally many.
    pub fn decode(&self, features: &ImageFeatures, prompt: &Tensor) -> Result<AllMasks> {
        self.decode_with(features, prompt, self.sam_prompt_encoder.no_mask_embed())
    }

    /// All four masks of prompt tokens and a mask prompt.
    ///
    /// # Shapes
    /// - `prompt`: `[b, t, d]`, `dense`: `[d]` or `[1, h, w, d]`
    ///
    /// # Errors
    /// As [`Sam2::decode`].
    pub fn decode_with(
        &self,
        features: &ImageFeatures,
        prompt: &Tensor,
        dense: &Tensor,
    ) -> Result<AllMasks> {
        self.decode_all(features, prompt, dense, None)
    }

    /// [`Sam2::decode_with`] with the prompt drawn on the image's tokens: `drawn` is `[b, h·w, d]`.
    fn decode_all(
        &self,
        features: &ImageFeatures,
        prompt: &Tensor,
        dense: &Tensor,
        drawn: Option<&Tensor>,
    ) -> Result<AllMasks> {
        let (images, prompts) = (features.batch()?, prompt.dim(0)?);
        let repeated =
            if images == 1 && prompts > 1 { Some(features.repeat(prompts)?) } else { None };
        if images != prompts && repeated.is_none() {
            let expected = format!("as many as the {images} images of the features");
            return Err(Error::Shape { what: "prompts", expected, found: vec![prompts] });
        }
        let encoder = &self.sam_prompt_encoder;
        let features = repeated.as_ref().unwrap_or(features);
        let predict = || {
            let image_pe = encoder.dense_pe();
            self.sam_mask_decoder.predict_masks(features, image_pe, prompt, dense, drawn)
        };
        Ok(self.in_pool(predict)?)
    }
}

fn choose(all: &AllMasks, mode: DecodeMode) -> Result<MaskPrediction> {
    let chosen = select(all, mode)?;
    let take = |tensor: &Tensor| -> Result<Tensor> {
        if chosen.iter().all(|mask| *mask == 0) {
            return Ok(tensor.narrow(1, 0, 1)?);
        }
        let rows = chosen.iter().enumerate().map(|(i, mask)| tensor.i((i, *mask..*mask + 1)));
        Ok(Tensor::stack(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
    };
    Ok(MaskPrediction {
        logits: take(&all.logits)?,
        iou: take(&all.iou)?,
        object_score: all.object_score.clone(),
    })
}
