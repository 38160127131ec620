//! The model as a whole.

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::config::Sam2Config;
use crate::decoder::mask_decoder::{AllMasks, MaskDecoder};
use crate::decoder::mask_selection::{DecodeMode, select};
use crate::decoder::prompt_encoder::PromptEncoder;
use crate::encoder::image_encoder::ImageEncoder;
use crate::error::{Error, Result};
use crate::features::{FrameFeatures, ImageFeatures, MaskPrediction};
use crate::lesion_head::{LesionHead, LesionMaps};
use crate::weights::Weights;
use crate::weights::loader::{LoadReport, Loader};
use crate::weights::parameters::Parameters;
use ild_ops::Precision;

/// SAM 2's image path: an image becomes features, features and a prompt become a mask.
#[derive(Debug)]
pub struct Sam2 {
    config: Sam2Config,
    device: Device,
    /// What the image encoder computes in.
    precision: Precision,
    /// Pixels to features.
    pub image_encoder: ImageEncoder,
    /// Boxes and points to tokens.
    pub sam_prompt_encoder: PromptEncoder,
    /// Features and tokens to masks.
    pub sam_mask_decoder: MaskDecoder,
    /// "No memory of earlier frames": `[1, 1, d]`, added to every token of the image embedding.
    no_mem_embed: Tensor,
    /// What segments without a prompt; `None` in weights that have none.
    lesion_head: Option<LesionHead>,
}

impl Sam2 {
    /// A model for inference.
    ///
    /// # Errors
    /// [`Error::Misfit`] lists what is missing, of another shape, or belongs to no part of SAM 2.
    pub fn load(
        config: &Sam2Config,
        weights: &Weights,
        device: &Device,
    ) -> Result<(Self, LoadReport)> {
        let loader = Loader::frozen(weights);
        let classes = weights.lesion_classes()?;
        let model = Self::build(config, &loader.var_builder(device), classes.as_deref())?;
        Ok((model, loader.report(config)?))
    }

    /// A model whose image encoder and mask decoder can be trained.
    ///
    /// # Errors
    /// As [`Sam2::load`].
    pub fn trainable(
        config: &Sam2Config,
        weights: &Weights,
        device: &Device,
    ) -> Result<(Self, Parameters, LoadReport)> {
        let loader = Loader::trainable(weights);
        let classes = weights.lesion_classes()?;
        let model = Self::build(config, &loader.var_builder(device), classes.as_deref())?;
        let report = loader.report(config)?;
        Ok((model, Parameters::new(loader.variables()), report))
    }

    /// The lesion head comes last, so that the parameters of SAM 2 keep their order.
    pub(crate) fn build(
        config: &Sam2Config,
        vb: &VarBuilder,
        classes: Option<&[u8]>,
    ) -> Result<Self> {
        let config = config.clone().validated()?;
        Ok(Self {
            image_encoder: ImageEncoder::new(&config, vb.pp("image_encoder"))?,
            sam_prompt_encoder: PromptEncoder::new(&config, vb.pp("sam_prompt_encoder"))?,
            sam_mask_decoder: MaskDecoder::new(&config, vb.pp("sam_mask_decoder"))?,
            no_mem_embed: no_mem_embed(&config, vb)?,
            lesion_head: classes
                .map(|classes| LesionHead::new(&config, classes, vb.pp("lesion_head")))
                .transpose()?,
            device: vb.device().clone(),
            precision: Precision::default(),
            config,
        })
    }

    /// What the model was built from.
    #[must_use]
    pub fn config(&self) -> &Sam2Config {
        &self.config
    }

    /// Where its tensors live.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// From now on images are encoded in this precision: on a GPU the whole encoder; in f16 the
    /// blocks of the trunk, and those only where no gradient is asked for.
    ///
    /// Weights stay f32 and are rounded where they are used, so gradients are those of the f32
    /// weights; sums are f32. Features, and with them the decoder with its masks, are f32 in any
    /// case.
    ///
    /// # Errors
    /// [`Error::Precision`] where the processor or the device cannot.
    pub fn set_precision(&mut self, precision: Precision) -> Result<()> {
        if !precision.runs_on(&self.device) {
            let found = if self.device.is_cpu() { "this CPU" } else { "a GPU" };
            return Err(Error::Precision {
                asked: precision.name(),
                expected: precision.needs(),
                found,
            });
        }
        self.precision = precision;
        Ok(())
    }

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
    /// see [`LesionHead::forward`].
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

    /// What segments without a prompt, where the weights have it.
    #[must_use]
    pub fn lesion_head(&self) -> Option<&LesionHead> {
        self.lesion_head.as_ref()
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
        let image = image.to_dtype(self.precision.dtype())?;
        let trunk = &self.image_encoder.trunk;
        Ok(self.in_pool(|| trunk.forward(&image, self.precision))?)
    }

    /// Does CPU work on a thread of the pool: from any other, each operation would wait for the
    /// pool to wake up and to answer.
    pub(crate) fn in_pool<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.device.is_cpu() { rayon::scope(|_| work()) } else { work() }
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
        choose(&self.decode_drawn(features, &prompt, drawn.as_ref())?, self.mode(mode))
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
        let encoder = &self.sam_prompt_encoder;
        let prompt = encoder.embed_points(points, labels)?;
        let drawn = self.drawn(|| encoder.draw_points(points, labels))?;
        choose(&self.decode_drawn(features, &prompt, drawn.as_ref())?, self.mode(mode))
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

    /// [`Sam2::decode`] with the prompt drawn on the image's tokens: `drawn` is `[b, h·w, d]`.
    fn decode_drawn(
        &self,
        features: &ImageFeatures,
        prompt: &Tensor,
        drawn: Option<&Tensor>,
    ) -> Result<AllMasks> {
        self.decode_all(features, prompt, self.sam_prompt_encoder.no_mask_embed(), drawn)
    }

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

fn no_mem_embed(config: &Sam2Config, vb: &VarBuilder) -> candle_core::Result<Tensor> {
    vb.get_with_hints(
        (1, 1, config.d_model),
        "no_mem_embed",
        Init::Randn { mean: 0.0, stdev: 0.02 },
    )
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
