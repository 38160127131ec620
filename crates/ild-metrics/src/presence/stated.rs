//! The presence scores beside a prediction: `prompt.presence` of `<case>.json`, as `ild-infer` writes
//! it.

use std::collections::BTreeMap;
use std::path::Path;

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
    probability: f64,
}

/// What `<case>.json` beside `prediction` says; empty where it says nothing.
///
/// A score outside 0 to 1 is left out with a warning.
pub(crate) fn stated_presence(prediction: &Path, case: &str) -> StatedPresence {
    let path = prediction.with_file_name(format!("{case}.json"));
    let Ok(bytes) = std::fs::read(&path) else { return StatedPresence::new() };
    let Ok(sidecar) = serde_json::from_slice::<Sidecar>(&bytes) else {
        tracing::debug!("{}: no `prompt.presence`", path.display());
        return StatedPresence::new();
    };
    let mut stated = StatedPresence::new();
    for StatedClass { label, probability } in sidecar.prompt.presence {
        if (0.0..=1.0).contains(&probability) {
            stated.insert(label, probability);
        } else {
            tracing::warn!(
                "{}: presence of label {label} is {probability}, expected 0 to 1; left out",
                path.display()
            );
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
        let stated = stated_presence(&folder.path().join("a.nii.gz"), "a");
        assert_eq!(stated, StatedPresence::from([(1, 0.25)]));
        assert!(stated_presence(&folder.path().join("b.nii.gz"), "b").is_empty());
    }
}
