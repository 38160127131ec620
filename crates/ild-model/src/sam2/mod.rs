//! The model as a whole.

mod decode;
mod encode;

use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::config::Sam2Config;
use crate::decoder::mask_decoder::MaskDecoder;
use crate::decoder::prompt_encoder::PromptEncoder;
use crate::encoder::image_encoder::ImageEncoder;
use crate::error::{Error, Result};
use crate::lesion_head::LesionHead;
use crate::weights::Weights;
use crate::weights::loader::{LoadReport, Loader};
use crate::weights::parameters::Parameters;
use ild_ops::{Precision, PrecisionWish};

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

    /// From now on images are encoded in this precision, or in what [`PrecisionWish::on`] makes of
    /// it: on a GPU the whole encoder; on a CPU the blocks of the trunk, and those only where no
    /// gradient is asked for. Says so in the log where that is not faster than f32.
    ///
    /// Weights stay f32 and are rounded where they are used, so gradients are those of the f32
    /// weights; sums are f32. Features, and with them the decoder with its masks, are f32 in any
    /// case.
    ///
    /// # Errors
    /// [`Error::Precision`] where the processor or the device cannot.
    pub fn set_precision(&mut self, wish: impl Into<PrecisionWish>) -> Result<()> {
        let wish = wish.into();
        let precision = wish.on(&self.device);
        if !precision.runs_on(&self.device) {
            let found = if self.device.is_cpu() { "this CPU" } else { "a GPU" };
            return Err(Error::Precision {
                asked: precision.name(),
                expected: precision.needs(),
                found,
            });
        }
        if let Some(note) = wish.note_on(&self.device) {
            tracing::warn!("{note}");
        }
        self.precision = precision;
        Ok(())
    }

    /// What images are encoded in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What segments without a prompt, where the weights have it.
    #[must_use]
    pub fn lesion_head(&self) -> Option<&LesionHead> {
        self.lesion_head.as_ref()
    }

    /// Does CPU work on a thread of the pool: from any other, each operation would wait for the
    /// pool to wake up and to answer.
    pub(crate) fn in_pool<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        if self.device.is_cpu() { rayon::scope(|_| work()) } else { work() }
    }
}

fn no_mem_embed(config: &Sam2Config, vb: &VarBuilder) -> candle_core::Result<Tensor> {
    vb.get_with_hints(
        (1, 1, config.d_model),
        "no_mem_embed",
        Init::Randn { mean: 0.0, stdev: 0.02 },
    )
}
