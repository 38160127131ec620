//! What a stage was run on, so that it is not run again for nothing.
//!
//! The stage's program says itself what it read and wrote ([`ild_cli::Mark`]); here its settings
//! stand beside that. There is no stamp while a stage is being done.

use std::fs;
use std::path::{Path, PathBuf};

use ild_cli::Mark;
use serde::{Deserialize, Serialize};

/// All programs of the workspace have one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A finished stage, kept in `<run>/.stages/<name>.json`.
#[derive(Serialize, Deserialize)]
pub struct Stamp {
    flags: Vec<String>,
    mark: Mark,
}

/// Where the stamp of `stage` is.
pub fn path(run: &Path, stage: &str) -> PathBuf {
    run.join(".stages").join(format!("{stage}.json"))
}

/// Where the program of `stage` leaves its mark.
pub fn mark_path(run: &Path, stage: &str) -> PathBuf {
    run.join(".stages").join(format!("{stage}.mark.json"))
}

impl Stamp {
    /// Why the stage has to be run; `None` when it is finished and nothing has changed.
    pub fn outdated(path: &Path, flags: &[String]) -> Option<String> {
        let kept =
            fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let Some(stamp) = kept else { return Some("not finished before".to_owned()) };
        if stamp.flags != flags {
            return Some("other settings".to_owned());
        }
        stamp.mark.outdated(VERSION)
    }

    /// Keeps the mark that the program has left, and the flags it was run with.
    pub fn keep(path: &Path, flags: &[String], mark: &Path) -> anyhow::Result<()> {
        if let Some(mark) = Mark::take(mark)? {
            let stamp = Self { flags: flags.to_vec(), mark };
            ild_cli::write_bytes_atomic(path, &serde_json::to_vec(&stamp)?)?;
        }
        Ok(())
    }
}
