//! What a stage is: a program, its settings, and which of them are paths that it reads or writes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use toml::{Table, Value};

const STAGES: &str = include_str!("../pipeline/stages.toml");

/// One row of `stages.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, and table of its settings.
    pub table: String,
    /// Program and sub-command.
    pub command: Vec<String>,
    /// What it makes, in words.
    pub says: String,
    reads: Vec<String>,
    writes: Vec<String>,
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

impl Stage {
    /// Paths the stage reads under these settings.
    pub fn reads(&self, settings: &Table) -> Vec<PathBuf> {
        self.reads.iter().flat_map(|key| paths(settings.get(key))).collect()
    }

    /// Paths the stage writes under these settings.
    pub fn writes(&self, settings: &Table) -> Vec<PathBuf> {
        self.writes.iter().flat_map(|key| paths(settings.get(key))).collect()
    }
}

/// A setting's paths; of `NAME=PATH` entries, the path.
fn paths(value: Option<&Value>) -> Vec<PathBuf> {
    let one = |text: &str| PathBuf::from(text.rsplit_once('=').map_or(text, |(_, path)| path));
    match value {
        Some(Value::String(text)) => vec![one(text)],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(one).collect(),
        _ => Vec::new(),
    }
}

/// Leaves out the stages whose outputs no later stage reads; the last stage is what is wanted.
pub fn needed(stages: Vec<(Stage, Table)>) -> Vec<(Stage, Table)> {
    let mut kept: Vec<(Stage, Table)> = Vec::new();
    let mut wanted: Vec<PathBuf> = Vec::new();
    for (stage, settings) in stages.into_iter().rev() {
        let writes = stage.writes(&settings);
        if kept.is_empty()
            || wanted.iter().any(|path| {
                writes.iter().any(|made| path.starts_with(made) || made.starts_with(path))
            })
        {
            wanted.extend(stage.reads(&settings));
            kept.push((stage, settings));
        }
    }
    kept.reverse();
    kept
}

/// Every file below `path` (or `path` itself), sorted, so that its state can be compared later.
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
    use crate::settings::Settings;

    fn plan(sets: &[&str]) -> Vec<String> {
        let settings =
            Settings::load(None, &sets.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap();
        let all = of_task("pipeline")
            .unwrap()
            .into_iter()
            .map(|stage| (stage.clone(), settings.table(&stage.table)))
            .collect();
        needed(all).into_iter().map(|(stage, _)| stage.table).collect()
    }

    #[test]
    fn the_sample_runs_every_stage() {
        assert_eq!(plan(&[]).len(), 9);
    }

    #[test]
    fn own_images_need_no_synthetic_ones() {
        let stages = plan(&["nii-to-npz.img-path=a", "nii-to-npz.gt-path=b"]);
        assert!(!stages.contains(&"phantom".to_owned()) && stages.len() == 8, "{stages:?}");
    }

    #[test]
    fn a_comparison_nobody_asks_for_is_left_out() {
        let stages = plan(&["evaluate.baseline=[]"]);
        assert!(!stages.iter().any(|stage| stage.starts_with("infer-")), "{stages:?}");
    }
}
