//! Label tables from `labels.json` and nnU-Net's `dataset.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::{Error, Label, LabelTable, Result, read_text};

const SCHEMA: &str = "a label table: {\"1\": \"name\"}, {\"1\": {\"name\": \"…\", \"color\": [r, g, b]}}, {\"name\": 1}, or nnU-Net's dataset.json with such `labels`";

impl LabelTable {
    /// Reads a label table; id 0 (background) and nnU-Net's region lists are left out. Labels
    /// without a colour get one.
    ///
    /// # Errors
    /// When the file is no such table, or two names share an id.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let refused = |found: String| Error::rejected(path, SCHEMA, found, "");
        let value: Value =
            serde_json::from_str(&text).map_err(|error| refused(format!("no JSON ({error})")))?;
        let entries = value
            .get("labels")
            .unwrap_or(&value)
            .as_object()
            .ok_or_else(|| refused("no object".to_owned()))?;
        let mut table = BTreeMap::new();
        for (key, value) in entries {
            if value.is_array() {
                continue;
            }
            let (id, label) =
                entry(key, value).ok_or_else(|| refused(format!("`{key}: {value}`")))?;
            if id == 0 {
                continue;
            }
            if let Some(other) = table.insert(id, label.clone()) {
                return Err(refused(format!(
                    "id {id} for `{}` and for `{}`",
                    other.name, label.name
                )));
            }
        }
        if table.is_empty() {
            return Err(refused("no label but background".to_owned()));
        }
        Ok(Self(table))
    }
}

fn entry(key: &str, value: &Value) -> Option<(u8, Label)> {
    if let Some(id) = value.as_u64() {
        let id = u8::try_from(id).ok()?;
        return Some((id, Label { name: key.to_owned(), color: color_of(id) }));
    }
    let id: u8 = key.parse().ok()?;
    if let Some(name) = value.as_str() {
        return Some((id, Label { name: name.to_owned(), color: color_of(id) }));
    }
    let name = value.get("name")?.as_str()?.to_owned();
    let color = value
        .get("color")
        .and_then(|color| serde_json::from_value(color.clone()).ok())
        .unwrap_or_else(|| color_of(id));
    Some((id, Label { name, color }))
}

/// The default table's colour, else hues a golden angle apart, so that neighbouring ids never look
/// alike.
fn color_of(id: u8) -> [u8; 3] {
    if let Some(label) = LabelTable::default().0.get(&id) {
        return label.color;
    }
    let hue = (f64::from(id) * 137.508).rem_euclid(360.0) / 60.0;
    let (saturation, value) = (0.55, 0.9);
    [5.0, 3.0, 1.0].map(|offset: f64| {
        let k = (offset + hue).rem_euclid(6.0);
        let level = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (level * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LabelTable> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        LabelTable::read(file.path())
    }

    #[test]
    fn every_usual_form_gives_the_same_table() {
        let nnunet =
            read(r#"{"channel_names": {"0": "CT"}, "labels": {"background": 0, "GGO": 1, "Fibrosis": 7, "whole": [1, 7]}}"#).unwrap();
        assert_eq!(read(r#"{"1": "GGO", "7": "Fibrosis"}"#).unwrap(), nnunet);
        assert_eq!(read(&serde_json::to_string(&nnunet).unwrap()).unwrap(), nnunet);
        assert_eq!((nnunet.name(1), nnunet.name(7)), ("GGO".to_owned(), "Fibrosis".to_owned()));
        assert_ne!(nnunet.color(7), nnunet.color(1));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in
            ["[1]", "{}", r#"{"a": 300}"#, r#"{"a": 1, "b": 1}"#, r#"{"1": {"title": "x"}}"#, "x"]
        {
            assert!(read(text).is_err_and(|error| error.is_rejection()), "{text}");
        }
    }
}
