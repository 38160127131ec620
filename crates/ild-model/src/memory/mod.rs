//! SAM 2's video path: a slice remembers what was found on others.
//!
//! A frame is a slice, and time is its index in the CT. What is here beside [`crate::Sam2`]:
//!
//! ```text
//! memory_encoder            memory_encoder     a frame and its mask as a map to remember
//! memory_attention          memory_attention   a frame looks at the maps and pointers of others
//! obj_ptr_proj, no_obj_ptr,
//!   obj_ptr_tpos_proj       object_pointer     the object itself, in one vector
//! mask_downsample,
//!   mask_downscaling        mask_prompt        a mask as a prompt
//! maskmem_tpos_enc          video              which of the last frames a map is
//! ```
//!
//! [`Memory`] holds the tensors and is loaded by name: who segments images pays nothing for it.
//! [`Sam2Video`] does one frame; [`Tracker`] takes one object through many, with its [`Bank`];
//! [`Lesson`] is a frame in training.
//!
//! What is deliberately absent: filling holes (the reference does it on a GPU only), suppressing
//! overlaps between objects (off in every published configuration), several objects in a batch.

pub mod bank;
pub mod config;
mod convolution;
pub mod lesson;
pub mod mask_prompt;
pub mod memory_attention;
pub mod memory_encoder;
pub mod object_pointer;
pub mod position;
pub mod tracker;
pub mod video;

use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};

pub use self::bank::{Bank, Direction, Remembered};
pub use self::config::{MemoryConfig, Version};
pub use self::lesson::{Lesson, Source};
pub use self::mask_prompt::mask_to_input;
pub use self::tracker::Tracker;
pub use self::video::{FrameOutput, Prompt, Sam2Video};

use self::mask_prompt::MaskPrompt;
use self::memory_attention::MemoryAttention;
use self::memory_encoder::MemoryEncoder;
use self::object_pointer::ObjectPointer;
use self::position::{Rotation, sine_of_places};
use crate::config::Sam2Config;
use crate::error::Result;
use crate::weights::Weights;
use crate::weights::loader::{LoadReport, Loader};
use crate::weights::parameters::Parameters;

/// The tensors of the video path, and the tables that follow from the size of the image.
#[derive(Debug, Clone)]
pub struct Memory {
    config: MemoryConfig,
    /// A frame looks at what is remembered.
    pub memory_attention: MemoryAttention,
    /// A frame is remembered.
    pub memory_encoder: MemoryEncoder,
    /// Object pointers.
    pub object_pointer: ObjectPointer,
    /// Masks as prompts.
    pub mask_prompt: MaskPrompt,
    /// Which of the last frames a map is: `[num_maskmem, mem_dim]`, the previous frame first, the
    /// prompted ones last.
    pub maskmem_tpos_enc: Tensor,
    /// Added to every token of the map of an absent object: `[mem_dim]`; 2.1 only.
    pub no_obj_embed_spatial: Option<Tensor>,
    /// Sine code of the frame's tokens: `[1, n, d]`.
    pub frame_pos: Tensor,
    /// Sine code of a map's tokens: `[1, n, mem_dim]`.
    pub map_pos: Tensor,
    /// How tokens are turned in the memory attention.
    pub rotation: Rotation,
}

impl Memory {
    /// The memory of `weights`, for a model of this description. Its own sizes and its version are
    /// read off the tensors; the side of its maps follows from the image's.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] for weights without a memory, or that mix 2.0 and 2.1;
    /// [`crate::Error::Misfit`] lists what is missing, of another shape, or belongs to no part.
    ///
    /// # Example
    /// ```
    /// use candle_core::Device;
    /// use ild_model::memory::{Memory, MemoryConfig, Version};
    /// use ild_model::{Sam2Config, Weights};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Sam2Config::from_name_or_file("nano")?;
    /// let images = Weights::random(&config, 7)?;
    /// let refused = Memory::load(&config, &images, &Device::Cpu).unwrap_err();
    /// assert!(refused.to_string().contains("expected tensors of SAM 2's memory"));
    ///
    /// let sizes = MemoryConfig { mem_dim: 16, dim_feedforward: 64, ..MemoryConfig::published(Version::Sam2_1) };
    /// let (memory, report) = Memory::load(&config, &images.with_random_memory(&config, &sizes, 7)?, &Device::Cpu)?;
    /// assert_eq!(memory.config().version, Version::Sam2_1);
    /// println!("{} tensors loaded", report.loaded.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(
        config: &Sam2Config,
        weights: &Weights,
        device: &Device,
    ) -> Result<(Self, LoadReport)> {
        let sizes = MemoryConfig::of(weights, config.d_model)?;
        let loader = Loader::frozen(weights);
        let memory = Self::build(config, &sizes, &loader.var_builder(device))?;
        Ok((memory, loader.report_of_memory(config)?))
    }

    /// A memory that can be trained, and its variables.
    ///
    /// # Errors
    /// As [`Memory::load`].
    pub fn trainable(
        config: &Sam2Config,
        weights: &Weights,
        device: &Device,
    ) -> Result<(Self, Parameters)> {
        let sizes = MemoryConfig::of(weights, config.d_model)?;
        let loader = Loader::trainable(weights);
        let memory = Self::build(config, &sizes, &loader.var_builder(device))?;
        loader.report_of_memory(config)?;
        Ok((memory, Parameters::new(loader.variables())))
    }

    pub(crate) fn build(
        config: &Sam2Config,
        sizes: &MemoryConfig,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let config = config.clone().validated()?;
        let (d, side, m) = (config.d_model, config.embedding_size(), sizes.mem_dim);
        let small = Init::Randn { mean: 0.0, stdev: 0.02 };
        let tpos = vb.get_with_hints((sizes.num_maskmem, 1, 1, m), "maskmem_tpos_enc", small)?;
        // For frames without memory that would look at an empty one: no published model does.
        vb.get_with_hints((1, 1, d), "no_mem_pos_enc", small)?;
        let no_obj_embed_spatial = match sizes.version {
            Version::Sam2 => None,
            Version::Sam2_1 => {
                Some(vb.get_with_hints((1, m), "no_obj_embed_spatial", small)?.squeeze(0)?)
            }
        };
        Ok(Self {
            memory_attention: MemoryAttention::new(sizes, d, vb.pp("memory_attention"))?,
            memory_encoder: MemoryEncoder::new(sizes, d, vb.pp("memory_encoder"))?,
            object_pointer: ObjectPointer::new(sizes, d, vb)?,
            mask_prompt: MaskPrompt::new(d, vb)?,
            maskmem_tpos_enc: tpos.reshape((sizes.num_maskmem, m))?,
            no_obj_embed_spatial,
            frame_pos: sine_of_places(side, d, vb.device())?,
            map_pos: sine_of_places(side, m, vb.device())?,
            rotation: Rotation::new(side, d, vb.device())?,
            config: *sizes,
        })
    }

    /// Its sizes and version.
    #[must_use]
    pub fn config(&self) -> &MemoryConfig {
        &self.config
    }
}
