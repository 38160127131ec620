//! Label tables from `labels.json` and nnU-Net's `dataset.json`.

use std::collections::BTreeMap;
use std::path::Path;

use ild_cli::Refusal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::{CodedTerm, Label, LabelTable, Result, read_text};

const SCHEMA: &str = "a label table: {\"1\": \"name\"}, {\"1\": {\"name\": \"…\", \"color\": \
    [r, g, b], \"code\": [value, scheme, meaning]}}, {\"name\": 1}, or nnU-Net's dataset.json with such `labels`";

/// Arrays of our NPZ files: no label can be called so, because masks are filed under their names.
const TAKEN: [&str; 9] =
    ["imgs", "gts", "segs", "spacing", "z_index", "affine", "shape", "window", "label_table"];

impl LabelTable {
    /// Reads a label table; id 0 (background) and nnU-Net's region lists are left out, `ignore` is
    /// [`LabelTable::ignored`]. Labels without a colour get one; blanks around names are dropped.
    ///
    /// # Errors
    /// When the file is no such table, two names share an id or two ids a name (upper and lower
    /// case are one), or a name cannot be the name of a file or column.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let refused = |found: String| Refusal::of(path).expected(SCHEMA).found(found);
        let root: Object = serde_json::from_str(&text)
            .map_err(|error| refused(format!("no such object ({error})")))?;
        let mut names = Names::new(path, SCHEMA);
        for (key, value) in root.labels.unwrap_or(root.others) {
            if value.is_array() {
                continue;
            }
            let (id, name, color) =
                entry(&key, &value).ok_or_else(|| refused(format!("`{key}: {value}`")))?;
            let code = value.get("code").cloned().map(serde_json::from_value).transpose();
            let code = code.map_err(|error| refused(format!("`{key}: {value}` ({error})")))?;
            if id != 0 {
                names.add(id, &name, color, code)?;
            }
        }
        let table = names.table();
        if table.classes.is_empty() {
            return Err(refused("no label but background".to_owned()).into());
        }
        Ok(table)
    }
}

/// A label table that is being read from a file: no two labels share a name or an id.
pub(crate) struct Names<'a> {
    path: &'a Path,
    expected: &'a str,
    table: BTreeMap<u8, Label>,
}

impl<'a> Names<'a> {
    /// None yet; `expected` is what a refusal of the file says.
    pub fn new(path: &'a Path, expected: &'a str) -> Self {
        Self { path, expected, table: BTreeMap::new() }
    }

    /// One more; without a colour it gets one.
    ///
    /// # Errors
    /// When its id or its name (upper and lower case are one) is another's, or the name cannot be
    /// the name of a file or column.
    pub fn add(
        &mut self,
        id: u8,
        name: &str,
        color: Option<[u8; 3]>,
        code: Option<CodedTerm>,
    ) -> Result<()> {
        let refused = |found| Refusal::of(self.path).expected(self.expected).found(found);
        if let Some(why) = unusable(name) {
            return Err(refused(format!("the name `{name}` for id {id}: {why}")).into());
        }
        let folded = name.to_lowercase();
        let mut others = self.table.iter().filter(|(other, _)| **other != id);
        if let Some((other, _)) = others.find(|(_, label)| label.name.to_lowercase() == folded) {
            return Err(refused(format!("the name `{name}` for {other} and for {id}"))
                .next("give each label a name of its own; upper and lower case are one")
                .into());
        }
        let color = color.unwrap_or_else(|| color_of(id));
        let label = Label { name: name.to_owned(), color, code };
        if let Some(other) = self.table.get(&id) {
            return Err(refused(format!("id {id} for `{}` and for `{name}`", other.name)).into());
        }
        self.table.insert(id, label);
        Ok(())
    }

    /// All of them.
    pub fn table(self) -> LabelTable {
        LabelTable::new(self.table)
    }
}

/// Why a name cannot be used, if so.
fn unusable(name: &str) -> Option<&'static str> {
    let parts = || name.split(['/', '\\']);
    if name.is_empty() {
        Some("it is empty")
    } else if name.chars().any(char::is_control) {
        Some("it holds a line end, tab or another control character")
    } else if parts().any(|part| matches!(part.trim(), "" | "." | "..")) {
        Some("it is a path")
    } else if TAKEN.contains(&name) {
        Some("an array of our NPZ files is called so")
    } else {
        None
    }
}

/// A JSON object as it is written, equal keys and all: a map would keep the last of them in
/// silence.
#[derive(Default)]
struct Object {
    /// The entries under `labels`, if there are any.
    labels: Option<Vec<(String, Value)>>,
    others: Vec<(String, Value)>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "labels" {
                        object.labels = Some(map.next_value::<Object>()?.others);
                    } else {
                        object.others.push((key, map.next_value()?));
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn entry(key: &str, value: &Value) -> Option<(u8, String, Option<[u8; 3]>)> {
    if let Some(id) = value.as_u64() {
        return Some((u8::try_from(id).ok()?, key.trim().to_owned(), None));
    }
    let id: u8 = key.parse().ok()?;
    if let Some(name) = value.as_str() {
        return Some((id, name.trim().to_owned(), None));
    }
    let name = value.get("name")?.as_str()?.trim().to_owned();
    let color = value.get("color").and_then(|color| serde_json::from_value(color.clone()).ok());
    Some((id, name, color))
}

/// The default table's colour, else hues a golden angle apart, so that neighbouring ids never look
/// alike.
fn color_of(id: u8) -> [u8; 3] {
    if let Some(label) = LabelTable::default().classes.get(&id) {
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
        for text in [
            r#"{"1": {"name": "x", "code": ["1", "DCM"]}}"#,
            "[1]",
            "{}",
            r#"{"a": 300}"#,
            r#"{"a": 1, "b": 1}"#,
            r#"{"1": {"title": "x"}}"#,
            "x",
        ] {
            assert!(read(text).is_err_and(|error| error.is_rejection()), "{text}");
        }
    }

    #[test]
    fn names_that_two_labels_share_are_refused_however_they_are_written() {
        for text in [
            r#"{"1": "Lesion", "2": "Lesion"}"#,
            r#"{"1": "GGO", "2": "ggo "}"#,
            r#"{"labels": {"background": 0, "Lesion": 1, "Lesion": 2}}"#,
            r#"{"1": "a", "1": "b"}"#,
            r#"{"labels": {"background": 0, "a": 1, "ignore": 2, "Ignore": 3}}"#,
        ] {
            assert!(read(text).is_err_and(|error| error.is_rejection()), "{text}");
        }
    }

    #[test]
    fn names_that_no_file_or_column_can_have_are_refused_and_slashes_are_not() {
        for name in ["", " ", "../../escape", "/x", "Honey\\ncomb", "a\\u001b[2J", "segs", "imgs"] {
            let text = format!(r#"{{"1": "{name}"}}"#);
            assert!(read(&text).is_err_and(|error| error.is_rejection()), "{text}");
        }
        let table = read(r#"{"1": "GGO/Reticulation", "2": "so-called \"mosaic\", x"}"#).unwrap();
        assert_eq!(
            (table.name(1).as_str(), table.file_name(1).as_str()),
            ("GGO/Reticulation", "GGO_Reticulation")
        );
    }

    #[test]
    fn nnunets_ignore_is_no_class() {
        let table =
            read(r#"{"labels": {"background": 0, "GGO": 1, "Retic": 2, "ignore": 3}}"#).unwrap();
        assert_eq!((table.classes.len(), table.ignored()), (2, Some(3)));
    }

    #[test]
    fn a_byte_order_mark_and_blanks_around_names_do_not_matter() {
        let table = read("\u{feff}{\"1\": \" GGO \"}").unwrap();
        assert_eq!(table.name(1), "GGO");
    }
}
