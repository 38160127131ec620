//! From named tensors to a model: what was asked for, what was there, what was left.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::config::Sam2Config;
use crate::error::Error;
use crate::lesion_head;
use crate::weights::Weights;
use crate::weights::identify;
use crate::weights::misfit::Misfit;

/// The parts the reference trains, then ours, then those of the memory, which only a trainable
/// memory asks for; the optimiser's order is the order in which they are built.
const TRAINED: [&str; 10] = [
    "image_encoder.",
    "sam_mask_decoder.",
    lesion_head::PREFIX,
    "memory_attention.",
    "memory_encoder.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "maskmem_tpos_enc",
];

/// What became of every tensor of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Tensors of the image path.
    pub loaded: Vec<String>,
    /// Tensors of SAM 2's video path and mask prompts: kept and written back, not used.
    pub carried: Vec<String>,
}

/// What a model asked for while it was built.
#[derive(Debug, Default)]
struct Record {
    loaded: Vec<String>,
    misfit: Misfit,
    variables: Vec<(String, Var)>,
}

/// Hands tensors to a model that is being built, and keeps the record.
///
/// A missing tensor is noted and zeros are handed out, so that one error names all that is wrong.
pub(crate) struct Loader<'a> {
    weights: &'a Weights,
    trainable: bool,
    record: Arc<Mutex<Record>>,
}

struct Backend<'a> {
    weights: &'a Weights,
    trainable: bool,
    record: Arc<Mutex<Record>>,
}

impl<'a> Loader<'a> {
    pub fn frozen(weights: &'a Weights) -> Self {
        Self { weights, trainable: false, record: Arc::default() }
    }

    pub fn trainable(weights: &'a Weights) -> Self {
        Self { weights, trainable: true, record: Arc::default() }
    }

    pub fn var_builder(&self, device: &Device) -> VarBuilder<'a> {
        let backend = Backend {
            weights: self.weights,
            trainable: self.trainable,
            record: self.record.clone(),
        };
        VarBuilder::from_backend(Box::new(backend), DType::F32, device.clone())
    }

    /// Variables in the order the model was built.
    pub fn variables(&self) -> Vec<(String, Var)> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).variables.clone()
    }

    /// What was loaded of the memory, or everything that does not fit; the image path is left to
    /// others.
    pub fn report_of_memory(&self, config: &Sam2Config) -> crate::error::Result<LoadReport> {
        let (loaded, left) = self.loaded_and_left();
        let unused = left.into_iter().filter(|name| identify::is_carried(name)).collect();
        self.verdict(config, unused, LoadReport { loaded, carried: Vec::new() })
    }

    /// What was loaded and what is carried, or everything that does not fit.
    pub fn report(&self, config: &Sam2Config) -> crate::error::Result<LoadReport> {
        let (loaded, left) = self.loaded_and_left();
        let (carried, unused) = left.into_iter().partition(|name| identify::is_carried(name));
        self.verdict(config, unused, LoadReport { loaded, carried })
    }

    fn loaded_and_left(&self) -> (Vec<String>, Vec<String>) {
        let loaded = self.record.lock().unwrap_or_else(PoisonError::into_inner).loaded.clone();
        let known: BTreeSet<&str> = loaded.iter().map(String::as_str).collect();
        let left = self.weights.names().filter(|name| !known.contains(name));
        let left = left.map(str::to_owned).collect();
        (loaded, left)
    }

    fn verdict(
        &self,
        config: &Sam2Config,
        unused: Vec<String>,
        report: LoadReport,
    ) -> crate::error::Result<LoadReport> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut misfit = Misfit { unused, ..record.misfit.clone() };
        if misfit.is_empty() {
            return Ok(report);
        }
        misfit.origin.clone_from(&self.weights.origin);
        misfit.hint = identify::hint(self.weights, config);
        Err(Error::Misfit(Box::new(misfit)))
    }
}

impl Backend<'_> {
    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for Backend<'_> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let tensor = match self.weights.get(name) {
            Some(tensor) if tensor.shape() == &shape => {
                tensor.to_dtype(dtype)?.to_device(device)?
            }
            Some(other) => {
                let found = other.dims().to_vec();
                self.record().misfit.reshaped.push((name.to_owned(), shape.dims().to_vec(), found));
                Tensor::zeros(&shape, dtype, device)?
            }
            None => {
                self.record().misfit.missing.push(name.to_owned());
                Tensor::zeros(&shape, dtype, device)?
            }
        };
        self.record().loaded.push(name.to_owned());
        if !self.trainable || !TRAINED.iter().any(|part| name.starts_with(part)) {
            return Ok(tensor);
        }
        let variable = Var::from_tensor(&tensor)?;
        let tensor = variable.as_tensor().clone();
        self.record().variables.push((name.to_owned(), variable));
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("{name} was asked for without a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.get(name).is_some()
    }
}
