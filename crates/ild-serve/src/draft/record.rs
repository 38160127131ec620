//! How a mask came to be what it is: every mark and stroke, in order.

use serde::{Deserialize, Serialize, Serializer};

/// What somebody or the model did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// When, UTC.
    pub when: String,
    /// Who; empty where nobody said.
    pub who: String,
    /// `box`, `points`, `propagate`, `auto`, `paint`, `upload`, `clear`.
    pub how: String,
    /// The label's name, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What the model was asked, in voxels of the axial arrays.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub prompt: serde_json::Value,
}

/// All of it, a line of JSON each: a mask may be worked on for long. As values it would take eight times as
/// much, in small pieces that keep pages from being given back.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<Made>")]
pub struct Record(String);

impl Record {
    /// One more.
    pub fn push(&mut self, made: &Made) {
        self.0 += &serde_json::to_string(made).unwrap_or_default();
        self.0.push('\n');
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Made> {
        self.0.lines().filter_map(|line| serde_json::from_str(line).ok())
    }
}

impl FromIterator<Made> for Record {
    fn from_iter<T: IntoIterator<Item = Made>>(all: T) -> Self {
        let mut record = Self::default();
        all.into_iter().for_each(|made| record.push(&made));
        record
    }
}

impl From<Vec<Made>> for Record {
    fn from(all: Vec<Made>) -> Self {
        all.into_iter().collect()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_an_array_in_a_file() {
        let array = json!([
            { "when": "1", "who": "Ada\n", "how": "box", "label": "x", "prompt": { "box": [0.1, 2.0] } },
            { "when": "2", "who": "", "how": "paint" },
        ]);
        let record: Record = serde_json::from_value(array.clone()).unwrap();
        assert_eq!(record.iter().map(|made| made.how).collect::<Vec<_>>(), ["box", "paint"]);
        assert_eq!(serde_json::to_value(record).unwrap(), array);
    }
}
