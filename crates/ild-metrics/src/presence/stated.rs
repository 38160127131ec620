//! The presence scores beside a prediction: `prompt.presence` of `<case>.json`, as `ild-infer` writes
//! it.

use std::collections::BTreeMap;
use std::path::Path;

use ild_io::LabelTable;
use serde::Deserialize;

/// Probability that a class is in the scan, by label id.
pub(crate) type StatedPresence = BTreeMap<u8, f64>;

#[derive(Deserialize)]
struct Sidecar {
    prompt: Search,
}

#[derive(Deserialize)]
struct Search {
    presence: Vec<StatedClass>,
}

#[derive(Deserialize)]
struct StatedClass {
    label: u8,
    /// What the program that wrote it calls the label.
    name: Option<String>,
    probability: f64,
}

impl StatedClass {
    /// Its id in `table`: the name decides, where both sides have one.
    fn id(&self, table: &LabelTable) -> Option<u8> {
        match &self.name {
            Some(name) if !table.is_empty() => table.id_of(name).or_else(|| table.id(name)),
            _ => Some(self.label),
        }
    }
}

/// What `<case>.json` beside `prediction` says, under the ids of `table`; empty where it says
/// nothing.
///
/// A score outside 0 to 1, or of a class that `table` does not know, is left out with a warning.
pub(crate) fn stated_presence(prediction: &Path, case: &str, table: &LabelTable) -> StatedPresence {
    let path = prediction.with_file_name(format!("{case}.json"));
    if !ild_cli::inputs::is_file(&path) {
        return StatedPresence::new();
    }
    let text = ild_io::read_text(&path).unwrap_or_default();
    let Ok(sidecar) = serde_json::from_str::<Sidecar>(&text) else {
        tracing::debug!("{}: no `prompt.presence`", path.display());
        return StatedPresence::new();
    };
    let mut stated = StatedPresence::new();
    for class in sidecar.prompt.presence {
        let StatedClass { label, probability, .. } = class;
        match class.id(table) {
            Some(id) if (0.0..=1.0).contains(&probability) => drop(stated.insert(id, probability)),
            Some(_) => tracing::warn!(
                "{}: presence of label {label} is {probability}, expected 0 to 1; left out",
                path.display()
            ),
            None => tracing::warn!(
                "{}: presence of `{}`, which is no label of the ground truth; left out",
                path.display(),
                class.name.unwrap_or_default()
            ),
        }
    }
    stated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_and_impossible_ones_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"prompt": {"kind": "automatic", "presence": [
            {"label": 1, "name": "a", "probability": 0.25, "found": false}, {"label": 2, "probability": 1.5}]}}"#;
        std::fs::write(folder.path().join("a.json"), text).unwrap();
        let stated = |case: &str, table: &str| {
            let table = serde_json::from_str(table).unwrap();
            stated_presence(&folder.path().join(format!("{case}.nii.gz")), case, &table)
        };
        assert_eq!(stated("a", "{}"), StatedPresence::from([(1, 0.25)]));
        assert!(stated("b", "{}").is_empty());
        let named = r#"{"4": {"name": "A", "color": [0, 0, 0]}}"#;
        assert_eq!(stated("a", named), StatedPresence::from([(4, 0.25)]), "the name decides");
        assert!(stated("a", &named.replace('A', "b")).is_empty());
    }
}
