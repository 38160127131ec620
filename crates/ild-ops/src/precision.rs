//! In which precision products are computed.

use candle_core::{DType, Device, Result, bail};
use serde::{Deserialize, Serialize};

use super::gpu;
use super::isa::{bf16_is_fast, f16_available};

/// What the image encoder computes in. Weights, sums, the decoder and every result are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision, as the reference; runs everywhere.
    #[default]
    F32,
    /// IEEE binary16 for the operands of products: faster on a CPU with AVX512-FP16; for inference
    /// only.
    F16,
    /// Eight bits with f32's range for the operands of products: faster on a CPU of AMD's with
    /// AVX512-BF16 (Zen 4 and later), the same numbers everywhere. On a GPU activations are in it
    /// too.
    Bf16,
}

/// What a user may ask for: a precision, or the fastest below f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionWish {
    /// [`Precision::F32`].
    #[default]
    F32,
    /// [`Precision::F16`].
    F16,
    /// [`Precision::Bf16`].
    Bf16,
    /// Whichever is known to be faster than f32 on this device; f32 where none is.
    Half,
}

impl PrecisionWish {
    /// What it is on this device.
    ///
    /// [`Self::Half`] goes by the processor's family, so that it is the same in every run: bf16 on
    /// a GPU, f16 with AVX512-FP16, bf16 on AMD's processors with AVX512-BF16, else f32.
    #[must_use]
    pub fn on(self, device: &Device) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::F16 => Precision::F16,
            Self::Bf16 => Precision::Bf16,
            Self::Half if gpu::runs_on(device) => Precision::Bf16,
            Self::Half if Precision::F16.runs_on(device) => Precision::F16,
            Self::Half if device.is_cpu() && bf16_is_fast() => Precision::Bf16,
            Self::Half => Precision::F32,
        }
    }

    /// What a user should know of it there: that it is not faster than f32.
    #[must_use]
    pub fn note_on(self, device: &Device) -> Option<&'static str> {
        match (self, self.on(device)) {
            (Self::Half, Precision::F32) => Some(
                "precision half: no precision below f32 is known to be faster on this processor, so this is f32",
            ),
            (_, Precision::Bf16) if device.is_cpu() && !bf16_is_fast() => Some(
                "precision bf16: its products are not faster than f32's on this processor (AMD's with AVX512-BF16 are known for it)",
            ),
            _ => None,
        }
    }
}

impl From<Precision> for PrecisionWish {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

impl Precision {
    /// As typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether a model on this device can compute in it.
    #[must_use]
    pub fn runs_on(self, device: &Device) -> bool {
        match self {
            Self::F32 => true,
            Self::F16 => device.is_cpu() && f16_available(),
            Self::Bf16 => device.is_cpu() || gpu::runs_on(device),
        }
    }

    /// What [`Precision::runs_on`] asks for, in words.
    #[must_use]
    pub fn needs(self) -> &'static str {
        match self {
            Self::F32 => "any device",
            Self::F16 => "a CPU with AVX512-FP16 (Intel Sapphire Rapids or later)",
            Self::Bf16 => "a CPU, or a GPU that this build can use",
        }
    }

    /// The type of the encoder's tensors; where no kernel of a GPU computes, only operands of
    /// products are rounded.
    #[must_use]
    pub fn dtype_on(self, device: &Device) -> DType {
        if self == Self::Bf16 && gpu::runs_on(device) { DType::BF16 } else { DType::F32 }
    }

    /// An error where it does not [run](Self::runs_on).
    pub(crate) fn require_on(self, device: &Device) -> Result<()> {
        if !self.runs_on(device) {
            bail!("precision {}: expected {}, found another device", self.name(), self.needs());
        }
        Ok(())
    }
}
