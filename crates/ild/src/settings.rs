//! The settings of a run: the sample's, the user's file over them, single `--set`s over both.

use std::path::Path;

use anyhow::{Context, bail};
use ild_cli::{Usage, closest};
use toml::{Table, Value};

const SAMPLE: &str = include_str!("../pipeline/sample.toml");
/// The table of settings that every stage shares.
pub const SHARED: &str = "pipeline";

/// A setting may stand for one that stands for another, but not in a circle.
const MOST_STEPS: usize = 4;

/// All tables, `{output}` not yet filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    tables: Table,
}

impl Settings {
    /// Reads the defaults, then `file`, then the `TABLE.KEY=VALUE` texts of `sets`.
    pub fn load(file: Option<&Path>, sets: &[String]) -> anyhow::Result<Self> {
        let mut settings = Self { tables: toml::from_str(SAMPLE)? };
        if let Some(file) = file {
            let refuse = |wish: &str, error: &dyn std::fmt::Display| {
                Usage(format!("{}: expected {wish}, found: {error}", file.display()))
            };
            let text = ild_cli::regular(file)
                .and_then(|found| found.map_err(std::io::Error::other))
                .and_then(|_| std::fs::read_to_string(file))
                .map_err(|error| refuse("a readable TOML file", &error))?;
            let tables: Table = toml::from_str(&text).map_err(|error| refuse("TOML", &error))?;
            for (name, value) in tables {
                let Value::Table(table) = value else {
                    bail!(Usage(format!(
                        "{}: expected only tables, found the key `{name}` outside one",
                        file.display()
                    )))
                };
                settings
                    .table_mut(&name)
                    .with_context(|| file.display().to_string())?
                    .extend(hyphened(table));
            }
        }
        for set in sets {
            settings.set(set)?;
        }
        let output = settings.output();
        if output.contains(',') {
            bail!(Usage(format!(
                "pipeline.output: expected a folder without a comma, which separates entries of \
                 lists, found `{output}`"
            )));
        }
        Ok(settings)
    }

    fn set(&mut self, text: &str) -> anyhow::Result<()> {
        let parts = text
            .split_once('=')
            .and_then(|(key, value)| key.split_once('.').map(|(table, key)| (table, key, value)));
        let Some((table, key, value)) = parts else {
            bail!(Usage(format!("--set {text}: expected TABLE.KEY=VALUE, e.g. train.epochs=50")))
        };
        let value = toml::from_str::<Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| Value::String(value.to_owned()));
        self.table_mut(table)?.insert(key.replace('_', "-"), value);
        Ok(())
    }

    fn table_mut(&mut self, name: &str) -> anyhow::Result<&mut Table> {
        if !self.tables.contains_key(name) {
            let hint = closest(name, self.tables.keys().map(String::as_str)).map_or_else(
                || {
                    format!(
                        "; the tables are {}",
                        self.tables.keys().cloned().collect::<Vec<_>>().join(", ")
                    )
                },
                |near| format!("; did you mean [{near}]?"),
            );
            bail!(Usage(format!("there is no table [{name}]{hint}")));
        }
        match self.tables.get_mut(name) {
            Some(Value::Table(table)) => Ok(table),
            _ => bail!("[{name}] is not a table"),
        }
    }

    /// One table with `{output}` and `{table.key}` filled in; keys with an empty value or list, or that
    /// stand for a setting that is not there, are left out (that is how a default is switched off).
    pub fn table(&self, name: &str) -> Table {
        let raw = self.tables.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
        let filled = raw.into_iter().map(|(key, value)| (key, self.filled(value, MOST_STEPS)));
        filled.filter(|(_, value)| says_something(value)).collect()
    }

    fn filled(&self, value: Value, steps: usize) -> Value {
        match value {
            Value::String(text) => self.fill(&text, steps),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.filled(item, steps)).collect())
            }
            other => other,
        }
    }

    /// A text that is nothing but `{table.key}` becomes that setting, of whatever type; within a
    /// longer text it becomes its words.
    fn fill(&self, text: &str, steps: usize) -> Value {
        let mut text = text.replace("{output}", &self.output());
        let places = if steps == 0 { Vec::new() } else { places(&text) };
        for (table, key, place) in places {
            let setting = self
                .tables
                .get(&table)
                .and_then(|t| t.get(&key))
                .cloned()
                .unwrap_or_else(|| Value::String(String::new()));
            match self.filled(setting, steps - 1) {
                Value::String(inner) => text = text.replace(&place, &inner),
                other if text == place => return other,
                other => text = text.replace(&place, &other.to_string()),
            }
        }
        Value::String(text)
    }

    /// A setting as it is written, nothing filled in.
    pub fn raw(&self, table: &str, key: &str) -> Option<&Value> {
        self.tables.get(table)?.get(key)
    }

    /// Changes one setting of a table of the sample.
    pub fn put(&mut self, table: &str, key: &str, value: impl Into<Value>) {
        self.tables
            .entry(table)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .map(|table| table.insert(key.to_owned(), value.into()));
    }

    /// Changes a whole table.
    pub fn replace(&mut self, name: &str, table: Table) {
        self.tables.insert(name.to_owned(), Value::Table(table));
    }

    /// One setting, if it is a text.
    pub fn text(&self, table: &str, key: &str) -> Option<String> {
        self.table(table).get(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// The folder of the run.
    pub fn output(&self) -> String {
        self.tables
            .get(SHARED)
            .and_then(|t| t.get("output"))
            .and_then(Value::as_str)
            .unwrap_or("runs/sample")
            .to_owned()
    }

    /// All tables as TOML.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(&self.tables)?)
    }
}

/// Whether a setting is more than an empty text or list, which switches a default off.
pub fn says_something(value: &Value) -> bool {
    value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty())
}

fn hyphened(table: Table) -> impl Iterator<Item = (String, Value)> {
    table.into_iter().map(|(key, value)| (key.replace('_', "-"), value))
}

/// Each `{table.key}` in `text`: table, key, and the place as it is written.
fn places(text: &str) -> Vec<(String, String, String)> {
    let inside =
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(inside, _)| inside);
    let named = inside.filter_map(|inside| {
        inside
            .split_once('.')
            .map(|(table, key)| (table.to_owned(), key.to_owned(), format!("{{{inside}}}")))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_wins_and_keeps_the_type() {
        let settings = Settings::load(
            None,
            &["train.epochs=3".into(), "train.model=b+".into(), "pipeline.output=x".into()],
        )
        .unwrap();
        let train = settings.table("train");
        assert_eq!(train["epochs"], Value::Integer(3));
        assert_eq!(train["model"], Value::String("b+".into()));
        assert_eq!(train["run-dir"], Value::String("x/train".into()));
    }

    #[test]
    fn a_setting_can_stand_for_another_one() {
        let settings = Settings::load(
            None,
            &["infer.checkpoint=sam2.pt".into(), "nii-to-npz.img-path=scans".into()],
        )
        .unwrap();
        let auto = settings.table("infer-auto");
        assert_eq!(auto["checkpoint"], Value::String("sam2.pt".into()));
        assert_eq!(auto["input"], Value::String("scans".into()));
        assert_eq!(
            auto["model"],
            Value::String("nano".into()),
            "through infer.model to train.model"
        );
        assert!(
            !auto.contains_key("img-name-suffix"),
            "nothing says it, so the program's own default counts: {auto}"
        );
        assert_eq!(settings.table("evaluate")["pred"], Value::String("runs/sample/infer".into()));
    }

    #[test]
    fn a_misspelt_table_is_named_with_the_nearest() {
        let error = format!("{:#}", Settings::load(None, &["trian.epochs=3".into()]).unwrap_err());
        assert!(error.contains("did you mean [train]?"), "{error}");
    }
}
