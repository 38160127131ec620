//! How far a model's volumes are off, as an evaluation found it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::{Error, Result};

/// Normal deviates within which 95 % lie.
const WITHIN_95: f64 = 1.96;
/// Cases below this say nothing of a spread.
const FEWEST_CASES: u64 = 3;

/// The error of one class's volume.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassError {
    /// Its name.
    pub name: String,
    /// Cases of the evaluation that have the class.
    pub cases: u64,
    /// Standard deviation of prediction − ground truth, mL.
    pub sd_ml: f64,
    /// The same of the ground truth's volume, percent; `None` where no case had any.
    pub sd_percent: Option<f64>,
}

/// What an evaluation says of a model's volumes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeErrors {
    /// Its summary.json.
    pub from: PathBuf,
    /// The system that was evaluated.
    pub system: String,
    /// Classes with enough cases.
    pub classes: Vec<ClassError>,
}

impl VolumeErrors {
    /// Reads the first system of a `summary.json` of `ild-metrics evaluate`.
    ///
    /// # Errors
    /// When the file is no such summary.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |found: &str| {
            Error::refused(
                path,
                "summary.json of `ild-metrics evaluate`",
                found,
                "name the file in the output folder of an evaluation of the same weights",
            )
        };
        let text = ild_io::read_text(path)?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| refuse(&error.to_string()))?;
        let system = &value["ild"]["systems"][0];
        let classes = system["classes"].as_object();
        let classes = classes.ok_or_else(|| refuse("no `ild.systems[0].classes`"))?;
        Ok(Self {
            from: path.to_owned(),
            system: system["name"].as_str().unwrap_or_default().to_owned(),
            classes: classes.values().filter_map(class_error).collect(),
        })
    }

    /// Half the width of the interval in which 95 % of the changes from `before_ml` to `after_ml` would
    /// lie if nothing had changed: 1.96 times the root of the summed squares of both dates' standard
    /// deviations, each the larger of that in mL and that in percent of its volume. `None` for a class
    /// that the evaluation does not know.
    #[must_use]
    pub fn of_change(&self, name: &str, before_ml: f64, after_ml: f64) -> Option<f64> {
        let folded = name.to_lowercase();
        let error = self.classes.iter().find(|class| class.name.to_lowercase() == folded)?;
        let sd = |ml: f64| error.sd_ml.max(error.sd_percent.unwrap_or(0.0) / 100.0 * ml);
        Some(WITHIN_95 * sd(before_ml).hypot(sd(after_ml)))
    }
}

fn class_error(class: &Value) -> Option<ClassError> {
    let ml = &class["metrics"]["volume_error_ml"];
    let cases = ml["n"].as_u64().filter(|n| *n >= FEWEST_CASES)?;
    Some(ClassError {
        name: class["name"].as_str()?.to_owned(),
        cases,
        sd_ml: ml["sd"].as_f64()?,
        sd_percent: class["metrics"]["volume_error_percent"]["sd"].as_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_both_spreads_counts_at_each_date() {
        let class = |name: &str, sd_ml, sd_percent| ClassError {
            name: name.to_owned(),
            cases: 5,
            sd_ml,
            sd_percent,
        };
        let errors = VolumeErrors {
            from: "summary.json".into(),
            system: "a".to_owned(),
            classes: vec![class("GGO", 3.0, Some(10.0)), class("Cyst", 2.0, None)],
        };
        // 3 mL at 10 mL, 4 mL at 40 mL.
        assert!((errors.of_change("ggo", 10.0, 40.0).unwrap() - 1.96 * 5.0).abs() < 1e-12);
        assert!((errors.of_change("Cyst", 0.0, 90.0).unwrap() - 1.96 * 8f64.sqrt()).abs() < 1e-12);
        assert_eq!(errors.of_change("Honeycombing", 1.0, 1.0), None);
    }
}
