//! What was made from what: the note that lets a rerun skip finished work and build the whole
//! summary all the same.
//!
//! One small JSON per item in a hidden folder of the output, written after the item's files. An
//! item is finished when its record names the same settings and its inputs hold the same bytes
//! ([`Stamp`]), and its files are there in full.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inputs::{self, changed_while_read};
use super::outputs;
use crate::{FileError, Stamp, veil};

/// What an item was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Everything that changes the result, version of the format included.
    pub settings: Value,
    /// The files read.
    pub inputs: Vec<Stamp>,
}

impl Key {
    /// The key of `inputs` as they are now; each counts as read.
    #[must_use]
    pub fn new(settings: &Value, inputs: &[&Path]) -> Self {
        inputs.iter().for_each(|path| inputs::note(path));
        let mut settings = settings.clone();
        veil::over_json(&mut settings);
        Self { settings, inputs: inputs.iter().filter_map(|path| Stamp::of(path)).collect() }
    }

    /// The same with the content of each file, to be kept: called before the item is made.
    #[must_use]
    pub fn hashed(self) -> Self {
        let hashed = |stamp: Stamp| if stamp.content.is_some() { stamp } else { stamp.hashed() };
        Self { inputs: self.inputs.into_iter().map(hashed).collect(), ..self }
    }

    /// Whether `now` stands for the same settings and the same bytes.
    fn same(&self, now: &Self) -> bool {
        self.settings == now.settings
            && self.inputs.len() == now.inputs.len()
            && self.inputs.iter().zip(&now.inputs).all(|(then, now)| then.same_content(now))
    }

    /// The first input that is not what it was when the key was made.
    fn changed(&self) -> Option<&Path> {
        let same = |stamp: &&Stamp| Stamp::of(&stamp.path).is_some_and(|now| stamp.untouched(&now));
        self.inputs.iter().find(|stamp| !same(stamp)).map(|stamp| stamp.path.as_path())
    }
}

/// A finished item.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record<T> {
    /// What it was made from.
    pub key: Key,
    /// Files written, relative to the output folder, with their sizes.
    pub files: Vec<(PathBuf, u64)>,
    /// What the summary needs.
    pub facts: T,
}

/// The records of one output folder.
#[derive(Clone, Debug)]
pub struct Records {
    output: PathBuf,
    folder: PathBuf,
}

impl Records {
    /// Records in `output/.ild/<stage>`.
    #[must_use]
    pub fn new(output: &Path, stage: &str) -> Self {
        Self { output: output.to_owned(), folder: output.join(".ild").join(stage) }
    }

    /// The hidden folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, item: &str) -> PathBuf {
        self.folder.join(format!("{item}.json"))
    }

    /// The record of `item`, whether or not it is still true.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self, item: &str) -> Option<Record<T>> {
        serde_json::from_slice(&std::fs::read(self.path(item)).ok()?).ok()
    }

    /// The record of `item` if it was made from `key` and its files are all there.
    #[must_use]
    pub fn finished<T: DeserializeOwned>(&self, item: &str, key: &Key) -> Option<Record<T>> {
        let record: Record<T> = self.read(item)?;
        let there = |(path, bytes): &(PathBuf, u64)| {
            std::fs::metadata(self.output.join(path)).is_ok_and(|meta| meta.len() == *bytes)
        };
        if !record.key.same(key) || !record.files.iter().all(there) {
            return None;
        }
        record.files.iter().for_each(|(path, _)| outputs::note(&self.output.join(path), true));
        Some(record)
    }

    /// The first input of `item`, as its record has it, that holds other bytes now: what was made
    /// from it is out of date.
    #[must_use]
    pub fn outdated(&self, item: &str) -> Option<PathBuf> {
        let record: Record<Value> = self.read(item)?;
        let other = |stamp: &Stamp| stamp.path.is_file() && !stamp.still_true();
        record.key.inputs.into_iter().find(other).map(|stamp| stamp.path)
    }

    /// The items that have a record, true or not, by name.
    #[must_use]
    pub fn items(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut items: Vec<String> =
            names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
        items.sort();
        items
    }

    /// Takes away the record of `item` and the files it names: what is about to be done again must
    /// not be found there if that fails. Returns whether there was any.
    ///
    /// # Errors
    /// When a file cannot be removed, or was changed by somebody since: then nothing is.
    pub fn take_away(&self, item: &str) -> Result<bool, FileError> {
        let Some(record) = self.read::<Value>(item) else { return Ok(false) };
        let files: Vec<PathBuf> =
            record.files.iter().map(|(path, _)| self.output.join(path)).collect();
        files.iter().try_for_each(|path| outputs::may_remove(path))?;
        // The record last: until then it says whose the rest is. The file written last first.
        files.iter().rev().try_for_each(|path| outputs::remove(path))?;
        self.forget(item)?;
        Ok(true)
    }

    /// Notes that `item` is finished; `files` are below the output folder.
    ///
    /// # Errors
    /// When an input changed while the item was made, or the record cannot be written.
    pub fn write<T: Serialize>(
        &self,
        item: &str,
        key: Key,
        files: &[PathBuf],
        facts: T,
    ) -> Result<Record<T>, FileError> {
        let path = self.path(item);
        if let Some(changed) = key.changed() {
            return Err(FileError::at(&path, "written")(changed_while_read(changed)));
        }
        let size =
            |path: &PathBuf| std::fs::metadata(self.output.join(path)).map_or(0, |meta| meta.len());
        let record = Record {
            key: key.hashed(),
            files: files.iter().map(|path| (path.clone(), size(path))).collect(),
            facts,
        };
        let mut value = serde_json::to_value(&record).map_err(FileError::at(&path, "written"))?;
        veil::over_json(&mut value);
        let bytes = serde_json::to_vec(&value).map_err(FileError::at(&path, "written"))?;
        crate::write_bytes_atomic(&path, &bytes)?;
        Ok(record)
    }

    /// Forgets `item`: from here on it is unfinished.
    ///
    /// # Errors
    /// When the record is there and cannot be removed.
    pub fn forget(&self, item: &str) -> Result<(), FileError> {
        outputs::remove(&self.path(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_inputs_settings_or_outputs_make_an_item_unfinished() {
        let output = tempfile::tempdir().unwrap();
        let input = output.path().join("in");
        std::fs::write(&input, b"1").unwrap();
        let out = output.path().join("out");
        crate::write_bytes_atomic(&out, b"22").unwrap();
        let records = Records::new(output.path(), "stage");
        let key = |settings: i32| Key::new(&settings.into(), &[&input]);
        assert!(records.finished::<u8>("a", &key(1)).is_none());
        records.write("a", key(1), &["out".into()], 5u8).unwrap();
        assert_eq!(records.finished::<u8>("a", &key(1)).unwrap().facts, 5);
        assert!(records.finished::<u8>("a", &key(2)).is_none(), "other settings");
        std::fs::write(&out, b"2").unwrap();
        assert!(records.finished::<u8>("a", &key(1)).is_none(), "output cut short");
        assert!(records.take_away("a").unwrap_err().is_refusal() && out.exists(), "by somebody");
        std::fs::remove_file(&out).unwrap();
        crate::write_bytes_atomic(&out, b"22").unwrap();
        std::fs::write(&input, b"2").unwrap();
        assert!(records.finished::<u8>("a", &key(1)).is_none(), "input changed");
        assert_eq!(records.outdated("a"), Some(input.clone()));
        std::fs::write(&input, b"1").unwrap();
        assert!(records.finished::<u8>("a", &key(1)).is_some(), "the same bytes again");
        assert_eq!(records.items(), ["a"]);
        assert!(records.take_away("a").unwrap() && !records.take_away("a").unwrap());
        assert!(!output.path().join("out").exists() && records.items().is_empty());
    }

    #[test]
    fn an_item_whose_input_changes_while_it_is_made_is_not_finished() {
        let output = tempfile::tempdir().unwrap();
        let input = output.path().join("in");
        std::fs::write(&input, b"1").unwrap();
        let records = Records::new(output.path(), "stage");
        let key = Key::new(&Value::Null, &[&input]).hashed();
        std::fs::write(&input, b"other").unwrap();
        let error = records.write("a", key, &[], 5u8).unwrap_err();
        assert!(error.is_refusal() && records.items().is_empty());
    }
}
