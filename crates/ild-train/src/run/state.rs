//! The state file: parameters, moments, moving average and position in one safetensors file.
//!
//! One file, written beside and renamed: whatever moment a run is killed at, the file belongs to
//! one step.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use ild_cli::FileError;
use ild_model::Weights;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::optimiser::adamw::Moments;
use crate::optimiser::epoch_mean::EpochMean;
use crate::run::progress::Progress;
use crate::run::recipe::Recipe;

/// Metadata key of the [`Header`].
const KEY: &str = "ild_train_state";
/// Raised when the meaning of the file changes.
const FORMAT: u32 = 1;

/// What a state says about the run it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// Name of the model.
    pub model: String,
    /// Seed of the run.
    pub seed: u64,
    /// Settings.
    pub recipe: Recipe,
    /// Which slices were trained on, see [`crate::SliceDataset::fingerprint`].
    pub data: u64,
    /// Position.
    pub progress: Progress,
    /// Processes that trained together.
    #[serde(default = "one")]
    pub processes: usize,
    /// Parameter name → updates so far.
    updates: BTreeMap<String, u64>,
    /// Updates of the moving average.
    ema_updates: Option<u64>,
    /// First and number of the epochs whose weights are summed up.
    #[serde(default)]
    mean_of: Option<[usize; 2]>,
    /// Fingerprints of what the run is made from: slices, weights, description of the model.
    #[serde(default)]
    pub made_from: BTreeMap<String, String>,
    /// What the weights that the run began with say about themselves.
    #[serde(default)]
    pub origin: BTreeMap<String, String>,
}

/// Before there were several processes the state did not say how many.
fn one() -> usize {
    1
}

/// A state in memory; the tensors are in the parameters' order.
#[derive(Debug)]
pub struct State {
    /// The run it belongs to.
    pub header: Header,
    /// Tensors that are not trained, by name.
    pub frozen: Vec<(String, Tensor)>,
    /// Values.
    pub parameters: Vec<Tensor>,
    /// Moments; `None` for parameters that never had a gradient.
    pub moments: Vec<Option<Moments>>,
    /// Updates and values of the moving average.
    pub ema: Option<(u64, Vec<Tensor>)>,
    /// Sum over the last epochs.
    pub mean: Option<EpochMean>,
}

impl Header {
    /// A header of the current format.
    #[must_use]
    pub fn new(model: String, seed: u64, recipe: Recipe, data: u64, progress: Progress) -> Self {
        Self {
            format: FORMAT,
            model,
            seed,
            recipe,
            data,
            progress,
            processes: 1,
            updates: BTreeMap::new(),
            ema_updates: None,
            mean_of: None,
            made_from: BTreeMap::new(),
            origin: BTreeMap::new(),
        }
    }
}

impl State {
    /// Writes the state atomically; `names` are the parameters' names.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, names: &[String]) -> Result<()> {
        let mut header = self.header.clone();
        header.ema_updates = self.ema.as_ref().map(|(updates, _)| *updates);
        header.mean_of = self.mean.as_ref().map(|mean| [mean.first, mean.epochs]);
        let mut tensors = Weights::default();
        for (name, tensor) in &self.frozen {
            tensors.insert(format!("frozen.{name}"), tensor.clone());
        }
        for (i, name) in names.iter().enumerate() {
            tensors.insert(format!("parameter.{name}"), self.parameters[i].clone());
            if let Some(moments) = &self.moments[i] {
                header.updates.insert(name.clone(), moments.step);
                tensors.insert(format!("exp_avg.{name}"), moments.exp_avg.clone());
                tensors.insert(format!("exp_avg_sq.{name}"), moments.exp_avg_sq.clone());
            }
            if let Some((_, averages)) = &self.ema {
                tensors.insert(format!("ema.{name}"), averages[i].clone());
            }
            if let Some(mean) = &self.mean {
                tensors.insert(format!("epochs_sum.{name}"), mean.sums[i].clone());
            }
        }
        let text = serde_json::to_string(&header).map_err(FileError::at(path, "written"))?;
        Ok(tensors.write_safetensors(path, &BTreeMap::from([(KEY.to_owned(), text)]))?)
    }

    /// Reads a state whose parameters have these names and shapes.
    ///
    /// # Errors
    /// When the file is not a state, is cut short, or belongs to a model with other parameters.
    pub fn read(path: &Path, parameters: &[(String, Vec<usize>)], device: &Device) -> Result<Self> {
        let tensors = Weights::read(path)?;
        let header = header_of(path, &tensors)?;
        let tensor = |kind: &str, name: &str, shape: &[usize]| -> Result<Tensor> {
            let full = format!("{kind}.{name}");
            match tensors.get(&full) {
                Some(tensor) if tensor.dims() == shape && tensor.dtype() == DType::F32 => {
                    Ok(tensor.to_device(device)?)
                }
                Some(tensor) => Err(other_model(
                    path,
                    &header,
                    format!("`{full}` of shape {:?}, this model's is {shape:?}", tensor.dims()),
                )),
                None => Err(other_model(path, &header, format!("no tensor `{full}`"))),
            }
        };
        let (mut values, mut moments) = (Vec::new(), Vec::new());
        let (mut averages, mut sums) = (Vec::new(), Vec::new());
        for (name, shape) in parameters {
            values.push(tensor("parameter", name, shape)?);
            let restore = |&step: &u64| {
                Ok::<_, Error>(Moments {
                    step,
                    exp_avg: tensor("exp_avg", name, shape)?,
                    exp_avg_sq: tensor("exp_avg_sq", name, shape)?,
                })
            };
            moments.push(header.updates.get(name).map(restore).transpose()?);
            if header.ema_updates.is_some() {
                averages.push(tensor("ema", name, shape)?);
            }
            if header.mean_of.is_some() {
                sums.push(tensor("epochs_sum", name, shape)?);
            }
        }
        let mean = header.mean_of.map(|[first, epochs]| EpochMean { first, epochs, sums });
        let ema = header.ema_updates.map(|updates| (updates, averages));
        let frozen = tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix("frozen.")?.to_owned(), tensor.clone()))
        });
        Ok(Self { frozen: frozen.collect(), header, parameters: values, moments, ema, mean })
    }
}

/// The weights in a state file, trained and frozen, under Meta's names: what to build the model of
/// a resumed run from.
///
/// # Errors
/// When the file is not a state.
pub fn read_state_weights(path: &Path) -> Result<Weights> {
    let tensors = Weights::read(path)?;
    let mut weights = Weights::default();
    weights.metadata = header_of(path, &tensors)?.origin;
    for (name, tensor) in tensors.iter() {
        if let Some(name) = name.strip_prefix("parameter.").or_else(|| name.strip_prefix("frozen."))
        {
            weights.insert(name, tensor.clone());
        }
    }
    Ok(weights)
}

/// Only the header of a state file.
///
/// # Errors
/// When the file is not a state.
pub fn read_state_header(path: &Path) -> Result<Header> {
    header_of(path, &Weights::read(path)?)
}

fn header_of(path: &Path, tensors: &Weights) -> Result<Header> {
    let text = tensors
        .metadata
        .get(KEY)
        .ok_or_else(|| not_a_state(path, "weights without one".to_owned()))?;
    let header: Header =
        serde_json::from_str(text).map_err(|error| not_a_state(path, error.to_string()))?;
    if header.format != FORMAT {
        return Err(not_a_state(
            path,
            format!("format {}, this program writes {FORMAT}", header.format),
        ));
    }
    Ok(header)
}

fn not_a_state(path: &Path, found: String) -> Error {
    let next =
        "give the state.safetensors of a run folder, or start from weights with --pretrained";
    Error::WrongState { path: path.to_owned(), expected: "of ild-train".to_owned(), found, next }
}

fn other_model(path: &Path, header: &Header, found: String) -> Error {
    let found = format!("{found} (it was written for `{}`)", header.model);
    Error::WrongState {
        path: path.to_owned(),
        expected: "of the same model".to_owned(),
        found,
        next: "give the --model it was trained with",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Shapes = Vec<(String, Vec<usize>)>;

    fn state() -> (State, Vec<String>, Shapes) {
        let t = |v: f32| Tensor::full(v, (2, 3), &Device::Cpu).unwrap();
        let mut progress = Progress { steps_done: 17, epochs_done: 2, ..Progress::default() };
        progress.running.items_done = 5;
        progress.running.loss.add(&[0.1], &[0.2]);
        let state = State {
            header: Header::new("nano".to_owned(), 9, Recipe::default(), 77, progress),
            frozen: vec![("c.weight".to_owned(), t(5.0))],
            parameters: vec![t(1.0), t(0.1)],
            moments: vec![Some(Moments { step: 17, exp_avg: t(1e-30), exp_avg_sq: t(3.3) }), None],
            ema: Some((17, vec![t(0.7), t(0.8)])),
            mean: Some(EpochMean { first: 2, epochs: 1, sums: vec![t(0.3), t(0.4)] }),
        };
        let names = vec!["a.weight".to_owned(), "b.bias".to_owned()];
        let shapes = names.iter().map(|name| (name.clone(), vec![2, 3])).collect();
        (state, names, shapes)
    }

    #[test]
    fn a_state_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::run::run_folder::STATE);
        let (state, names, shapes) = state();
        state.write(&path, &names).unwrap();
        let back = State::read(&path, &shapes, &Device::Cpu).unwrap();
        assert_eq!(back.header.progress, state.header.progress);
        assert_eq!(back.header.recipe, state.header.recipe);
        let bits = |t: &Tensor| {
            t.flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
                .iter()
                .map(|v| v.to_bits())
                .collect::<Vec<_>>()
        };
        let (ours, theirs) =
            (back.moments[0].as_ref().unwrap(), state.moments[0].as_ref().unwrap());
        assert_eq!(
            (ours.step, bits(&ours.exp_avg), bits(&ours.exp_avg_sq)),
            (17, bits(&theirs.exp_avg), bits(&theirs.exp_avg_sq))
        );
        assert!(back.moments[1].is_none());
        assert_eq!(
            read_state_weights(&path).unwrap().names().collect::<Vec<_>>(),
            ["a.weight", "b.bias", "c.weight"]
        );
        assert_eq!(bits(&back.parameters[1]), bits(&state.parameters[1]));
        assert_eq!(bits(&back.ema.unwrap().1[0]), bits(&state.ema.as_ref().unwrap().1[0]));
        let (ours, theirs) = (back.mean.unwrap(), state.mean.unwrap());
        assert_eq!((ours.first, ours.epochs, bits(&ours.sums[1])), (2, 1, bits(&theirs.sums[1])));
    }

    #[test]
    fn foreign_and_broken_files_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let (state, names, mut shapes) = state();
        let refusal = |shapes: &[(String, Vec<usize>)]| {
            let error = State::read(&path, shapes, &Device::Cpu).unwrap_err();
            assert!(error.is_rejection());
            error.to_string()
        };
        state.write(&path, &names).unwrap();
        shapes[1].1 = vec![3, 2];
        assert!(
            refusal(&shapes).contains("`parameter.b.bias` of shape [2, 3], this model's is [3, 2]"),
            "{}",
            refusal(&shapes)
        );
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert!(refusal(&shapes).contains("expected"), "{}", refusal(&shapes));
        std::fs::remove_file(&path).unwrap();
        let mut weights = Weights::default();
        weights.insert("a", state.parameters[0].clone());
        weights.write_safetensors(&path, &BTreeMap::new()).unwrap();
        assert!(refusal(&shapes).contains("weights without one"));
    }
}
