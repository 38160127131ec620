//! The cohort on disk, in nnU-Net's layout.

use std::io;
use std::path::{Path, PathBuf};

use ild_cli::FolderLock;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::summary::{CaseSummary, Cohort};
use crate::{Phantom, generate};
use ild_io::{Error, LabelTable, Result, read_label_map, write_label_map, write_volume};

/// Version of the generator: a change of voxels is a new one, and old folders are not mixed with
/// new cases.
const GENERATOR: u32 = 2;
const SETTINGS_FILE: &str = "phantom.json";
const IMAGES: &str = "imagesTr";
const LABELS: &str = "labelsTr";

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

/// Writes `imagesTr/<case>_0000.nii.gz`, `labelsTr/<case>.nii.gz`, `dataset.json`, `labels.json`
/// and `cohort.json` below `folder`.
///
/// Cases that are already there are counted, not made again, unless `force`. `finished` is called
/// once per case with whether it was made.
///
/// # Errors
/// When `folder` holds a cohort of other settings, or a file cannot be written. `None` when `stop`
/// said so between two cases.
pub fn write_cohort(
    folder: &Path,
    settings: Settings,
    force: bool,
    stop: impl Fn() -> bool + Sync,
    finished: impl Fn(bool) + Sync,
) -> Result<Option<Cohort>> {
    let _lock = FolderLock::take(folder)?.ok_or_else(|| busy(folder))?;
    claim(folder, settings, force)?;
    write_json(
        &folder.join("labels.json"),
        &serde_json::to_value(LabelTable::default()).unwrap_or_default(),
    )?;
    write_json(&folder.join("dataset.json"), &dataset_json(settings.cases))?;
    let mut cases = Vec::with_capacity(settings.cases);
    let indices: Vec<usize> = (0..settings.cases).collect();
    // As many at a time as there are threads: a pool that waits for slices would else begin case
    // after case and hold them all in memory.
    for together in indices.chunks(rayon::current_num_threads()) {
        if stop() {
            return Ok(None);
        }
        let written = together.par_iter().map(|&index| {
            let (summary, made) = write_case(folder, settings, index)?;
            finished(made);
            Ok(summary)
        });
        cases.extend(written.collect::<Result<Vec<_>>>()?);
    }
    let cohort = Cohort { cases };
    write_json(&folder.join("cohort.json"), &cohort_json(settings, &cohort))?;
    Ok(Some(cohort))
}

/// Makes `folder` the place of this cohort. Another cohort's cases are refused, or with `force`
/// removed: two are never mixed.
fn claim(folder: &Path, settings: Settings, force: bool) -> Result<()> {
    let path = folder.join(SETTINGS_FILE);
    let wanted = json!({ "generator": GENERATOR, "settings": settings });
    let found: Option<Value> =
        std::fs::read(&path).ok().map(|text| serde_json::from_slice(&text).unwrap_or_default());
    match &found {
        Some(found) if !force && *found != wanted => {
            let next = "choose another --output, or pass --force to replace it";
            return Err(Error::rejected(
                &path,
                format!("a cohort of {wanted}"),
                found.to_string(),
                next,
            ));
        }
        Some(_) if !force => {}
        _ => {
            let before =
                found.as_ref().and_then(|found| found["settings"]["cases"].as_u64()).unwrap_or(0)
                    as usize;
            remove_cases(folder, settings.cases.max(before))?;
        }
    }
    for part in [IMAGES, LABELS] {
        ild_cli::sweep_temporary(&folder.join(part))
            .map_err(|source| not_written(folder, source))?;
    }
    write_json(&path, &wanted)
}

fn busy(folder: &Path) -> Error {
    let next = "wait for the other run, or choose another --output";
    Error::rejected(folder, "a folder that no other run writes to", "one that is in use", next)
}

fn not_written(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), what: "written", source }
}

fn remove_cases(folder: &Path, cases: usize) -> Result<()> {
    for path in (0..cases).flat_map(|index| case_paths(folder, index)) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(not_written(&path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Image and label of a case.
fn case_paths(folder: &Path, index: usize) -> [PathBuf; 2] {
    let case = case_name(index);
    [
        folder.join(IMAGES).join(format!("{case}_0000.nii.gz")),
        folder.join(LABELS).join(format!("{case}.nii.gz")),
    ]
}

/// Makes and writes a case, unless it is there. The label is written last: where it is, the case is
/// whole.
fn write_case(folder: &Path, settings: Settings, index: usize) -> Result<(CaseSummary, bool)> {
    let case = case_name(index);
    let [image_path, label_path] = case_paths(folder, index);
    if image_path.is_file() && label_path.is_file() {
        return Ok((CaseSummary::of(&case, &read_label_map(&label_path)?), false));
    }
    let Phantom { ct, label, .. } = generate(settings.seed, index, settings.size);
    write_volume(&image_path, &ct)?;
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
