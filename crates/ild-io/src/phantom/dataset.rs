//! The cohort on disk, in nnU-Net's layout.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::summary::{CaseSummary, Cohort};
use super::{Phantom, generate};
use crate::{Error, LabelTable, Result, read_label_map, write_label_map, write_volume};

/// Version of the generator: a change of voxels is a new one, and old folders are not mixed with new cases.
const GENERATOR: u32 = 1;
const SETTINGS_FILE: &str = "phantom.json";

/// What a cohort is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Patients.
    pub cases: usize,
    /// Voxels along z, y, x.
    pub size: [usize; 3],
    /// Seed.
    pub seed: u64,
}

/// Name of patient `index`.
fn case_name(index: usize) -> String {
    format!("phantom_{:03}", index + 1)
}

/// Writes `imagesTr/<case>_0000.nii.gz`, `labelsTr/<case>.nii.gz`, `dataset.json`, `labels.json` and `cohort.json` below `folder`.
///
/// Cases that are already there are counted, not made again, unless `force`. `finished` is called once per case with whether it was made.
///
/// # Errors
/// When `folder` holds a cohort of other settings, or a file cannot be written. `None` when `stop` said so between two cases.
pub fn write_cohort(
    folder: &Path,
    settings: Settings,
    force: bool,
    stop: impl Fn() -> bool + Sync,
    finished: impl Fn(bool) + Sync,
) -> Result<Option<Cohort>> {
    claim(folder, settings, force)?;
    write_json(&folder.join("labels.json"), &serde_json::to_value(LabelTable::default()).unwrap_or_default())?;
    write_json(&folder.join("dataset.json"), &dataset_json(settings.cases))?;
    let cases = (0..settings.cases)
        .into_par_iter()
        .map(|index| {
            if stop() {
                return Ok(None);
            }
            let (summary, made) = write_case(folder, settings, index, force)?;
            finished(made);
            Ok(Some(summary))
        })
        .collect::<Result<Option<Vec<_>>>>()?;
    let Some(cases) = cases else { return Ok(None) };
    let cohort = Cohort { cases };
    write_json(&folder.join("cohort.json"), &cohort_json(settings, &cohort))?;
    Ok(Some(cohort))
}

/// Refuses to mix two cohorts in one folder.
fn claim(folder: &Path, settings: Settings, force: bool) -> Result<()> {
    let path = folder.join(SETTINGS_FILE);
    let wanted = json!({ "generator": GENERATOR, "settings": settings });
    if let (Ok(text), false) = (std::fs::read_to_string(&path), force) {
        let found: Value = serde_json::from_str(&text).unwrap_or_default();
        if found != wanted {
            return Err(Error::rejected(
                &path,
                format!("a cohort of {wanted}"),
                found.to_string(),
                "choose another --output, or pass --force to replace it",
            ));
        }
    }
    write_json(&path, &wanted)
}

/// The label is written last: where it is, the case is whole.
fn write_case(folder: &Path, settings: Settings, index: usize, force: bool) -> Result<(CaseSummary, bool)> {
    let case = case_name(index);
    let ct_path = folder.join("imagesTr").join(format!("{case}_0000.nii.gz"));
    let label_path = folder.join("labelsTr").join(format!("{case}.nii.gz"));
    if !force && ct_path.is_file() && label_path.is_file() {
        return Ok((CaseSummary::of(&case, &read_label_map(&label_path)?), false));
    }
    let Phantom { ct, label, .. } = generate(settings.seed, index, settings.size);
    write_volume(&ct_path, &ct)?;
    write_label_map(&label_path, &label)?;
    Ok((CaseSummary::of(&case, &label), true))
}

/// nnU-Net v2's `dataset.json`.
fn dataset_json(cases: usize) -> Value {
    let mut labels = serde_json::Map::new();
    labels.insert("background".into(), 0.into());
    for (id, label) in LabelTable::default().0 {
        labels.insert(label.name, id.into());
    }
    json!({ "channel_names": { "0": "CT" }, "labels": labels, "numTraining": cases, "file_ending": ".nii.gz" })
}

fn cohort_json(settings: Settings, cohort: &Cohort) -> Value {
    json!({
        "generator": GENERATOR,
        "settings": settings,
        "classes": cohort.classes(),
        "outlined_share": cohort.outlined_share(),
        "single_class_share": cohort.single_class_share(),
        "median_gap_slices": cohort.median_gap(),
        "cases": cohort.cases,
    })
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    Ok(ild_cli::write_bytes_atomic(path, text.as_bytes())?)
}
