//! What `ild-infer` wrote beside a prediction: `<case>.json`.

use std::path::Path;

use ild_cli::Refusal;
use serde::Deserialize;
use serde_json::Value;

use crate::{LabelTable, Result, read_text};

/// The parts of a sidecar that other programs act upon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sidecar {
    /// In words, where the prompt came from.
    pub prompt: Option<String>,
    /// Whether the ground truth had a part in it; `None` when the file does not say.
    pub ground_truth_used: Option<bool>,
    /// The model, in words.
    pub model: Option<String>,
    /// Names of the labels.
    pub label_table: Option<LabelTable>,
    /// Whether it has a label table that is none.
    pub broken_table: bool,
}

impl Sidecar {
    /// The sidecar of the prediction of `case` in the file `prediction`; `None` when there is none.
    /// A JSON of another kind says nothing.
    ///
    /// # Errors
    /// When there is one and it cannot be read, or is no JSON: it may have said that the ground
    /// truth had a part in the prediction.
    pub fn beside(prediction: &Path, case: &str) -> Result<Option<Self>> {
        let path = prediction.with_file_name(format!("{case}.json"));
        let refused = |found: String| {
            Refusal::of(&path)
                .expected("JSON about the prediction beside it")
                .found(found)
                .next("write the prediction again, or take the file away")
        };
        ild_cli::inputs::note(&path);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path)?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let prompt = words(&value["prompt"]).or_else(|| words(&value["prompt_source"]));
        let used = [&value["ground_truth_used"], &value["prompt"]["ground_truth_used"]]
            .into_iter()
            .find_map(Value::as_bool);
        let ground_truth_used = used.or_else(|| prompt.as_deref().map(speaks_of_ground_truth));
        let table = Some(&value["label_table"]).filter(|table| !table.is_null());
        let label_table = table.and_then(|table| LabelTable::deserialize(table).ok());
        Ok(Some(Self {
            ground_truth_used,
            prompt,
            model: words(&value["model"]),
            broken_table: table.is_some() && label_table.is_none(),
            label_table,
        }))
    }
}

/// Files of earlier versions and of other programs say it only in words.
fn speaks_of_ground_truth(prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    prompt == "gt" || prompt.contains("ground truth")
}

/// A plain string, or the strings of an object or list, joined.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(words).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let part = |(key, value): (&String, &Value)| Some(format!("{key}: {}", words(value)?));
            Some(fields.iter().filter_map(part).collect::<Vec<_>>().join("; "))
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Sidecar>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), text).unwrap();
        Sidecar::beside(&folder.path().join("a.nii.gz"), "a")
    }

    fn sidecar(text: &str) -> Sidecar {
        read(text).unwrap().unwrap()
    }

    #[test]
    fn a_damaged_one_is_refused_and_a_missing_one_says_nothing() {
        let error = read(r#"{"prompt": {"ground_truth_used": tr"#).unwrap_err();
        assert!(error.to_string().contains("a.json"), "{error}");
        assert_eq!(Sidecar::beside(Path::new("/nowhere/a.nii.gz"), "a").unwrap(), None);
    }

    #[test]
    fn the_typed_field_counts_and_words_only_where_there_is_none() {
        let used = |text| sidecar(text).ground_truth_used;
        let free = r#"{"prompt": {"ground_truth_used": false, "stamp": "no ground truth"}}"#;
        assert_eq!(used(free), Some(false));
        assert_eq!(used(r#"{"prompt": {"stamp": "prompt from ground truth"}}"#), Some(true));
        assert_eq!(used(r#"{"prompt": {"stamp": "automatic prompt"}}"#), Some(false));
        assert_eq!(used("{}"), None);
    }

    #[test]
    fn names_of_labels_travel_in_it() {
        let table = sidecar(r#"{"label_table": {"1": {"name": "Nodule", "color": [1, 2, 3]}}}"#)
            .label_table
            .unwrap();
        assert_eq!(table.name(1), "Nodule");
    }
}
