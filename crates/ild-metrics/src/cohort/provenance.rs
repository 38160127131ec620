//! What the numbers were made of: settings, hashes of the files, and where each prediction's prompt
//! came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::{Cohort, EvaluateSettings, Result};

/// What a prediction says of its prompt when it says nothing.
const UNSTATED: &str = "not stated";

/// The record that report and summary carry.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// The run's settings.
    pub settings: EvaluateSettings,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Program and version.
    pub program: String,
    /// For each system the prompts its predictions name, with the number of cases.
    pub prompts: BTreeMap<String, BTreeMap<String, usize>>,
    /// For each system the models its predictions name.
    pub models: BTreeMap<String, BTreeSet<String>>,
    /// SHA-256 of every file read.
    pub sha256: BTreeMap<String, String>,
}

impl Provenance {
    /// Collects the record; hashes all files.
    ///
    /// # Errors
    /// When a file cannot be read any more.
    pub fn new(cohort: &Cohort, settings: &EvaluateSettings, seed: u64) -> Result<Self> {
        let mut files: BTreeSet<&Path> = BTreeSet::new();
        let (mut prompts, mut models) = (BTreeMap::new(), BTreeMap::new());
        for system in &cohort.systems {
            let (of_prompts, of_models): (&mut BTreeMap<String, usize>, &mut BTreeSet<String>) = (
                prompts.entry(system.name.clone()).or_default(),
                models.entry(system.name.clone()).or_default(),
            );
            for case in &system.cases {
                files.insert(&case.reference_file);
                let Some(path) = &case.prediction_file else { continue };
                files.insert(path);
                let stamp = Sidecar::of(path, &case.case);
                *of_prompts.entry(stamp.prompt).or_default() += 1;
                of_models.extend(stamp.model);
            }
        }
        let files: Vec<&Path> = files.into_iter().collect();
        let hashes = files
            .par_iter()
            .map(|path| Ok((path.display().to_string(), ild_cli::sha256_of_file(path)?)));
        let sha256 = hashes.collect::<anyhow::Result<_>>()?;
        let program = format!("ild-metrics {}", env!("CARGO_PKG_VERSION"));
        Ok(Self { settings: settings.clone(), seed, program, prompts, models, sha256 })
    }

    /// Whether any prediction of `system` was prompted with ground truth.
    #[must_use]
    pub fn prompted_with_ground_truth(&self, system: &str) -> bool {
        let from_truth = |prompt: &String| {
            let prompt = prompt.to_lowercase();
            prompt == "gt" || prompt.contains("ground truth")
        };
        self.prompts.get(system).is_some_and(|prompts| prompts.keys().any(from_truth))
    }
}

/// `<case>.json` beside a prediction, as `ild-infer` writes it.
struct Sidecar {
    prompt: String,
    model: Option<String>,
}

impl Sidecar {
    fn of(prediction: &Path, case: &str) -> Self {
        let unstated = Self { prompt: UNSTATED.to_owned(), model: None };
        let Some(path) = prediction.parent().map(|folder| folder.join(format!("{case}.json")))
        else {
            return unstated;
        };
        let Ok(bytes) = std::fs::read(path) else { return unstated };
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return unstated };
        let prompt = words(&value["prompt"])
            .or_else(|| words(&value["prompt_source"]))
            .unwrap_or(unstated.prompt);
        Self { prompt, model: words(&value["model"]) }
    }
}

/// A plain string, or the strings of an object or list, joined.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(words).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let part = |(key, value): (&String, &Value)| Some(format!("{key}: {}", words(value)?));
            Some(fields.iter().filter_map(part).collect::<Vec<_>>().join("; "))
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
