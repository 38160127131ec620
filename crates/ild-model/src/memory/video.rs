//! One frame of one object: prompted, tracked or corrected, and remembered.

use candle_core::{DType, Tensor};

use crate::decoder::mask_decoder::AllMasks;
use crate::decoder::mask_selection::{DecodeMode, select};
use crate::decoder::prompt_encoder::label;
use crate::error::{Error, Result};
use crate::features::{FrameFeatures, ImageFeatures};
use crate::memory::Memory;
use crate::memory::bank::{Recalled, Remembered};
use crate::memory::mask_prompt::mask_to_logits;
use crate::memory::memory_attention::MemoryTokens;
use crate::sam2::Sam2;
use ild_ops as ops;

/// Logit of every pixel where the object is not (`NO_OBJ_SCORE`).
pub const ABSENT: f32 = -1024.0;
/// Earlier logits are kept within this when they are a prompt.
const PROMPT_LOGITS: f32 = 32.0;
/// Scores of a mask that was given: the object is there, or it is not.
const GIVEN: f32 = 10.0;

/// What the user says about an object on one frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// Places in pixels of the `s`×`s` input and their labels (see [`label`]); a box is its two
    /// corners, before any click.
    Points(Vec<([f32; 2], i64)>),
    /// Its mask, 0 and 1, at the size of the input (see [`super::mask_to_input`]): taken as it is,
    /// no model is asked.
    Mask(ndarray::Array2<f32>),
}

impl Prompt {
    /// A box `x0, y0, x1, y1` in pixels of the input (see [`crate::InputBox`]).
    #[must_use]
    pub fn of_box([x0, y0, x1, y1]: [f32; 4]) -> Self {
        Self::Points(vec![([x0, y0], label::TOP_LEFT), ([x1, y1], label::BOTTOM_RIGHT)])
    }
}

/// What is known of an object on one frame.
#[derive(Debug, Clone)]
pub struct FrameOutput {
    /// Logits at stride 4: `[1, 1, s/4, s/4]`; [`ABSENT`] throughout where the object is not.
    pub low_res_masks: Tensor,
    /// The decoder's own estimate of the mask's intersection over union; 1 for a mask that was
    /// given.
    pub iou: f32,
    /// Logit of "the object is on this frame"; ±10 for a mask that was given.
    pub object_score: f32,
    /// Object pointer: `[1, d]`.
    pub obj_ptr: Tensor,
}

impl FrameOutput {
    /// Whether the object is on the frame.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.object_score > 0.0
    }

    /// Logits on the slice's own pixels, whose inside is above 0. The image path resizes
    /// probabilities instead: at edges the two differ.
    ///
    /// # Shapes
    /// - returns `[height, width]`
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn logits(&self, height: usize, width: usize) -> Result<Tensor> {
        Ok(ops::upsample_bilinear(&self.low_res_masks, height, width)?.squeeze(0)?.squeeze(0)?)
    }
}

/// A model and its memory.
#[derive(Debug, Clone, Copy)]
pub struct Sam2Video<'a> {
    /// The image path.
    pub sam2: &'a Sam2,
    /// What the video path adds.
    pub memory: &'a Memory,
}

impl<'a> Sam2Video<'a> {
    /// Both were built from the same description.
    #[must_use]
    pub fn new(sam2: &'a Sam2, memory: &'a Memory) -> Self {
        Self { sam2, memory }
    }

    /// The object on a frame whose prompt says all: nothing is looked at beside the frame itself.
    /// `previous` is what an earlier prompt on the same frame gave: clicks then improve on it.
    ///
    /// # Errors
    /// [`Error::Shape`] where features or prompt have another shape.
    pub fn prompt(
        &self,
        frame: &FrameFeatures,
        prompt: &Prompt,
        previous: Option<&FrameOutput>,
    ) -> Result<FrameOutput> {
        match prompt {
            Prompt::Mask(mask) => self.in_pool(|| self.given(frame, mask)),
            Prompt::Points(points) => {
                self.in_pool(|| self.heads(&self.sam2.without_memory(frame)?, points, previous))
            }
        }
    }

    /// The object on a frame, from what is remembered of it.
    ///
    /// # Errors
    /// [`Error::Shape`] for an empty bank or where the features have another shape.
    pub fn track(
        &self,
        frame: &FrameFeatures,
        recalled: &Recalled,
        frames: usize,
    ) -> Result<FrameOutput> {
        self.in_pool(|| self.heads(&self.conditioned(frame, recalled, frames)?, &[], None))
    }

    /// The object on a frame that was tracked before, from what is remembered and what the user now
    /// says; `previous` is what tracking gave.
    ///
    /// # Errors
    /// As [`Sam2Video::track`].
    pub fn correct(
        &self,
        frame: &FrameFeatures,
        recalled: &Recalled,
        frames: usize,
        prompt: &Prompt,
        previous: &FrameOutput,
    ) -> Result<FrameOutput> {
        match prompt {
            Prompt::Mask(mask) => self.in_pool(|| self.given(frame, mask)),
            Prompt::Points(points) => self.in_pool(|| {
                let features = self.conditioned(frame, recalled, frames)?;
                self.heads(&features, points, Some(previous))
            }),
        }
    }

    /// A frame as the bank keeps it. `prompted`: the result follows from what the user said, so its
    /// mask is taken for certain.
    ///
    /// # Errors
    /// [`Error::Shape`] where the features have another shape.
    pub fn remember(
        &self,
        time: i64,
        frame: &FrameFeatures,
        output: &FrameOutput,
        prompted: bool,
    ) -> Result<Remembered> {
        let map = self.in_pool(|| self.map_to_remember(frame, output, prompted))?;
        let (b, h, w, m) = map.dims4()?;
        // The reference stores bf16 on every device; without the rounding logits move by 1e-3.
        let map = map.reshape((b, h * w, m))?.to_dtype(DType::BF16)?;
        Ok(Remembered { time, map: Some(map), obj_ptr: output.obj_ptr.clone() })
    }

    /// What [`Sam2Video::remember`] rounds and stores.
    ///
    /// # Shapes
    /// - returns `[1, h, w, mem_dim]`
    ///
    /// # Errors
    /// As [`Sam2Video::remember`].
    pub fn map_to_remember(
        &self,
        frame: &FrameFeatures,
        output: &FrameOutput,
        prompted: bool,
    ) -> Result<Tensor> {
        let s = self.sam2.config().image_size;
        let encoder = &self.memory.memory_encoder;
        let logits = ops::upsample_bilinear(&output.low_res_masks, s, s)?;
        let mask = encoder.mask_to_encode(&logits, prompted)?;
        self.marked(encoder.forward(&frame.vision_features, &mask)?, output.is_present())
    }

    /// The map of an absent object says so, in 2.1.
    pub(super) fn marked(&self, map: Tensor, present: bool) -> Result<Tensor> {
        match &self.memory.no_obj_embed_spatial {
            Some(mark) if !present => Ok(map.broadcast_add(mark)?),
            _ => Ok(map),
        }
    }

    /// What a frame looks at, as tokens: maps with the codes of their places and times, then
    /// pointers.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is nothing to look at.
    pub fn tokens(&self, recalled: &Recalled, frames: usize) -> Result<MemoryTokens> {
        let memory = self.memory;
        let last = memory.config().num_maskmem - 1;
        let (mut maps, mut codes) = (Vec::new(), Vec::new());
        for (place, frame) in &recalled.maps {
            let Some(map) = &frame.map else { continue };
            maps.push(map.to_dtype(DType::F32)?);
            let time = memory.maskmem_tpos_enc.get(last - place)?;
            codes.push(memory.map_pos.broadcast_add(&time)?);
        }
        if maps.is_empty() {
            return Err(Error::Shape {
                what: "memory",
                expected: "a prompted frame to look at".into(),
                found: Vec::new(),
            });
        }
        let pointers: Vec<(i64, &Tensor)> =
            recalled.pointers.iter().map(|(distance, frame)| (*distance, &frame.obj_ptr)).collect();
        let mut pointer_tokens = 0;
        if let Some((tokens, code)) = memory.object_pointer.tokens(&pointers, frames)? {
            pointer_tokens = tokens.dim(1)?;
            maps.push(tokens);
            codes.push(code);
        }
        Ok(MemoryTokens {
            memory: Tensor::cat(&maps, 1)?,
            memory_pos: Tensor::cat(&codes, 1)?,
            pointer_tokens,
        })
    }

    /// The frame's features in the light of what is remembered.
    ///
    /// # Errors
    /// As [`Sam2Video::track`].
    pub fn conditioned(
        &self,
        frame: &FrameFeatures,
        recalled: &Recalled,
        frames: usize,
    ) -> Result<ImageFeatures> {
        let memory = self.memory;
        let tokens = self.tokens(recalled, frames)?;
        let (b, h, w, d) = frame.vision_features.dims4()?;
        if b != 1 {
            return Err(Error::Shape {
                what: "features",
                expected: format!("those of one frame, [1, {h}, {w}, {d}]"),
                found: vec![b, h, w, d],
            });
        }
        let x = frame.vision_features.reshape((1, h * w, d))?;
        let looked =
            memory.memory_attention.forward(&x, &memory.frame_pos, &tokens, &memory.rotation)?;
        Ok(frame.with(looked.reshape((1, h, w, d))?))
    }

    /// A mask that was given is the answer; the decoder is asked for its pointer only, on features
    /// without `no_mem_embed`.
    fn given(&self, frame: &FrameFeatures, mask: &ndarray::Array2<f32>) -> Result<FrameOutput> {
        let (s, device) = (self.sam2.config().image_size, self.sam2.device());
        if mask.dim() != (s, s) {
            let found = mask.shape().to_vec();
            return Err(Error::Shape { what: "mask", expected: format!("[{s}, {s}]"), found });
        }
        let pixels = Tensor::from_iter(mask.iter().copied(), device)?.reshape((1, 1, s, s))?;
        let small = self.memory.mask_prompt.downsample(&pixels)?;
        let dense = self.memory.mask_prompt.embed(&small)?;
        let features = frame.with(frame.vision_features.clone());
        let obj_ptr = self.decode(&features, &[], &dense, false)?.obj_ptr;
        let inside = mask.iter().any(|pixel| *pixel > 0.0);
        Ok(FrameOutput {
            low_res_masks: mask_to_logits(mask, device)?,
            iou: 1.0,
            object_score: if inside { GIVEN } else { -GIVEN },
            obj_ptr: if inside { obj_ptr } else { self.memory.object_pointer.absent().clone() },
        })
    }

    /// The decoder's answer to points, or to none. At most one click leaves room for three masks
    /// (`multimask_min_pt_num` to `multimask_max_pt_num`).
    fn heads(
        &self,
        features: &ImageFeatures,
        points: &[([f32; 2], i64)],
        previous: Option<&FrameOutput>,
    ) -> Result<FrameOutput> {
        let dense = match previous {
            Some(previous) => {
                let logits = previous.low_res_masks.clamp(-PROMPT_LOGITS, PROMPT_LOGITS)?;
                self.memory.mask_prompt.embed(&logits)?
            }
            None => self.sam2.sam_prompt_encoder.no_mask_embed().clone(),
        };
        self.decode(features, points, &dense, points.len() <= 1)
    }

    fn decode(
        &self,
        features: &ImageFeatures,
        points: &[([f32; 2], i64)],
        dense: &Tensor,
        three_masks: bool,
    ) -> Result<FrameOutput> {
        let all = self.all_masks(features, points, dense)?;
        let mode = if three_masks { DecodeMode::Multimask } else { DecodeMode::Eval };
        let chosen = select(&all, self.sam2.mode(mode))?[0];
        let object_score = all.object_score.flatten_all()?.to_vec1::<f32>()?[0];
        let present = object_score > 0.0;
        let logits = all.logits.narrow(1, chosen, 1)?;
        // The pointer is that of the mask that was chosen among three, and else of the first.
        let token = all.mask_tokens.narrow(1, if three_masks { chosen } else { 0 }, 1)?;
        Ok(FrameOutput {
            low_res_masks: if present {
                logits
            } else {
                Tensor::full(ABSENT, logits.shape(), logits.device())?
            },
            iou: all.iou.flatten_all()?.to_vec1::<f32>()?[chosen],
            object_score,
            obj_ptr: self.memory.object_pointer.of_token(&token.squeeze(1)?, present)?,
        })
    }

    /// All four masks of points; no point is one of padding, which is not the same as no token.
    pub(super) fn all_masks(
        &self,
        features: &ImageFeatures,
        points: &[([f32; 2], i64)],
        dense: &Tensor,
    ) -> Result<AllMasks> {
        let (device, none) = (self.sam2.device(), [([0.0; 2], label::PADDING)]);
        let points = if points.is_empty() { &none[..] } else { points };
        let places: Vec<f32> = points.iter().flat_map(|(place, _)| *place).collect();
        let labels: Vec<i64> = points.iter().map(|(_, label)| *label).collect();
        let n = points.len();
        let places = Tensor::from_vec(places, (1, n, 2), device)?;
        let labels = Tensor::from_vec(labels, (1, n), device)?;
        self.sam2.decode_placed(features, &places, &labels, dense)
    }

    pub(super) fn in_pool<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.sam2.in_pool(work)
    }
}
