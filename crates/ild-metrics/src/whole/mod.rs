//! The whole CT, where its full truth is known: what happens on slices that nobody annotated.
//!
//! Only synthetic patients have a full truth (`ild-phantom` writes it), and healthy patients are a
//! truth of their own: whatever is predicted in them is false. What was annotated and what was not
//! stays apart in every number.

pub(crate) mod case;
pub(crate) mod healthy;
pub(crate) mod numbers;
pub(crate) mod table;

use std::collections::BTreeSet;
use std::path::Path;

use ild_io::LabelTable;
use rayon::prelude::*;

use crate::cohort::pairing::{CaseFiles, case_files};
use crate::cohort::{Cohort, Role, ScoredCase, System};
use crate::{
    Aligned, Annotated, AnnotatedCase, Error, EvaluateSettings, Prediction, Result, ScoreSettings,
};
use case::WholeCase;

/// All systems that were measured over the whole CT.
#[derive(Clone, Debug, Default)]
pub struct WholeCt {
    /// In the order of the cohort.
    pub systems: Vec<WholeSystem>,
    /// Cases of the cohort without a full truth.
    pub without_truth: Vec<String>,
}

/// One set of predictions over whole CTs.
#[derive(Clone, Debug)]
pub struct WholeSystem {
    /// What it is called.
    pub name: String,
    /// One entry for each case of the cohort, in its order; `None` without truth, or where the
    /// prediction could not be used.
    pub cases: Vec<Option<WholeCase>>,
}

impl WholeCt {
    /// Measures every system but the experiments with wrong boxes against the label maps of
    /// `--truth`; nothing without that setting.
    ///
    /// # Errors
    /// When the folder is refused, holds none of the cohort's cases, or a truth cannot be read.
    pub fn measure(cohort: &Cohort, settings: &EvaluateSettings) -> Result<Option<Self>> {
        let Some(folder) = &settings.truth else { return Ok(None) };
        let truths = case_files(folder, &settings.gt_name_suffix)?;
        let cases = &cohort.systems[0].cases;
        let without_truth: Vec<String> = cases
            .iter()
            .filter(|case| !truths.contains_key(&case.case))
            .map(|case| case.case.clone())
            .collect();
        if without_truth.len() == cases.len() {
            return Err(Error::refused(
                folder,
                format!("the full truth of at least one case, e.g. {}.nii.gz", without_truth[0]),
                format!("{} other cases", truths.len()),
                "name the folder with --truth",
            ));
        }
        let measured = cohort.systems.iter().filter(|system| !system.role.is_wrong_box());
        let systems = measured
            .map(|system| measured_system(system, &truths, cohort, settings))
            .collect::<Result<_>>()?;
        Ok(Some(Self { systems, without_truth }))
    }
}

fn measured_system(
    system: &System,
    truths: &CaseFiles,
    cohort: &Cohort,
    settings: &EvaluateSettings,
) -> Result<WholeSystem> {
    let cases = system
        .cases
        .par_iter()
        .map(|case| {
            ild_cli::stop_if_interrupted()?;
            match (truths.get(&case.case), &case.prediction_file) {
                (Some(truth), Some(prediction)) if case.outcome.is_scored() => {
                    measured_case(case, truth, prediction, &cohort.table, settings).map(Some)
                }
                _ => Ok(None),
            }
        })
        .collect::<Result<_>>()?;
    Ok(WholeSystem { name: system.name.clone(), cases })
}

fn measured_case(
    case: &ScoredCase,
    truth_file: &Path,
    prediction_file: &Path,
    table: &LabelTable,
    settings: &EvaluateSettings,
) -> Result<WholeCase> {
    let truth = AnnotatedCase::read(truth_file, Annotated::All, table)?;
    let prediction = Prediction::read(prediction_file, table)?;
    if prediction.shape_zyx != truth.placement.geometry().shape_zyx {
        return Err(Error::refused(
            prediction_file,
            format!(
                "{:?} voxels (z, y, x), as the full truth",
                truth.placement.geometry().shape_zyx
            ),
            format!("{:?}", prediction.shape_zyx),
            "--truth needs predictions of the whole CT, on its grid; leave it out for others",
        ));
    }
    let pair = Aligned::new(&truth, Some(&prediction), prediction_file)?;
    let annotated: BTreeSet<usize> = case.scores.slices.keys().copied().collect();
    Ok(WholeCase::new(&pair, &annotated, &score_settings(settings)))
}

fn score_settings(settings: &EvaluateSettings) -> ScoreSettings {
    ScoreSettings {
        nsd_tolerance_mm: settings.nsd_tolerance_mm,
        lesion_overlap: settings.lesion_overlap,
    }
}

impl Role {
    /// Whether it is an experiment in which boxes were wrong on purpose.
    #[must_use]
    pub fn is_wrong_box(self) -> bool {
        matches!(self, Self::OtherBox | Self::EmptyBox)
    }
}
