//! What the tests of the whole pipeline share: running it, and counting again what it reports.

pub mod faults;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};

/// Folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where cargo leaves the programs: above the folder of the tests.
#[must_use]
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default()
}

/// Runs `cargo xtask` with these words.
///
/// # Errors
/// When cargo cannot be started.
pub fn xtask(words: &[&str]) -> Result<Output> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Ok(Command::new(cargo).arg("xtask").args(words).current_dir(workspace()).output()?)
}

/// Mean over the cases of the volume Dice of each class, counted from the files themselves: the
/// ground truth of every NPZ in `truth` against the label map of the same name in `predictions`, on
/// the annotated slices. A class in neither counts nowhere.
///
/// # Errors
/// When a file is missing or cannot be read.
pub fn mean_volume_dice(truth: &Path, predictions: &Path) -> Result<BTreeMap<String, f64>> {
    let mut dice: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for entry in std::fs::read_dir(truth)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "npz") {
            continue;
        }
        let stack = ild_io::read_npz(&path)?;
        let labels = stack.labels.context("ground truth")?;
        let table = stack.label_table.context("label table")?;
        let case = path.file_stem().context("name")?.to_string_lossy().into_owned();
        let predicted = ild_io::read_label_map(&predictions.join(format!("{case}.nii.gz")))?;
        for &id in table.classes.keys() {
            let (mut both, mut sum) = (0u64, 0u64);
            for (slice, &z) in labels.outer_iter().zip(stack.placement.z_index()) {
                let predicted = predicted.labels.index_axis(ndarray::Axis(0), z);
                for (&t, &p) in slice.iter().zip(predicted) {
                    both += u64::from(t == id && p == id);
                    sum += u64::from(t == id) + u64::from(p == id);
                }
            }
            if sum > 0 {
                dice.entry(table.name(id)).or_default().push(2.0 * both as f64 / sum as f64);
            }
        }
    }
    Ok(dice
        .into_iter()
        .map(|(class, values)| (class, values.iter().sum::<f64>() / values.len() as f64))
        .collect())
}

/// The column `value` of a CSV file by its column `class`, of the rows of one `system`.
///
/// # Errors
/// When the file or a column is missing.
pub fn column_by_class(csv: &Path, system: &str, value: &str) -> Result<BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(csv).with_context(|| csv.display().to_string())?;
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let heads = lines.next().context("an empty file")?;
    let at = |name: &str| {
        heads.iter().position(|head| *head == name).with_context(|| format!("no column {name}"))
    };
    let (system_at, class_at, value_at) = (at("system")?, at("class")?, at(value)?);
    let rows = lines.filter(|row| row[system_at] == system && !row[value_at].is_empty());
    rows.map(|row| Ok((row[class_at].to_owned(), row[value_at].parse()?))).collect()
}
