//! The model of a run, loaded once.

use std::path::{Path, PathBuf};

use ild_cli::DeviceChoice;
use ild_io::LabelTable;
use ild_model::{Precision, Sam2, Sam2Config, Weights};
use ild_preprocess::Windowing;
use serde::Serialize;

use crate::{Error, Result, feature_bytes, window_choice};

/// A model and what its checkpoint says about itself.
pub struct Engine {
    /// Ready for inference.
    pub model: Sam2,
    /// Slices encoded at once.
    pub batch: usize,
    /// Where it came from.
    pub origin: Origin,
    /// Window of its training data.
    pub window: Option<Windowing>,
    /// Labels of its training data.
    pub label_table: Option<LabelTable>,
    /// Whether its own scores (predicted IoU, object score) were ever taught anything.
    pub scores_are_trained: bool,
}

/// Which weights, which size, where.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// File.
    pub checkpoint: PathBuf,
    /// Of the file's bytes.
    pub sha256: String,
    /// Size or description.
    pub model: String,
    /// CPU or GPU.
    pub device: String,
}

impl Engine {
    /// Loads `checkpoint` as `model` (or as the size its metadata names).
    ///
    /// # Errors
    /// What reading and building refuse; a checkpoint that does not say its size when `model` does
    /// not either.
    pub fn load(
        checkpoint: &Path,
        model: Option<&str>,
        device: DeviceChoice,
        precision: Precision,
        batch: Option<usize>,
    ) -> Result<Self> {
        let weights = Weights::read(checkpoint)?;
        let name = model
            .map(str::to_owned)
            .or_else(|| weights.metadata.get("model").cloned())
            .ok_or_else(|| {
                Error::refused(
                    checkpoint,
                    "a checkpoint that says its size",
                    "none in its metadata",
                    "add --model t, s, b+, l, nano or a TOML description",
                )
            })?;
        let config = Sam2Config::from_name_or_file(&name)?;
        let device = ild_model::open_device(device)?;
        let (mut model, _report) = Sam2::load(&config, &weights, &device)?;
        model.set_precision(precision)?;
        let on_gpu = !device.is_cpu();
        let origin = Origin {
            checkpoint: checkpoint.to_owned(),
            sha256: ild_cli::sha256_of_file(checkpoint)?,
            model: name,
            device: if on_gpu { "cuda".to_owned() } else { "cpu".to_owned() },
        };
        Ok(Self {
            model,
            batch: batch.unwrap_or(if on_gpu { 4 } else { 1 }),
            origin,
            window: weights
                .metadata
                .get("window")
                .and_then(|text| window_choice::of_metadata(text)),
            scores_are_trained: weights.scores_are_trained(),
            label_table: weights
                .metadata
                .get("label_table")
                .and_then(|text| serde_json::from_str(text).ok()),
        })
    }

    /// Side of the model's input, px.
    #[must_use]
    pub fn side(&self) -> usize {
        self.model.config().image_size
    }

    /// Slices whose features fit into `memory_mib`; at least what encoding ahead needs.
    #[must_use]
    pub fn capacity(&self, memory_mib: usize) -> usize {
        let config = self.model.config();
        (memory_mib * (1 << 20) / feature_bytes(config.image_size, config.d_model))
            .max(2 * self.batch)
    }
}
