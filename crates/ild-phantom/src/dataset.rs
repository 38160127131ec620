//! The cohort on disk, in nnU-Net's layout.

use std::io;
use std::path::{Path, PathBuf};

use ild_cli::FolderLock;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::member::Member;
use crate::summary::{CaseSummary, Cohort};
use crate::{Phantom, make};
use ild_io::{Error, LabelTable, Result, read_label_map_as_stored, write_label_map, write_volume};

/// Version of the generator: a change of voxels is a new one, and old folders are not mixed with
/// new cases.
const GENERATOR: u32 = 2;
const SETTINGS_FILE: &str = "phantom.json";
const IMAGES: &str = "imagesTr";
const LABELS: &str = "labelsTr";
/// All disease of every slice; training does not read it.
const TRUTH: &str = "truthTr";
const HEALTHY_FILE: &str = "healthy.json";

/// What a cohort is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Patients with disease.
    pub cases: usize,
    /// Voxels along z, y, x.
    pub size: [usize; 3],
    /// Seed.
    pub seed: u64,
    /// Patients without disease.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub healthy: usize,
    /// Slices of each patient with disease that are declared free of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub healthy_slices: usize,
}

/// What becomes of a cohort that is in the folder already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// One of the same settings is kept, another one refused.
    OnlyTheSame,
    /// One of the same settings is kept, another one replaced.
    IfOther,
    /// It is replaced.
    Always,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Writes `imagesTr/<case>_0000.nii.gz`, `labelsTr/<case>.nii.gz`, `truthTr/<case>.nii.gz`,
/// `dataset.json`, `labels.json`, `cohort.json`, and with anything declared free of disease
/// `healthy.json`, below `folder`.
///
/// Cases that are already there are counted, not made again, unless `again` says so. `finished` is called
/// once per case with whether it was made.
///
/// # Errors
/// When `folder` holds a cohort of other settings, or a file cannot be written. `None` when `stop`
/// said so between two cases.
pub fn write_cohort(
    folder: &Path,
    settings: Settings,
    again: Again,
    stop: impl Fn() -> bool + Sync,
    finished: impl Fn(bool) + Sync,
) -> Result<Option<Cohort>> {
    let _lock = FolderLock::hold(folder)?;
    let was_here = claim(folder, settings, again)?;
    let names = serde_json::to_value(LabelTable::default()).unwrap_or_default();
    let cases = dataset_json(settings.cases + settings.healthy);
    write_table(&folder.join("labels.json"), &names, was_here)?;
    write_table(&folder.join("dataset.json"), &cases, was_here)?;
    let members: Vec<Member> = Member::all(settings.cases, settings.healthy).collect();
    let mut written = Vec::with_capacity(members.len());
    // As many at a time as there are threads: a pool that waits for slices would else begin case
    // after case and hold them all in memory.
    for together in members.chunks(rayon::current_num_threads()) {
        if stop() {
            return Ok(None);
        }
        let cases = together.par_iter().map(|&member| {
            let case = write_case(folder, settings, member)?;
            finished(case.made);
            Ok(case)
        });
        written.extend(cases.collect::<Result<Vec<_>>>()?);
    }
    say_changed(folder, &members);
    write_healthy(folder, &members[settings.cases..], &written, was_here)?;
    let mut cases: Vec<CaseSummary> = written.into_iter().map(|case| case.summary).collect();
    let healthy = cases.split_off(settings.cases);
    let cohort = Cohort { cases, healthy };
    write_table(&folder.join("cohort.json"), &cohort_json(settings, &cohort), was_here)?;
    Ok(Some(cohort))
}

/// Makes `folder` the place of this cohort; returns whether it was so before. Another cohort's cases
/// are refused or removed: two are never mixed.
fn claim(folder: &Path, settings: Settings, again: Again) -> Result<bool> {
    let path = folder.join(SETTINGS_FILE);
    let wanted = json!({ "generator": GENERATOR, "settings": settings });
    let found: Option<Value> =
        std::fs::read(&path).ok().map(|text| serde_json::from_slice(&text).unwrap_or_default());
    let mut was_here = false;
    match &found {
        Some(found) if again == Again::OnlyTheSame && *found != wanted => {
            let next = "choose another --output, or pass --force to replace it";
            return Err(Error::refused(
                &path,
                format!("a cohort of {wanted}"),
                found.to_string(),
                next,
            ));
        }
        Some(found) if again != Again::Always && *found == wanted => was_here = true,
        _ => {
            let before = |key: &str| {
                found.as_ref().and_then(|found| found["settings"][key].as_u64()).unwrap_or(0)
                    as usize
            };
            let ill = settings.cases.max(before("cases"));
            remove_cases(folder, Member::all(ill, settings.healthy.max(before("healthy"))))?;
        }
    }
    ild_cli::sweep_temporary(folder).map_err(|source| not_written(folder, source))?;
    write_json(&path, &wanted)?;
    Ok(was_here)
}

/// Writes a file about the cohort; where the cohort `was_here` before, one that somebody has changed
/// since is kept.
fn write_table(path: &Path, value: &Value, was_here: bool) -> Result<()> {
    if was_here && path.is_file() && !ild_cli::outputs::is_ours(path) {
        ild_cli::outputs::note_finished(path);
        return Ok(());
    }
    write_json(path, value)
}

fn not_written(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), what: "written", source }
}

fn remove_cases(folder: &Path, members: impl Iterator<Item = Member>) -> Result<()> {
    let of_cases = members.flat_map(|member| case_paths(folder, &member.name()));
    for path in of_cases.chain([folder.join(HEALTHY_FILE)]) {
        ild_cli::outputs::remove(&path)?;
    }
    Ok(())
}

/// Image, truth and label of a case.
fn case_paths(folder: &Path, case: &str) -> [PathBuf; 3] {
    [
        folder.join(IMAGES).join(format!("{case}_0000.nii.gz")),
        folder.join(TRUTH).join(format!("{case}.nii.gz")),
        folder.join(LABELS).join(format!("{case}.nii.gz")),
    ]
}

/// Files that somebody has changed since they were made are kept as they are, and said.
fn say_changed(folder: &Path, members: &[Member]) {
    let tables = ["labels.json", "dataset.json", HEALTHY_FILE, "cohort.json"];
    let files = members.iter().flat_map(|member| case_paths(folder, &member.name()));
    let files = files.chain(tables.map(|name| folder.join(name)));
    let changed: Vec<PathBuf> =
        files.filter(|path| path.is_file() && !ild_cli::outputs::is_ours(path)).collect();
    if let [first, ..] = &changed[..] {
        tracing::warn!(
            "{} files are not as this program wrote them and are kept, {} first",
            changed.len(),
            first.display()
        );
    }
}

/// A case that is on disk.
struct Written {
    summary: CaseSummary,
    /// Slices declared free of disease.
    free: Vec<usize>,
    /// By this run.
    made: bool,
}

/// Makes and writes a case, unless it is there. The label is written last: where it is, the case is
/// whole.
fn write_case(folder: &Path, settings: Settings, member: Member) -> Result<Written> {
    let case = member.name();
    let paths = case_paths(folder, &case);
    let made = !paths.iter().all(|path| path.is_file());
    if !made {
        paths.iter().for_each(|path| ild_cli::outputs::note_finished(path));
    }
    let [image_path, truth_path, label_path] = paths;
    if made {
        for path in [&image_path, &truth_path, &label_path] {
            ild_cli::outputs::may_write(path)?;
        }
        let Phantom { ct, label, truth, .. } = make(&member, settings.seed, settings.size);
        write_volume(&image_path, &ct)?;
        write_label_map(&truth_path, &truth)?;
        write_label_map(&label_path, &label)?;
    }
    // Counted from the files, whose headers hold fewer digits: a second run counts the same.
    let [truth, label] =
        [read_label_map_as_stored(&truth_path)?, read_label_map_as_stored(&label_path)?];
    let free = match member {
        Member::Ill(_) => member.free_slices(settings.seed, &truth, settings.healthy_slices),
        Member::Healthy(_) => Vec::new(),
    };
    Ok(Written { summary: CaseSummary::of(&case, &label, &truth), free, made })
}

/// `healthy.json`: patients, and slices of other patients, that are known to show no disease.
/// Written only where there are any.
fn write_healthy(
    folder: &Path,
    healthy: &[Member],
    written: &[Written],
    was_here: bool,
) -> Result<()> {
    let slices: serde_json::Map<String, Value> = written
        .iter()
        .filter(|case| !case.free.is_empty())
        .map(|case| (case.summary.case.clone(), json!(case.free)))
        .collect();
    if healthy.is_empty() && slices.is_empty() {
        return Ok(());
    }
    let cases: Vec<String> = healthy.iter().map(Member::name).collect();
    let value = json!({ "cases": cases, "slices": slices });
    write_table(&folder.join(HEALTHY_FILE), &value, was_here)
}

/// nnU-Net v2's `dataset.json`.
fn dataset_json(cases: usize) -> Value {
    let mut labels = serde_json::Map::new();
    labels.insert("background".into(), 0.into());
    for (id, label) in LabelTable::default().classes {
        labels.insert(label.name, id.into());
    }
    json!({ "channel_names": { "0": "CT" }, "labels": labels, "numTraining": cases, "file_ending": ".nii.gz" })
}

fn cohort_json(settings: Settings, cohort: &Cohort) -> Value {
    let mut value = json!({
        "generator": GENERATOR,
        "settings": settings,
        "classes": cohort.classes(),
        "outlined_share": cohort.outlined_share(),
        "single_class_share": cohort.single_class_share(),
        "median_gap_slices": cohort.median_gap(),
        "cases": cohort.cases,
    });
    if !cohort.healthy.is_empty() {
        value["healthy"] = json!(cohort.healthy);
    }
    value
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    Ok(ild_cli::write_bytes_atomic(path, text.as_bytes())?)
}
