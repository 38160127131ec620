//! What a stage was run on, so that it is not run again for nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::stage::files_below;

/// The state of one stage, kept in `<run>/.stages/<name>.json`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Hash of the flags and of size and time of every file read.
    inputs: String,
    /// The same of every file written; empty until the stage has finished.
    outputs: String,
}

/// What is known of a stage before it runs.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Finished on the same inputs, and its output is untouched.
    Done,
    /// Begun on the same inputs: what it has written can be used.
    Begun,
    /// Never run, or on other inputs: what it has written is of no use.
    Stale,
}

impl Stamp {
    /// Where the stamp of `stage` is.
    pub fn path(run: &Path, stage: &str) -> PathBuf {
        run.join(".stages").join(format!("{stage}.json"))
    }

    /// The stamp of a stage that is about to run.
    pub fn begin(flags: &[String], reads: &[PathBuf]) -> Self {
        Self { inputs: digest(flags, reads), outputs: String::new() }
    }

    /// The same once it has finished.
    pub fn finish(self, writes: &[PathBuf]) -> Self {
        Self { outputs: digest(&[], writes), ..self }
    }

    /// Compares with the stamp of an earlier run.
    pub fn state(&self, path: &Path, writes: &[PathBuf]) -> State {
        let earlier: Stamp = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if earlier.inputs != self.inputs {
            State::Stale
        } else if !earlier.outputs.is_empty() && earlier.outputs == digest(&[], writes) {
            State::Done
        } else {
            State::Begun
        }
    }

    /// Writes the stamp.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        Ok(ild_cli::write_json_atomic(path, self)?)
    }
}

fn digest(flags: &[String], paths: &[PathBuf]) -> String {
    let mut hasher = Sha256::new();
    for flag in flags {
        hasher.update(flag.as_bytes());
        hasher.update([0]);
    }
    for file in paths.iter().flat_map(|path| files_below(path)) {
        let Some(state) = ild_cli::done::Stamp::of(&file) else { continue };
        hasher.update(format!("{}\0{}\0{}\0", file.display(), state.bytes, state.changed_ns));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_done_until_an_input_an_output_or_a_flag_changes() {
        let dir = std::env::temp_dir().join(format!("stamp-{}", std::process::id()));
        let (input, output, stamp_file) = (dir.join("in"), dir.join("out"), dir.join("stamp.json"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(&input, "1").unwrap();
        fs::write(&output, "2").unwrap();
        let begin = |flag: &str| Stamp::begin(&[flag.to_owned()], std::slice::from_ref(&input));
        let state = |flag: &str| begin(flag).state(&stamp_file, std::slice::from_ref(&output));

        assert_eq!(state("--a"), State::Stale);
        begin("--a").save(&stamp_file).unwrap();
        assert_eq!(state("--a"), State::Begun);
        begin("--a").finish(std::slice::from_ref(&output)).save(&stamp_file).unwrap();
        assert_eq!(state("--a"), State::Done);
        assert_eq!(state("--b"), State::Stale);
        fs::remove_file(&output).unwrap();
        assert_eq!(state("--a"), State::Begun);
        fs::write(&input, "longer").unwrap();
        assert_eq!(state("--a"), State::Stale);
        fs::remove_dir_all(&dir).unwrap();
    }
}
