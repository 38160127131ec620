//! The finished mark of a whole run: what the process read and wrote.
//!
//! A program that chains others names a file in [`MARK`]; the process that ends well writes there
//! what it has read, as it was then, and what it has written. As long as both are so, there is
//! nothing to do.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::inputs::{self, Seen};
use super::outputs;
use crate::{FileError, Stamp};

/// With this variable set, a program that ends well writes its [`Mark`] to the file named there.
pub const MARK: &str = "ILD_MARK";

const KIND: &str = "mark";

/// What a run was made from and what it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Version of the program.
    version: String,
    /// Everything read.
    inputs: BTreeMap<String, Seen>,
    /// Everything written, or found finished.
    outputs: Vec<Stamp>,
}

impl Mark {
    /// The mark of this process.
    pub(crate) fn of_this_process(version: &str) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let inputs = inputs::all().into_iter().map(|(path, seen)| {
            let path = absolute(&path);
            let seen = match seen {
                Seen::File(stamp) => Seen::File(Stamp { path: path.clone(), ..stamp }),
                other => other,
            };
            (path.display().to_string(), seen)
        });
        let there = outputs::written().into_iter().filter(|(_, there)| *there);
        Self {
            version: version.to_owned(),
            inputs: inputs.collect(),
            outputs: there.filter_map(|(path, _)| Stamp::of(&absolute(&path))).collect(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), FileError> {
        let bytes = serde_json::to_vec(self).map_err(FileError::at(path, "written"))?;
        outputs::in_the_name_of(KIND, || crate::write_bytes_atomic(path, &bytes))
    }

    /// Takes the mark that a program left at `path`, if it did; no mark is there afterwards.
    ///
    /// # Errors
    /// When something else lies there, or it cannot be removed.
    pub fn take(path: &Path) -> Result<Option<Self>, FileError> {
        let mark = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        outputs::in_the_name_of(KIND, || outputs::remove(path))?;
        Ok(mark)
    }

    /// The first thing that is not so any more; `None` when all of it is.
    #[must_use]
    pub fn outdated(&self, version: &str) -> Option<String> {
        if self.version != version {
            return Some(format!("version {} made it, this is {version}", self.version));
        }
        let own: HashSet<&Path> = self.outputs.iter().map(|stamp| stamp.path.as_path()).collect();
        let input = self.inputs.iter().find(|(path, seen)| {
            !inputs::still_true(Path::new(path), seen, |path| own.contains(path))
        });
        if let Some((path, _)) = input {
            return Some(format!("{path} has changed"));
        }
        // The time of status also changes when a link to the file is made.
        let same = |stamp: &Stamp| {
            Stamp::of(&stamp.path)
                .is_some_and(|now| (now.bytes, now.changed_ns) == (stamp.bytes, stamp.changed_ns))
        };
        let output: Option<&PathBuf> =
            self.outputs.iter().find(|stamp| !same(stamp)).map(|stamp| &stamp.path);
        output.map(|path| format!("{} is not as it was written", path.display()))
    }
}
