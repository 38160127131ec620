//! What a run is made from, by content: slices, weights, the description of the model.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ild_cli::{FileError, Stamp, content_of_bytes};
use rayon::prelude::*;

use crate::error::Result;
use crate::run::args::TrainArgs;

/// Fingerprints of everything that the training reads, and the files behind them.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// What it is in words → fingerprint of its files.
    pub parts: BTreeMap<String, String>,
    stamps: Vec<Stamp>,
}

impl Origins {
    /// Of the run that these flags describe. Files that are as they were when `folder` was last
    /// trained in are not read again.
    #[must_use]
    pub fn of(args: &TrainArgs, folder: Option<&Path>) -> Self {
        let known = folder.map(known).unwrap_or_default();
        let slices = |part: &str| {
            let folder = args.npy_dir.join(part);
            [files(&folder.join("imgs")), files(&folder.join("gts"))].concat()
        };
        let one = |path: PathBuf| if path.is_file() { vec![path] } else { Vec::new() };
        // A state that is gone on from says itself what it was made from.
        let of_reference =
            |path: &&PathBuf| path.extension().is_none_or(|end| end != "safetensors");
        let resumed = args.resume.iter().filter(of_reference);
        let given = args.pretrained.iter().chain(resumed).cloned().flat_map(one).collect();
        let wanted = [
            ("training slices", slices("train")),
            ("validation slices", slices("valid")),
            ("dataset.json", one(args.npy_dir.join("dataset.json"))),
            ("starting weights", given),
            ("description of the model", one(PathBuf::from(&args.model))),
        ];
        let mut origins = Self::default();
        for (what, files) in wanted {
            let stamps: Vec<Stamp> =
                files.par_iter().filter_map(|path| stamp(path, &known)).collect();
            origins.parts.insert(what.to_owned(), fingerprint(&stamps));
            origins.stamps.extend(stamps);
        }
        origins
    }

    /// The parts that are others in `before`; none where it does not say (states of earlier
    /// versions).
    #[must_use]
    pub fn differing(&self, before: &BTreeMap<String, String>) -> Vec<&str> {
        let others =
            self.parts.iter().filter(|(what, now)| before.get(*what).is_some_and(|b| b != *now));
        others.map(|(what, _)| what.as_str()).collect()
    }

    /// Keeps the stamps in `folder`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        let path = kept_at(folder);
        let bytes = serde_json::to_vec(&self.stamps).map_err(FileError::at(&path, "written"))?;
        Ok(ild_cli::write_bytes_atomic(&path, &bytes)?)
    }
}

fn kept_at(folder: &Path) -> PathBuf {
    folder.join(".ild").join("train").join("inputs").join("stamps.json")
}

fn known(folder: &Path) -> HashMap<PathBuf, Stamp> {
    let bytes = std::fs::read(kept_at(folder)).unwrap_or_default();
    let stamps: Vec<Stamp> = serde_json::from_slice(&bytes).unwrap_or_default();
    stamps.into_iter().map(|stamp| (stamp.path.clone(), stamp)).collect()
}

/// The `.npy` files of a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "npy"))
        .collect();
    files.sort();
    files
}

/// The file with its content: as it is known, where it was not touched since.
fn stamp(path: &Path, known: &HashMap<PathBuf, Stamp>) -> Option<Stamp> {
    ild_cli::inputs::note(path);
    let now = Stamp::of(path)?;
    match known.get(path) {
        Some(then) if then.untouched(&now) => Some(then.clone()),
        _ => Some(now.hashed()),
    }
}

/// Of names and contents, wherever the folder lies.
fn fingerprint(stamps: &[Stamp]) -> String {
    let line = |stamp: &Stamp| {
        let name = stamp.path.file_name().unwrap_or_default();
        format!("{name:?} {} {}\n", stamp.bytes, stamp.content.as_deref().unwrap_or_default())
    };
    content_of_bytes(stamps.iter().map(line).collect::<String>().as_bytes())
}
