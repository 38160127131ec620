//! `--report run.json`: what a run was made of, so that somebody else can repeat it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{FileError, Refusal, outputs, peak_memory_bytes, regular};

/// In whose name run records are written: whichever program comes next may replace one.
const KIND: &str = "run-record";

/// Refuses a place for a run record where something else lies; worth knowing before the work.
pub(crate) fn may_report(path: &Path) -> Result<(), Refusal> {
    outputs::in_the_name_of(KIND, || outputs::may_write(path))
}

/// The record of one run, written at its end.
pub struct RunReport {
    started: Instant,
    fields: Map<String, Value>,
}

impl RunReport {
    /// Starts the clock. `program` and `version` are the binary's (`env!("CARGO_PKG_NAME")`,
    /// `env!("CARGO_PKG_VERSION")`).
    #[must_use]
    pub fn new(program: &str, version: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("program".into(), program.into());
        fields.insert("version".into(), version.into());
        fields.insert(
            "command".into(),
            std::env::args_os()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .into(),
        );
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        fields.insert("started_unix_s".into(), unix.into());
        Self { started: Instant::now(), fields }
    }

    /// Sets a field; a value that cannot be JSON becomes `null`.
    pub fn set(&mut self, key: &str, value: impl Serialize) {
        self.fields.insert(key.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
    }

    /// Records an input file with its SHA-256.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn input(&mut self, path: &Path) -> Result<(), FileError> {
        let hash = sha256_of_file(path)?;
        self.hashed_input(path, &hash);
        Ok(())
    }

    /// Records an input file whose SHA-256 is known already.
    pub fn hashed_input(&mut self, path: &Path, sha256: &str) {
        self.push("inputs", json!({ "path": path.display().to_string(), "sha256": sha256 }));
    }

    /// Records an output.
    pub fn output(&mut self, path: &Path) {
        self.push("outputs", path.display().to_string().into());
    }

    fn push(&mut self, key: &str, value: Value) {
        if let Value::Array(list) = self.fields.entry(key).or_insert_with(|| json!([])) {
            list.push(value);
        }
    }

    /// Adds seconds and peak memory and writes the record, when `path` is asked for.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(mut self, path: Option<&Path>) -> Result<(), FileError> {
        let Some(path) = path else { return Ok(()) };
        self.set("seconds", self.started.elapsed().as_secs_f64());
        self.set("peak_memory_bytes", peak_memory_bytes());
        outputs::in_the_name_of(KIND, || crate::write_json_atomic(path, &self.fields))
    }
}

/// SHA-256 of a file's bytes in lower-case hexadecimal.
///
/// # Errors
/// When the file cannot be read, or is none; names it.
pub fn sha256_of_file(path: &Path) -> Result<String, FileError> {
    let found = regular(path).map_err(FileError::at(path, "read"))?;
    found.map_err(FileError::at(path, "read"))?;
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0u8; 1 << 20];
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    hash().map_err(FileError::at(path, "read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        // FIPS 180-2, example B.1.
        assert_eq!(
            sha256_of_file(file.path()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
