//! What a run consists of.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Device;
use ild_io::LabelTable;
use ild_model::{Sam2Config, Weights};

use crate::data::dataset::SliceDataset;
use crate::data::items::ItemSettings;
use crate::error::Result;
use crate::peers::{Alone, Peers};
use crate::run::recipe::Recipe;

/// What a run consists of.
pub struct Setup {
    /// Name of the model, as given to `--model`.
    pub model: String,
    /// Its description.
    pub config: Sam2Config,
    /// Weights to start from, with everything else the checkpoint held.
    pub weights: Weights,
    /// Where the tensors live.
    pub device: Device,
    /// Slices to learn from.
    pub train: Arc<SliceDataset>,
    /// Slices to choose the best epoch by.
    pub valid: Option<Arc<SliceDataset>>,
    /// How to train.
    pub recipe: Recipe,
    /// Seed of every draw.
    pub seed: u64,
    /// Threads that prepare items.
    pub loader_threads: usize,
    /// Save the state every so many steps besides the end of each epoch; 0 is never.
    pub save_every_steps: u64,
    /// Names of the labels, for the saved weights.
    pub label_table: LabelTable,
    /// Further entries for the metadata of the saved weights.
    pub metadata: BTreeMap<String, String>,
    /// Fingerprints of what the run is made from, for the state.
    pub made_from: BTreeMap<String, String>,
    /// The processes that train together; the recipe's batch size is that of one of them.
    pub peers: Arc<dyn Peers>,
}

impl Setup {
    /// Random weights, no validation slices, on the CPU; every field can be changed afterwards.
    ///
    /// # Errors
    /// When `model` is neither a known size nor a file that describes one.
    pub fn new(model: &str, train: SliceDataset, recipe: Recipe) -> Result<Self> {
        const SEED: u64 = 2024;
        let config = Sam2Config::from_name_or_file(model)?;
        Ok(Self {
            model: model.to_owned(),
            weights: Weights::random(&config, SEED)?,
            config,
            device: Device::Cpu,
            train: Arc::new(train),
            valid: None,
            recipe,
            seed: SEED,
            loader_threads: 2,
            save_every_steps: 0,
            label_table: LabelTable::default(),
            metadata: BTreeMap::new(),
            made_from: BTreeMap::new(),
            peers: Arc::new(Alone),
        })
    }

    /// How items are made.
    pub(crate) fn items(&self) -> ItemSettings {
        ItemSettings {
            asking: self.recipe.asking(),
            image_size: self.config.image_size,
            bbox_shift: self.recipe.bbox_shift,
            augmentation: self.recipe.augmentation,
            seed: self.seed,
            threads: self.loader_threads,
            clip_slices: self.recipe.clip_slices,
        }
    }
}
