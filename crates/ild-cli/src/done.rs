//! What was made from what: the note that lets a rerun skip finished work and build the whole
//! summary all the same.
//!
//! One small JSON per item in a hidden folder of the output, written after the item's files. An
//! item is finished when its record names the same settings and the same inputs (path, size, time
//! of change) and its files are there in full.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FileError;

/// A file as it was when it was read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Where.
    pub path: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub changed_ns: u64,
}

impl Stamp {
    /// The file now; `None` when it is not there.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        let changed = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self {
            path: path.to_owned(),
            bytes: meta.len(),
            changed_ns: changed.as_nanos() as u64,
        })
    }
}

/// What an item was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Everything that changes the result, version of the format included.
    pub settings: Value,
    /// The files read.
    pub inputs: Vec<Stamp>,
}

impl Key {
    /// The key of `inputs` as they are now.
    #[must_use]
    pub fn new(settings: &Value, inputs: &[&Path]) -> Self {
        Self {
            settings: settings.clone(),
            inputs: inputs.iter().filter_map(|path| Stamp::of(path)).collect(),
        }
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
        (record.key == *key && record.files.iter().all(there)).then_some(record)
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
    /// When a file cannot be removed.
    pub fn take_away(&self, item: &str) -> Result<bool, FileError> {
        let Some(record) = self.read::<Value>(item) else { return Ok(false) };
        let files = record.files.iter().map(|(path, _)| self.output.join(path));
        for path in files.chain([self.path(item)]).filter(|path| path.is_file()) {
            std::fs::remove_file(&path).map_err(FileError::at(&path, "removed"))?;
        }
        Ok(true)
    }

    /// Notes that `item` is finished; `files` are below the output folder.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn write<T: Serialize>(
        &self,
        item: &str,
        key: Key,
        files: &[PathBuf],
        facts: T,
    ) -> Result<Record<T>, FileError> {
        let size =
            |path: &PathBuf| std::fs::metadata(self.output.join(path)).map_or(0, |meta| meta.len());
        let record = Record {
            key,
            files: files.iter().map(|path| (path.clone(), size(path))).collect(),
            facts,
        };
        let path = self.path(item);
        let bytes = serde_json::to_vec(&record).map_err(FileError::at(&path, "written"))?;
        crate::write_bytes_atomic(&path, &bytes)?;
        Ok(record)
    }

    /// Forgets `item`: from here on it is unfinished.
    ///
    /// # Errors
    /// When the record is there and cannot be removed.
    pub fn forget(&self, item: &str) -> Result<(), FileError> {
        let path = self.path(item);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::at(&path, "removed")(error))
            }
            _ => Ok(()),
        }
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
        std::fs::write(output.path().join("out"), b"22").unwrap();
        let records = Records::new(output.path(), "stage");
        let key = |settings: i32| Key::new(&settings.into(), &[&input]);
        assert!(records.finished::<u8>("a", &key(1)).is_none());
        records.write("a", key(1), &["out".into()], 5u8).unwrap();
        assert_eq!(records.finished::<u8>("a", &key(1)).unwrap().facts, 5);
        assert!(records.finished::<u8>("a", &key(2)).is_none(), "other settings");
        std::fs::write(output.path().join("out"), b"2").unwrap();
        assert!(records.finished::<u8>("a", &key(1)).is_none(), "output cut short");
        std::fs::write(output.path().join("out"), b"22").unwrap();
        std::fs::write(&input, b"12").unwrap();
        assert!(records.finished::<u8>("a", &key(1)).is_none(), "input changed");
        assert_eq!(records.items(), ["a"]);
        assert!(records.take_away("a").unwrap() && !records.take_away("a").unwrap());
        assert!(!output.path().join("out").exists() && records.items().is_empty());
    }
}
