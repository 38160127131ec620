//! The label of an entry: an id or a name, and always one that the table knows.

use ild_io::LabelTable;
use serde::Deserialize;

use super::Mismatch;

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum LabelRef {
    Id(u8),
    Name(String),
}

impl LabelRef {
    pub(super) fn id(&self, table: &LabelTable) -> Result<u8, Mismatch> {
        let known = match self {
            Self::Id(id) => table.classes.contains_key(id).then_some(*id),
            Self::Name(name) => table
                .classes
                .iter()
                .find(|(_, label)| label.name.eq_ignore_ascii_case(name))
                .map(|(&id, _)| id),
        };
        known.ok_or_else(|| {
            let names: Vec<String> =
                table.classes.iter().map(|(id, label)| format!("{id} {}", label.name)).collect();
            let found = match self {
                Self::Id(0) => "0, the background".to_owned(),
                Self::Id(id) => format!("{id} (--labels gives names to other ids)"),
                Self::Name(name) => format!("`{name}`"),
            };
            (format!("one of the labels {}", names.join(", ")), found)
        })
    }
}
