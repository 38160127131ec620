//! What a stage is: a program, its settings, and which of them are paths that it reads or writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use toml::{Table, Value};

use crate::settings::Settings;

const STAGES: &str = include_str!("../pipeline/stages.toml");

/// One row of `stages.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stage {
    /// Name, and table of its settings.
    pub table: String,
    /// Program and sub-command.
    pub command: Vec<String>,
    /// What it makes, in words.
    pub says: String,
    reads: Vec<String>,
    writes: Vec<String>,
    /// Keys of paths that are left out where nothing makes them. One that is not in `reads` too
    /// makes no stage run.
    #[serde(default)]
    if_made: Vec<String>,
    /// Runs only where this stage runs.
    with: Option<String>,
    /// Flags that the program always gets: what to do where its output is of another run.
    #[serde(default)]
    pub flags: Vec<String>,
    /// `TABLE.KEY` → values with which the stage cannot work and is left out.
    #[serde(default)]
    not_with: BTreeMap<String, Vec<String>>,
    /// Files worth naming at the end of a run.
    #[serde(default)]
    pub shows: Vec<String>,
}

#[derive(Deserialize)]
struct Stages {
    stage: Vec<Stage>,
    tasks: Table,
}

/// The stages of a task in order, all of them.
pub fn of_task(task: &str) -> anyhow::Result<Vec<Stage>> {
    let all: Stages = toml::from_str(STAGES)?;
    let names = all
        .tasks
        .get(task)
        .and_then(Value::as_array)
        .with_context(|| format!("no task `{task}`"))?;
    Ok(all
        .stage
        .into_iter()
        .filter(|stage| names.iter().any(|name| name.as_str() == Some(&stage.table)))
        .collect())
}

/// The stages of a task with their tables of `settings`.
pub fn with_settings(task: &str, settings: &Settings) -> anyhow::Result<Vec<(Stage, Table)>> {
    let with_table = |stage: Stage| {
        let table = settings.table(&stage.table);
        (stage, table)
    };
    Ok(of_task(task)?.into_iter().map(with_table).collect())
}

impl Stage {
    /// The setting that this stage cannot work with, in words; `get` finds a setting.
    pub fn left_out(&self, get: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
        self.not_with.iter().find_map(|(setting, values)| {
            let (table, key) = setting.split_once('.')?;
            let value = get(table, key)?;
            let meets = values.iter().any(|unfit| unfit.eq_ignore_ascii_case(&value));
            meets.then(|| format!("{setting} is {value}"))
        })
    }

    /// Paths the stage reads under these settings.
    fn reads(&self, settings: &Table) -> Vec<PathBuf> {
        let optional = self.if_made.iter().filter(|key| !self.reads.contains(key));
        self.reads.iter().chain(optional).flat_map(|key| paths(settings.get(key))).collect()
    }

    /// Of those, paths that another stage has to make.
    fn calls_for(&self, settings: &Table) -> Vec<PathBuf> {
        self.reads.iter().flat_map(|key| paths(settings.get(key))).collect()
    }

    /// Paths the stage writes under these settings.
    pub fn writes(&self, settings: &Table) -> Vec<PathBuf> {
        self.writes.iter().flat_map(|key| paths(settings.get(key))).collect()
    }
}

/// A setting's paths: each entry as it is, and of one that may be `NAME=PATH` also the path.
fn paths(value: Option<&Value>) -> Vec<PathBuf> {
    let both = |text: &str| {
        let named = text.split_once('=').map(|(_, path)| PathBuf::from(path));
        [Some(PathBuf::from(text)), named].into_iter().flatten().collect::<Vec<_>>()
    };
    match value {
        Some(Value::String(text)) => both(text),
        Some(Value::Array(items)) => {
            items.iter().filter_map(Value::as_str).flat_map(both).collect()
        }
        _ => Vec::new(),
    }
}

/// Leaves out the stages that cannot work with these settings, and takes what they would have
/// written from the lists of the others; says which those are.
pub fn possible(
    stages: Vec<(Stage, Table)>,
    get: impl Fn(&str, &str) -> Option<String>,
) -> (Vec<(Stage, Table)>, Vec<String>) {
    let (mut kept, mut said, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (stage, settings) in stages {
        match stage.left_out(&get) {
            Some(why) => {
                gone.extend(stage.writes(&settings));
                said.push(format!("stage {} is left out: {why}", stage.table));
            }
            None => kept.push((stage, settings)),
        }
    }
    let is_gone = |value: &Value| paths(Some(value)).iter().any(|path| gone.contains(path));
    for (_, settings) in &mut kept {
        settings.retain(|_, value| !value.is_str() || !is_gone(value));
        for (_, value) in settings.iter_mut() {
            if let Value::Array(items) = value {
                items.retain(|item| !is_gone(item));
            }
        }
    }
    (kept, said)
}

/// Leaves out the stages whose outputs no later stage reads, and `if-made` settings that name what
/// some stage of the `pipeline` would make and has not; the last stage is what is wanted.
pub fn needed(stages: Vec<(Stage, Table)>, pipeline: &[(Stage, Table)]) -> Vec<(Stage, Table)> {
    let all = stages.clone();
    let mut kept: Vec<(Stage, Table)> = Vec::new();
    let mut wanted: Vec<PathBuf> = Vec::new();
    for stage in stages.into_iter().rev() {
        let is_wanted = wanted.iter().any(|path| makes(&stage, path));
        if kept.is_empty() || is_wanted {
            wanted.extend(stage.0.calls_for(&stage.1));
            kept.push(stage);
        }
    }
    kept.reverse();
    let running: Vec<String> = kept.iter().map(|(stage, _)| stage.table.clone()).collect();
    let in_task = |name: &String| all.iter().any(|(stage, _)| stage.table == *name);
    kept.retain(|(stage, settings)| match &stage.with {
        Some(name) if in_task(name) => running.contains(name),
        // A task that begins later, over what an earlier one left.
        Some(_) => stage.reads(settings).iter().any(|path| path.exists()),
        None => true,
    });
    let makers = kept.clone();
    for (stage, settings) in &mut kept {
        for key in &stage.if_made {
            let keep = |path: &PathBuf| {
                is_there(path, &makers, &all) || !pipeline.iter().any(|stage| makes(stage, path))
            };
            // What no stage makes is the user's own: its program says if it is missing.
            if !paths(settings.get(key)).iter().all(keep) {
                settings.remove(key);
            }
        }
    }
    kept
}

/// Whether a stage writes what is at `path`.
fn makes((stage, settings): &(Stage, Table), path: &Path) -> bool {
    stage.writes(settings).iter().any(|made| path.starts_with(made) || made.starts_with(path))
}

/// Whether `path` is made by a stage that runs, or lies there and is no business of this task.
fn is_there(path: &Path, running: &[(Stage, Table)], all: &[(Stage, Table)]) -> bool {
    let made_by = |stages: &[(Stage, Table)]| stages.iter().any(|stage| makes(stage, path));
    made_by(running) || (!made_by(all) && path.exists())
}

/// Every file below `path` (or `path` itself), sorted.
pub fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) if path.is_file() => found.push(path),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sets: &[&str]) -> Vec<String> {
        planned(sets).into_iter().map(|(stage, _)| stage.table).collect()
    }

    fn planned(sets: &[&str]) -> Vec<(Stage, Table)> {
        let settings =
            Settings::load(None, &sets.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap();
        let all = with_settings("pipeline", &settings).unwrap();
        needed(all.clone(), &all)
    }

    #[test]
    fn the_sample_runs_every_stage() {
        assert_eq!(plan(&[]).len(), 13);
    }

    #[test]
    fn own_images_need_no_synthetic_ones() {
        let stages = plan(&["nii-to-npz.img-path=a", "nii-to-npz.gt-path=b"]);
        assert!(!stages.iter().any(|stage| stage.starts_with("phantom")), "{stages:?}");
        assert!(!stages.contains(&"infer-healthy".to_owned()) && stages.len() == 10, "{stages:?}");
    }

    #[test]
    fn the_full_truth_is_asked_for_only_where_it_is_made() {
        let evaluate = |sets: &[&str]| {
            planned(sets).into_iter().find(|(stage, _)| stage.table == "evaluate").unwrap().1
        };
        let sample = evaluate(&[]);
        assert!(sample.contains_key("truth") && sample.contains_key("healthy"), "{sample}");
        let own = evaluate(&["nii-to-npz.img-path=a", "nii-to-npz.gt-path=b"]);
        assert!(!own.contains_key("truth") && !own.contains_key("healthy"), "{own}");
        assert!(own.contains_key("automatic"), "{own}");
    }

    #[test]
    fn what_is_declared_healthy_goes_with_the_synthetic_patients_or_is_the_users_own() {
        let healthy = |sets: &[&str]| {
            let stages = planned(sets);
            let (_, table) = stages.iter().find(|(stage, _)| stage.table == "nii-to-npz").unwrap();
            table.get("healthy").and_then(Value::as_str).map(ToOwned::to_owned)
        };
        let own = ["nii-to-npz.img-path=a", "nii-to-npz.gt-path=b"];
        assert_eq!(healthy(&[]).as_deref(), Some("runs/sample/data/healthy.json"));
        assert_eq!(healthy(&own), None);
        let named = [own[0], own[1], "nii-to-npz.healthy=c/healthy.json"];
        assert_eq!(healthy(&named).as_deref(), Some("c/healthy.json"));
    }

    #[test]
    fn a_stage_that_cannot_work_with_a_setting_is_left_out_and_said() {
        let sets = ["nii-to-npz.modality=mr".to_owned()];
        let settings = Settings::load(None, &sets).unwrap();
        let all = with_settings("pipeline", &settings).unwrap();
        let (kept, said) = possible(all, |table, key| settings.text(table, key));
        assert_eq!(said, ["stage infer-auto is left out: nii-to-npz.modality is mr"]);
        let (_, evaluate) = kept.last().unwrap();
        let baselines = evaluate["baseline"].to_string();
        assert!(!evaluate.contains_key("automatic") && baselines.contains("infer-box-fill"));
    }

    #[test]
    fn a_comparison_nobody_asks_for_is_left_out() {
        let stages = plan(&[
            "evaluate.baseline=[]",
            "evaluate.automatic=",
            "evaluate.other-box=",
            "evaluate.empty-box=",
            "evaluate.healthy=[]",
        ]);
        assert!(!stages.iter().any(|stage| stage.starts_with("infer-")), "{stages:?}");
    }
}
