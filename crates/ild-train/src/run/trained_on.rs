//! What starting weights say of the data they were trained on, and where these slices differ.

use std::path::Path;

use ild_io::LabelTable;
use ild_io::cohort::{CaseSet, KnownCases};
use ild_model::Weights;
use serde_json::Value;

use crate::data::sidecar::Sidecar;

/// The entry of a checkpoint's metadata with the names of its labels.
pub(super) const LABEL_TABLE: &str = "label_table";

/// The entry of a checkpoint's metadata that tells by which cases it was taught and chosen.
pub(super) const CASES: &str = ild_model::KNOWN_CASES;

/// That entry for these slices: of each part how many cases, and a fingerprint of their names
/// together, so that a split can be recognised and no name read. `None` where the slices do not say
/// whose they are.
pub(super) fn known_cases(sidecar: &Sidecar) -> Option<String> {
    let part = |name: &str| Some(&sidecar.parts.get(name)?.cases).filter(|cases| !cases.is_empty());
    let known = KnownCases {
        train: CaseSet::of(part("train")?.iter().map(String::as_str)),
        valid: part("valid").map(|cases| CaseSet::of(cases.iter().map(String::as_str))),
    };
    serde_json::to_string(&known).ok()
}

/// The names of the labels that `weights` were trained on; `None` where they say nothing that can
/// be read.
pub(super) fn label_table_of(weights: &Weights) -> Option<LabelTable> {
    serde_json::from_str(weights.metadata.get(LABEL_TABLE)?).ok()
}

/// The entry itself.
pub(super) fn table_text(table: &LabelTable) -> String {
    serde_json::json!(table).to_string()
}

/// Warns where the slices are seen through another window than the one the weights at `path` know,
/// or where a label has another name.
pub(super) fn note_differences(path: &Path, weights: &Weights, sidecar: &Sidecar) {
    for note in differences(weights, sidecar) {
        tracing::warn!("{}: {note}", path.display());
    }
}

fn differences(weights: &Weights, sidecar: &Sidecar) -> Vec<String> {
    let mut notes = Vec::new();
    let learned = weights.metadata.get("window").and_then(|text| serde_json::from_str(text).ok());
    let known = |window: &Value| !window.is_null();
    if let (Some(learned), Some(now)) =
        (learned.filter(known), sidecar.window.as_ref().filter(|window| known(window)))
        && learned != *now
    {
        notes.push(format!(
            "trained on slices through the window {learned}, and these are through {now}: the same grey means another HU"
        ));
    }
    if let (Some(learned), Some(now)) = (label_table_of(weights), &sidecar.label_table)
        && let Some((id, name)) = now.names().find(|&(id, name)| learned.name(id) != name)
    {
        notes.push(format!("calls label {id} `{}`, this cohort `{name}`", learned.name(id)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(metadata: &[(&str, &str)], sidecar: &str) -> Vec<String> {
        let mut weights = Weights::from_tensors([]).unwrap();
        for (key, value) in metadata {
            weights.metadata.insert((*key).to_owned(), (*value).to_owned());
        }
        differences(&weights, &serde_json::from_str(sidecar).unwrap())
    }

    #[test]
    fn another_window_and_another_name_are_said_and_the_same_ones_are_not() {
        let lung = r#"{"level_hu": -600.0, "width_hu": 1500.0}"#;
        let names = r#"{"1": {"name": "GGO", "color": [1, 2, 3]}}"#;
        let learned = [("window", lung), ("label_table", names)];
        let same = format!(r#"{{"window": {lung}, "label_table": {names}}}"#);
        assert_eq!(said(&learned, &same), Vec::<String>::new());
        let other = same.replace("1500.0", "400.0").replace("GGO", "Honeycombing");
        let notes = said(&learned, &other);
        assert!(notes[0].contains("another HU"), "{notes:?}");
        assert_eq!(notes[1], "calls label 1 `GGO`, this cohort `Honeycombing`");
        assert!(said(&[], &other).is_empty(), "weights that say nothing are believed");
    }
}
