//! What a checkpoint is and whether a model can be made of it.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::Device;
use serde::Serialize;

use crate::config::Sam2Config;
use crate::error::{Error, Result};
use crate::memory::{Memory, Version};
use crate::sam2::Sam2;
use crate::weights::Weights;
use crate::weights::identify::Likeness;
use crate::weights::misfit::Misfit;

/// What there is to say about a checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Tensors in the file.
    pub tensors: usize,
    /// Numbers in them.
    pub elements: usize,
    /// Words stored beside the tensors.
    pub metadata: BTreeMap<String, String>,
    /// Which model it looks like, in words; `None` when there is no SAM 2 image encoder in it.
    pub looks_like: Option<String>,
    /// How many numbers each part holds, largest first.
    pub parts: Vec<(String, usize)>,
    /// Tensors of the image path, when a model was at hand to hold the file against.
    pub loaded: usize,
    /// Tensors that are kept but not used.
    pub carried: usize,
    /// The memory among them, in words: what it is, or why there is none.
    pub memory: Option<String>,
    /// Tensors the model needs and the file lacks.
    pub missing: Vec<String>,
    /// Tensors that belong to no part of SAM 2.
    pub unused: Vec<String>,
    /// Tensors of another shape, in words.
    pub reshaped: Vec<String>,
    /// Whether a model was at hand to hold the file against.
    pub held_against_a_model: bool,
    /// Tensors with a value that is not finite.
    pub not_finite: Vec<String>,
}

/// Holds weights against `config`, or against the named size they look like.
///
/// # Errors
/// When a tensor cannot be read. That weights fit no model is a finding, not an error.
pub fn inspect(weights: &Weights, config: Option<Sam2Config>) -> Result<Inspection> {
    let likeness = Likeness::of(weights);
    let named = likeness
        .as_ref()
        .and_then(|likeness| likeness.name)
        .map(Sam2Config::from_name_or_file)
        .transpose()?;
    let config = config.or(named);
    let mut inspection = Inspection {
        tensors: weights.len(),
        elements: weights.elements(),
        metadata: weights.metadata.clone(),
        looks_like: likeness.map(|likeness| likeness.to_string()),
        parts: parts(weights),
        loaded: 0,
        carried: 0,
        memory: None,
        missing: Vec::new(),
        unused: Vec::new(),
        reshaped: Vec::new(),
        held_against_a_model: config.is_some(),
        not_finite: not_finite(weights)?,
    };
    let Some(config) = config else { return Ok(inspection) };
    inspection.memory = Some(memory_in_words(&config, weights)?);
    match Sam2::load(&config, weights, &Device::Cpu) {
        Ok((_, report)) => {
            inspection.loaded = report.loaded.len();
            inspection.carried = report.carried.len();
        }
        Err(Error::Misfit(misfit)) => {
            let Misfit { missing, unused, reshaped, .. } = *misfit;
            let words = |(name, expected, found)| {
                format!("{name}: the model needs {expected:?}, the file has {found:?}")
            };
            inspection.reshaped = reshaped.into_iter().map(words).collect();
            (inspection.missing, inspection.unused) = (missing, unused);
        }
        Err(other) => return Err(other),
    }
    Ok(inspection)
}

/// Whether slices can remember one another with these weights.
fn memory_in_words(config: &Sam2Config, weights: &Weights) -> Result<String> {
    match Memory::load(config, weights, &Device::Cpu) {
        Ok((memory, report)) => {
            let sizes = memory.config();
            let version = match sizes.version {
                Version::Sam2 => "SAM 2",
                Version::Sam2_1 => "SAM 2.1",
            };
            let (tensors, maps, channels) = (report.loaded.len(), sizes.num_maskmem, sizes.mem_dim);
            Ok(format!("{version}: {tensors} tensors, {maps} maps of {channels} channels"))
        }
        Err(Error::Refused(refusal)) => Ok(format!("none: {refusal}")),
        Err(Error::Misfit(misfit)) => Ok(format!("none: {misfit}")),
        Err(other) => Err(other),
    }
}

/// Numbers of each part: the first component of the name, and the second below the image encoder.
fn parts(weights: &Weights) -> Vec<(String, usize)> {
    let mut sizes = BTreeMap::<String, usize>::new();
    for (name, tensor) in weights.iter() {
        let depth = if name.starts_with("image_encoder.") { 2 } else { 1 };
        let part: Vec<&str> = name.split('.').take(depth).collect();
        *sizes.entry(part.join(".")).or_default() += tensor.elem_count();
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    sizes
}

fn not_finite(weights: &Weights) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, tensor) in weights.iter() {
        if !tensor.dtype().is_float() || tensor.elem_count() == 0 {
            continue;
        }
        let values = tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if values.iter().any(|value| !value.is_finite()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "looks like   {}",
            self.looks_like
                .as_deref()
                .unwrap_or("nothing of SAM 2: no image encoder among the tensors")
        )?;
        writeln!(f, "tensors      {}", self.tensors)?;
        writeln!(f, "numbers      {}", self.elements)?;
        for (part, size) in &self.parts {
            writeln!(f, "  {size:>11}  {part}")?;
        }
        for (key, value) in &self.metadata {
            writeln!(f, "metadata     {key} = {value}")?;
        }
        if self.held_against_a_model {
            writeln!(f, "image path   {} tensors", self.loaded)?;
            writeln!(f, "carried      {} tensors (video path and mask prompts)", self.carried)?;
            if let Some(memory) = &self.memory {
                writeln!(f, "memory       {memory}")?;
            }
        } else {
            writeln!(
                f,
                "image path   not checked: pass --model with the description of this model"
            )?;
        }
        let lists = [
            ("missing", &self.missing),
            ("unused", &self.unused),
            ("reshaped", &self.reshaped),
            ("not finite", &self.not_finite),
        ];
        for (what, names) in lists {
            writeln!(f, "{what:<12} {}", names.len())?;
            names.iter().try_for_each(|name| writeln!(f, "  {name}"))?;
        }
        Ok(())
    }
}
