//! Rules that were fitted to weights after training, and stand in their metadata.

use std::collections::BTreeMap;
use std::path::Path;

use ild_model::{FITTED, Weights};
use serde::{Deserialize, Serialize};

use super::FindSettings;
use crate::{Error, Result};

/// The rules, and how they were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// In force where no flag says otherwise; the defaults, where nothing else was better by more
    /// than chance.
    pub rules: FindSettings,
    /// How they were found.
    pub how: HowFitted,
}

/// How rules were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HowFitted {
    /// Validation patients with a value, and their cases.
    pub patients: usize,
    /// See `patients`.
    pub cases: usize,
    /// What was made as large as possible, in words.
    pub objective: String,
    /// The values that were tried of each rule.
    pub grid: BTreeMap<String, Vec<f64>>,
    /// Combinations of them that were looked at.
    pub tried: usize,
    /// The objective with the defaults.
    pub at_default: Option<f64>,
    /// The objective with the rules that fit all validation patients best.
    pub at_best: Option<f64>,
    /// These rules.
    pub best: FindSettings,
    /// What rules gain on a patient that they were not fitted on, and its 95 % interval.
    pub gain_left_out: Option<f64>,
    /// See `gain_left_out`.
    pub gain_interval: Option<[f64; 2]>,
    /// What became of the best rules, and why, in words.
    pub verdict: String,
    /// How it is known that these are validation patients of these weights.
    pub patients_checked: String,
    /// SHA-256 of the weights' file before.
    pub weights_sha256: String,
    /// Program and version.
    pub program: String,
    /// The command.
    pub command: Vec<String>,
    /// When, UTC.
    pub date: String,
}

impl Fitted {
    /// What the weights at `path` say.
    ///
    /// # Errors
    /// When they say something that cannot be read.
    pub fn of(weights: &Weights, path: &Path) -> Result<Option<Self>> {
        let Some(text) = weights.metadata.get(FITTED) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| {
            Error::refused(
                path,
                format!("rules of the search in `{FITTED}` of its metadata"),
                error.to_string(),
                "fit them again with ild-fit, or take the weights that training wrote",
            )
        })
    }

    /// Whether anything but the defaults came out.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        self.rules != FindSettings::default()
    }
}
