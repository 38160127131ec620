//! One frame while the model learns: the answer with its gradient, and what later frames look at.
//!
//! As SAM 2 is trained: maps are not rounded, and the mask of the prompted frame is not made
//! certain. Two choices are ours. What is remembered of an absent object follows the truth and not
//! a score that is still being learned; and of three masks the one is taught that inference would
//! take, by the model's own estimate.

use candle_core::Tensor;

use crate::decoder::mask_selection::{DecodeMode, select};
use crate::error::Result;
use crate::features::{FrameFeatures, MaskPrediction};
use crate::memory::bank::{Recalled, Remembered};
use crate::memory::video::{ABSENT, Sam2Video};
use ild_ops as ops;

/// Where the answer on a frame comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// What the user says: places and labels, as in [`crate::memory::Prompt::Points`].
    Points(&'a [([f32; 2], i64)]),
    /// What is remembered, in a video of so many frames.
    Memory(&'a Recalled<'a>, usize),
}

/// What a frame taught.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// Logits at stride 4 whether the object is there or not, the estimate of the IoU, and the
    /// object score; all carry gradient.
    pub answer: MaskPrediction,
    /// What later frames look at; carries gradient.
    pub remembered: Remembered,
}

impl Sam2Video<'_> {
    /// The object on frame `time`; `present` says whether it truly is there.
    ///
    /// # Errors
    /// As [`Sam2Video::prompt`] and [`Sam2Video::track`].
    pub fn teach(
        &self,
        time: i64,
        frame: &FrameFeatures,
        source: Source<'_>,
        present: bool,
    ) -> Result<Lesson> {
        self.in_pool(|| {
            let (features, points, mode) = match source {
                Source::Points(points) => {
                    (self.sam2.without_memory(frame)?, points, DecodeMode::Train)
                }
                Source::Memory(recalled, frames) => {
                    let none: &[_] = &[];
                    (self.conditioned(frame, recalled, frames)?, none, DecodeMode::Multimask)
                }
            };
            let dense = self.sam2.sam_prompt_encoder.no_mask_embed().clone();
            let all = self.all_masks(&features, points, &dense)?;
            let chosen = select(&all, self.sam2.mode(mode))?[0];
            let logits = all.logits.narrow(1, chosen, 1)?;
            let token = all.mask_tokens.narrow(1, chosen, 1)?.squeeze(1)?;
            let map = self.map_of_truth(frame, &logits, present)?;
            let (b, h, w, m) = map.dims4()?;
            let map = Some(map.reshape((b, h * w, m))?);
            let obj_ptr = self.memory.object_pointer.of_token(&token, present)?;
            Ok(Lesson {
                answer: MaskPrediction {
                    logits,
                    iou: all.iou.narrow(1, chosen, 1)?,
                    object_score: all.object_score,
                },
                remembered: Remembered { time, map, obj_ptr },
            })
        })
    }

    fn map_of_truth(
        &self,
        frame: &FrameFeatures,
        logits: &Tensor,
        present: bool,
    ) -> Result<Tensor> {
        let s = self.sam2.config().image_size;
        let encoder = &self.memory.memory_encoder;
        let logits = if present {
            ops::upsample_bilinear(logits, s, s)?
        } else {
            Tensor::full(ABSENT, (logits.dim(0)?, 1, s, s), logits.device())?
        };
        let mask = encoder.mask_to_encode(&logits, false)?;
        let map = encoder.forward(&frame.vision_features, &mask)?;
        self.marked(map, present)
    }
}
