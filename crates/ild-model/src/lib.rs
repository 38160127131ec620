//! The image path of SAM 2 (Ravi et al. 2024, arXiv:2408.00714) in Candle.
//!
//! An image is encoded once; every box or set of points then becomes a mask at little cost.
//! The numbers are PyTorch's (`docs/parity.md`), and each part has the name and the tensors it has
//! there:
//!
//! ```text
//! image_encoder.trunk       hiera            tokens in four stages
//! image_encoder.neck        fpn_neck         every stage to d channels
//! sam_prompt_encoder        prompt_encoder   boxes and points as tokens
//! sam_mask_decoder          mask_decoder     transformer, upscaling, one mask per token
//! memory_…, obj_ptr_…       memory           SAM 2's video path: a slice remembers others
//! lesion_head               lesion_head      ours, optional: lesions and their classes without a prompt
//! ```
//!
//! # Example
//! ```
//! use candle_core::{Device, Tensor};
//! use ild_model::{DecodeMode, Sam2, Sam2Config, SliceBox, SliceSize, Weights, image_to_input, logits_to_probability};
//! use ndarray::Array3;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Sam2Config::from_name_or_file("nano")?;
//! let weights = Weights::random(&config, 7)?; // or Weights::read("sam2_hiera_tiny.pt".as_ref())?
//! let (model, report) = Sam2::load(&config, &weights, &Device::Cpu)?;
//! println!("{} tensors loaded, {} carried", report.loaded.len(), report.carried.len());
//!
//! let slice = Array3::<u8>::from_elem((512, 512, 3), 90); // [y, x, rgb]
//! let s = config.image_size;
//! let input = image_to_input(slice.view(), s);
//! let input = Tensor::from_slice(input.as_slice().unwrap_or_default(), (1, 3, s, s), &Device::Cpu)?;
//! let features = model.encode_image(&input)?;
//!
//! let size = SliceSize { height: 512, width: 512 };
//! for pixels in [[40.0, 60.0, 120.0, 160.0], [300.0, 200.0, 380.0, 290.0]] {
//!     let corners = SliceBox::new(pixels).to_input(size, s).to_f32();
//!     let corners = Tensor::new(&[corners], &Device::Cpu)?;
//!     let mask = model.decode_box(&features, &corners, DecodeMode::Eval)?;
//!     let side = config.mask_size();
//!     let logits = ndarray::Array2::from_shape_vec((side, side), mask.logits.flatten_all()?.to_vec1()?)?;
//!     let probability = logits_to_probability(logits.view(), 512, 512);
//!     println!("{} pixels", probability.iter().filter(|p| **p > 0.5).count());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Letters in the shapes
//! | letter | meaning |
//! |---|---|
//! | `b` | images, or prompts of one image, in the batch |
//! | `s` | side of the square input in pixels (`image_size`) |
//! | `h`, `w` | rows and columns of a map |
//! | `c` | channels; in the trunk, of the first stage (`embed_dim`) |
//! | `d` | channels of neck and decoder (`d_model`) |
//! | `n` | tokens of an image (`h·w`), or points of a prompt |
//! | `t` | tokens of a prompt |
//!
//! Maps are channels-last (`[b, h, w, c]`) from the first token to the mask; the input and the
//! logits are channels-first.
//!
//! What is deliberately absent: any knowledge of CT.

pub mod checkpoint;
pub mod config;
pub mod decoder;
mod device;
pub mod encoder;
mod error;
mod features;
mod image;
mod input;
mod layers;
pub mod lesion_head;
pub mod machine;
pub mod memory;
mod sam2;
pub mod segment;
pub mod weights;

pub use config::Sam2Config;
pub use decoder::mask_selection::{DecodeMode, stability_scores};
pub use device::open_device;
pub use encoder::image_encoder::ImageEncoder;
pub use error::{Error, Result};
pub use features::{FrameFeatures, ImageFeatures, MaskPrediction};
pub use ild_ops::{Aside, Precision, PrecisionWish};
pub use image::bicubic::resize_bicubic_u8;
pub use image::coordinates::{InputBox, InputPoint, SliceBox, SlicePoint, SliceSize};
pub use image::resize::{resize_antialiased, resize_plain};
pub use image::transform::{MEAN, STD, image_to_input, logits_to_probability};
pub use layers::{LayerNorm, Linear, Mlp};
pub use lesion_head::{LesionHead, LesionMaps, LesionProbabilities};
pub use sam2::Sam2;
pub use weights::identify::{Likeness, is_carried};
pub use weights::loader::LoadReport;
pub use weights::misfit::Misfit;
pub use weights::parameters::Parameters;
pub use weights::{FITTED, KNOWN_CASES, Weights};
