//! The model of a run, loaded once.

use std::path::{Path, PathBuf};

use ild_cli::DeviceChoice;
use ild_io::LabelTable;
use ild_model::memory::Memory;
use ild_model::{Precision, PrecisionWish, Sam2, Sam2Config, Weights};
use ild_preprocess::Windowing;
use serde::Serialize;
use serde_json::json;

use crate::find::Fitted;
use crate::model::encode::feature_bytes;
use crate::{Error, FeatureStore, Result, window_choice};

/// A model and what its checkpoint says about itself.
pub struct Engine {
    /// Ready for inference.
    pub model: Sam2,
    /// Models that answer beside it; the mean of all answers counts.
    pub others: Vec<Sam2>,
    /// Whether each model also looks at the mirror image of a slice.
    pub mirrored: bool,
    /// What it remembers slices with, once [`Engine::with_memory`] has loaded it.
    pub memory: Option<Memory>,
    /// Slices encoded at once.
    pub batch: usize,
    /// Where it came from.
    pub origin: Origin,
    /// Window of its training data.
    pub window: Option<Windowing>,
    /// Labels of its training data.
    pub label_table: Option<LabelTable>,
    /// The rules of the search that were fitted to it.
    pub fitted: Option<Fitted>,
    /// Weights that answer beside it and have other rules.
    pub fitted_otherwise: Option<PathBuf>,
    /// Whether its own scores (predicted IoU, object score) were ever taught anything.
    pub scores_are_trained: bool,
}

/// Which size, and who says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelName<'a> {
    /// The user.
    pub typed: Option<&'a str>,
    /// Whom to believe when neither the user nor the checkpoint says.
    pub otherwise: Option<&'a str>,
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
    /// What the image encoder computed in.
    pub precision: Precision,
    /// The weights that answer beside these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Member>,
    /// Whether each also looked at the mirror image of a slice.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mirrored: bool,
}

/// Weights that answer beside others.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// File.
    pub checkpoint: PathBuf,
    /// Of the file's bytes.
    pub sha256: String,
}

impl Engine {
    /// Loads `checkpoint` as `model` (or as the size its metadata names, see [`ModelName`]).
    ///
    /// # Errors
    /// What reading and building refuse; a checkpoint that does not say its size when `model` does
    /// not either.
    pub fn load(
        checkpoint: &Path,
        model: ModelName,
        device: DeviceChoice,
        precision: impl Into<PrecisionWish>,
        batch: Option<usize>,
    ) -> Result<Self> {
        let weights = Weights::read(checkpoint)?;
        weights.require_finite(checkpoint)?;
        let says = Metadata::read(&weights, checkpoint)?;
        let name = model
            .typed
            .or(weights.metadata.get("model").map(String::as_str))
            .or(model.otherwise)
            .map(str::to_owned)
            .ok_or_else(|| {
                Error::refused(
                    checkpoint,
                    "a checkpoint that says its size",
                    "none in its metadata",
                    "add --model t, s, b+, l, nano, t512 or a TOML description",
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
            precision: model.precision(),
            others: Vec::new(),
            mirrored: false,
        };
        Ok(Self {
            model,
            others: Vec::new(),
            mirrored: false,
            memory: None,
            batch: batch.unwrap_or(if on_gpu { 4 } else { 1 }),
            origin,
            window: says.window,
            fitted: Fitted::of(&weights, checkpoint)?,
            fitted_otherwise: None,
            scores_are_trained: weights.scores_are_trained(),
            label_table: says.label_table,
        })
    }

    /// A model that was built elsewhere, of which nothing else is known.
    #[must_use]
    pub fn of_model(model: Sam2) -> Self {
        let on_gpu = !model.device().is_cpu();
        let origin = Origin {
            checkpoint: PathBuf::new(),
            sha256: String::new(),
            model: String::new(),
            device: if on_gpu { "cuda".to_owned() } else { "cpu".to_owned() },
            precision: model.precision(),
            others: Vec::new(),
            mirrored: false,
        };
        Self {
            model,
            others: Vec::new(),
            mirrored: false,
            memory: None,
            batch: if on_gpu { 4 } else { 1 },
            origin,
            window: None,
            fitted: None,
            fitted_otherwise: None,
            scores_are_trained: true,
            label_table: None,
        }
    }

    /// The same with the memory of its checkpoint.
    ///
    /// # Errors
    /// A checkpoint without one, and what reading and building refuse.
    pub fn with_memory(mut self) -> Result<Self> {
        let weights = Weights::read(&self.origin.checkpoint)?;
        let (memory, _) = Memory::load(self.model.config(), &weights, self.model.device())?;
        self.memory = Some(memory);
        Ok(self)
    }

    /// The same with the model of `other` answering beside it.
    ///
    /// # Errors
    /// When the two were trained for different questions: another input size or window, other
    /// classes or names.
    pub fn joined(mut self, other: Self) -> Result<Self> {
        let differ = |what: &str, [ours, theirs]: [String; 2]| {
            let next = "weights that answer together come from one kind of training: the folds of one cross-validation, or other seeds";
            Err(Error::refused(
                &other.origin.checkpoint,
                format!("the {what} of {}, {ours}", self.origin.checkpoint.display()),
                theirs,
                next,
            ))
        };
        let engines = [&self, &other];
        let sides = engines.map(Self::side);
        let windows = engines.map(|engine| engine.window.map(|window| window.to_string()));
        let classes = engines.map(|engine| {
            engine.model.lesion_head().map(|head| head.classes().to_vec()).unwrap_or_default()
        });
        if sides[0] != sides[1] {
            return differ("input", sides.map(|side| format!("{side} px")));
        }
        if windows[0] != windows[1] {
            return differ("window", windows.map(|window| window.unwrap_or("none".to_owned())));
        }
        if classes[0] != classes[1] {
            return differ("classes", classes.map(|ids| format!("{ids:?}")));
        }
        if self.label_table != other.label_table {
            let names = engines.map(|engine| engine.label_table.as_ref());
            return differ("label names", names.map(|table| json!(table).to_string()));
        }
        let rules = [&self, &other].map(|engine| engine.fitted.as_ref().map(|fitted| fitted.rules));
        if rules[0] != rules[1] {
            self.fitted_otherwise.get_or_insert(other.origin.checkpoint.clone());
        }
        let Origin { checkpoint, sha256, .. } = other.origin;
        self.origin.others.push(Member { checkpoint, sha256 });
        self.others.push(other.model);
        self.scores_are_trained &= other.scores_are_trained;
        Ok(self)
    }

    /// The same that also looks at the mirror image of each slice.
    #[must_use]
    pub fn with_mirror_image(mut self) -> Self {
        self.mirrored = true;
        self.origin.mirrored = true;
        self
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
        let bytes = feature_bytes(config.image_size, config.d_model) * self.view_count();
        (memory_mib * (1 << 20) / bytes).max(2 * self.batch)
    }

    /// A store for features that takes `memory_mib`.
    #[must_use]
    pub fn feature_store(&self, memory_mib: usize) -> FeatureStore {
        FeatureStore::new(self.capacity(memory_mib))
    }
}

/// What a checkpoint says about its training data.
struct Metadata {
    window: Option<Windowing>,
    label_table: Option<LabelTable>,
}

impl Metadata {
    /// A checkpoint may say nothing; what it says must be readable.
    fn read(weights: &Weights, checkpoint: &Path) -> Result<Self> {
        let refused = |key: &str, wish: &str, error: serde_json::Error| {
            let next = "the file is damaged: take another copy, or write it again with ild-train";
            Error::refused(
                checkpoint,
                format!("{wish} in `{key}` of its metadata"),
                error.to_string(),
                next,
            )
        };
        let window = weights.metadata.get("window").map(|text| window_choice::of_metadata(text));
        let table = weights.metadata.get("label_table").map(|text| serde_json::from_str(text));
        Ok(Self {
            window: window
                .transpose()
                .map_err(|error| refused("window", "a window", error))?
                .flatten(),
            label_table: table
                .transpose()
                .map_err(|error| refused("label_table", "a label table", error))?,
        })
    }
}
