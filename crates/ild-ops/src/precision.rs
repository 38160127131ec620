//! In which precision products are computed.

use candle_core::{DType, Device, Result, bail};
use serde::{Deserialize, Serialize};

use super::gpu;
use super::isa::half_available;

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
    /// Eight bits with f32's range, on a GPU only: half the memory for activations.
    Bf16,
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
            Self::F16 => device.is_cpu() && half_available(),
            Self::Bf16 => gpu::runs_on(device),
        }
    }

    /// What [`Precision::runs_on`] asks for, in words.
    #[must_use]
    pub fn needs(self) -> &'static str {
        match self {
            Self::F32 => "any device",
            Self::F16 => "a CPU with AVX512-FP16 (Intel Sapphire Rapids or later)",
            Self::Bf16 => "a GPU",
        }
    }

    /// The type of the encoder's tensors; f16 rounds inside products only.
    #[must_use]
    pub fn dtype(self) -> DType {
        if self == Self::Bf16 { DType::BF16 } else { DType::F32 }
    }

    /// An error where it does not [run](Self::runs_on).
    pub(crate) fn require_on(self, device: &Device) -> Result<()> {
        if !self.runs_on(device) {
            bail!("precision {}: expected {}, found another device", self.name(), self.needs());
        }
        Ok(())
    }
}
