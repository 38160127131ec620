//! What the numbers were made of: settings, hashes of the files, and where each prediction's prompt
//! came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ild_io::cohort::Sidecar;
use rayon::prelude::*;
use serde::Serialize;

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
    /// The systems of which a prediction says that the ground truth had a part in it.
    pub ground_truth_used: BTreeSet<String>,
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
        let mut ground_truth_used = BTreeSet::new();
        for system in &cohort.systems {
            let (of_prompts, of_models): (&mut BTreeMap<String, usize>, &mut BTreeSet<String>) = (
                prompts.entry(system.name.clone()).or_default(),
                models.entry(system.name.clone()).or_default(),
            );
            for case in &system.cases {
                files.insert(&case.reference_file);
                let Some(path) = &case.prediction_file else { continue };
                files.insert(path);
                let stamp = Sidecar::beside(path, &case.case)?.unwrap_or_default();
                *of_prompts.entry(stamp.prompt.unwrap_or(UNSTATED.to_owned())).or_default() += 1;
                of_models.extend(stamp.model);
                if stamp.ground_truth_used == Some(true) {
                    ground_truth_used.insert(system.name.clone());
                }
            }
        }
        let files: Vec<&Path> = files.into_iter().collect();
        let hashes = files
            .par_iter()
            .map(|path| Ok((path.display().to_string(), ild_cli::sha256_of_file(path)?)));
        let sha256 = hashes.collect::<Result<_>>()?;
        let program = format!("ild-metrics {}", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            settings: settings.clone(),
            seed,
            program,
            prompts,
            models,
            ground_truth_used,
            sha256,
        })
    }

    /// Whether any prediction of `system` was prompted with ground truth.
    #[must_use]
    pub fn prompted_with_ground_truth(&self, system: &str) -> bool {
        self.ground_truth_used.contains(system)
    }
}
