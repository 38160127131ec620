//! What a machine offers a model, and what a model takes of it.

use std::time::Instant;

use candle_core::Device;
use clap::ValueEnum;
use ndarray::Array3;
use serde::Serialize;

use crate::error::Result;
use crate::segment::segment;
use crate::{Precision, PrecisionWish, Sam2, Sam2Config, SliceBox, Weights};

/// Side of the slice that is measured with, in pixels: a chest CT's.
const SLICE: usize = 512;
/// A box somewhere on it.
const BOX: [f64; 4] = [120.0, 200.0, 180.0, 260.0];
/// The first slice also packs weights; the fastest counts.
const SLICES: usize = 2;

/// What models compute with here.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Best instruction set of the CPU that the kernels are compiled for.
    pub instruction_set: &'static str,
    /// `cpu` or `cuda`.
    pub device: &'static str,
    /// Whether this program can use a GPU at all.
    pub built_with_cuda: bool,
    /// What the image encoder can compute in on that device.
    pub precisions: Vec<&'static str>,
    /// What `--precision half` is there.
    pub half: &'static str,
}

impl Machine {
    /// This machine, computing on `device`.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        let all = Precision::value_variants().iter();
        Self {
            instruction_set: ild_ops::instruction_set(),
            device: if device.is_cpu() { "cpu" } else { "cuda" },
            built_with_cuda: candle_core::utils::cuda_is_available(),
            precisions: all.filter(|p| p.runs_on(device)).map(|p| p.name()).collect(),
            half: PrecisionWish::Half.on(device).name(),
        }
    }
}

/// What one box on one slice costs a model.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Numbers among the weights.
    pub weights: usize,
    /// Seconds from a slice of 512 × 512 pixels and a box to a mask, once the model is loaded.
    pub seconds_per_slice: f64,
    /// Most memory this process has held so far, bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
}

impl Cost {
    /// Loads a model with random weights and segments a slice with it.
    ///
    /// # Errors
    /// When the model does not fit the device, or cannot compute in `precision` there.
    pub fn measure(
        config: &Sam2Config,
        device: &Device,
        precision: PrecisionWish,
        seed: u64,
    ) -> Result<Self> {
        let weights = Weights::random(config, seed)?;
        let numbers = weights.elements();
        let (mut model, _) = Sam2::load(config, &weights, device)?;
        drop(weights);
        model.set_precision(precision)?;
        let slice =
            Array3::from_shape_fn((SLICE, SLICE, 3), |(y, x, c)| (y + 2 * x + 40 * c) as u8);
        let mut fastest = f64::INFINITY;
        for _ in 0..SLICES {
            let started = Instant::now();
            segment(&model, &slice, SliceBox::new(BOX), device)?;
            fastest = fastest.min(started.elapsed().as_secs_f64());
        }
        Ok(Self {
            weights: numbers,
            seconds_per_slice: fastest,
            peak_memory_bytes: ild_cli::peak_memory_bytes(),
        })
    }
}
