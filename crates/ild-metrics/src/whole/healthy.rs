//! Patients who are known to have no disease: whatever is predicted in them is false.

use std::collections::BTreeMap;

use ild_io::LabelTable;
use rayon::prelude::*;
use serde::Serialize;

use crate::cohort::pairing::case_files;
use crate::presence::calibration::PresenceStatement;
use crate::presence::stated::stated_presence;
use crate::statistics::mean;
use crate::{EvaluateSettings, Labels, NamedFolder, Prediction, Result};

/// What was found in one healthy patient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthyCase {
    /// Name.
    pub case: String,
    /// Invented disease by label id, mL; only what was found.
    pub found_ml: BTreeMap<u8, f64>,
    /// What the prediction says about the presence of each class.
    #[serde(skip)]
    pub statements: Vec<PresenceStatement>,
}

impl HealthyCase {
    /// All classes together.
    #[must_use]
    pub fn total_ml(&self) -> f64 {
        self.found_ml.values().fold(0.0, |sum, ml| sum + ml) // `sum` of nothing is −0
    }
}

/// One set of predictions of healthy patients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthySystem {
    /// What it is called.
    pub name: String,
    /// In order of name.
    pub cases: Vec<HealthyCase>,
}

impl HealthySystem {
    /// Reads the folders of `--healthy`.
    ///
    /// # Errors
    /// When a folder or a prediction is refused, or a prediction does not say how large its voxels
    /// are.
    pub fn read_all(settings: &EvaluateSettings, table: &LabelTable) -> Result<Vec<Self>> {
        settings.healthy.iter().map(|folder| Self::read(folder, settings, table)).collect()
    }

    fn read(folder: &NamedFolder, settings: &EvaluateSettings, table: &LabelTable) -> Result<Self> {
        let files: Vec<_> =
            case_files(&folder.path, &settings.pred_name_suffix)?.into_iter().collect();
        let cases = files.par_iter().map(|(case, path)| {
            ild_cli::stop_if_interrupted()?;
            let prediction = Prediction::read(path, table)?;
            let Some(geometry) = &prediction.geometry else {
                return Err(crate::Error::refused(
                    path,
                    "a label map (NIfTI), which says how large its voxels are",
                    "an NPZ",
                    "",
                ));
            };
            let stated = stated_presence(path, case, table);
            let statements = stated.into_iter().map(|(class, presence)| PresenceStatement {
                case: case.clone(),
                index: 0,
                class,
                presence,
                present: false,
            });
            Ok(HealthyCase {
                case: case.clone(),
                found_ml: volumes_ml(&prediction.labels, geometry.voxel_volume_ml()),
                statements: statements.collect(),
            })
        });
        Ok(Self { name: folder.name.clone(), cases: cases.collect::<Result<_>>()? })
    }

    /// Mean over the patients of one class, mL.
    #[must_use]
    pub fn mean_ml(&self, class: u8) -> Option<f64> {
        let of_class = |case: &HealthyCase| case.found_ml.get(&class).copied().unwrap_or(0.0);
        mean(&self.cases.iter().map(of_class).collect::<Vec<_>>())
    }

    /// Mean over the patients of all classes together, mL.
    #[must_use]
    pub fn mean_total_ml(&self) -> Option<f64> {
        mean(&self.cases.iter().map(HealthyCase::total_ml).collect::<Vec<_>>())
    }
}

fn volumes_ml(labels: &Labels, voxel_ml: f64) -> BTreeMap<u8, f64> {
    let mut counts = [0u64; 256];
    let mut count = |map: &ndarray::Array3<u8>| {
        map.iter().for_each(|&id| counts[usize::from(id)] += 1);
    };
    match labels {
        Labels::One(map) => count(map),
        Labels::PerClass(maps) => maps.values().for_each(count),
    }
    let found = (1..=255u8).filter(|&id| counts[usize::from(id)] > 0);
    found.map(|id| (id, counts[usize::from(id)] as f64 * voxel_ml)).collect()
}
