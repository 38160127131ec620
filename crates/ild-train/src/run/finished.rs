//! The finished mark of a run: what it was made from, and which files belong to it.

use std::path::{Path, PathBuf};

use ild_cli::done::{Key, Records};
use serde_json::{Value, json};

use crate::error::Result;
use crate::run::run_folder::STATE;
use crate::run::state::Header;
use crate::watch::page::PAGE;

const ITEM: &str = "run";
/// Weights that no state gives back.
const LASTING: [&str; 2] = ["initial.safetensors", "best.safetensors"];
/// Everything of a run, in the order in which it is taken away.
const FILES: [&str; 10] = [
    STATE,
    "best.safetensors",
    "averaged.safetensors",
    "latest.safetensors",
    "initial.safetensors",
    "history.csv",
    "loss.png",
    PAGE,
    "steps.csv",
    "data_sanitycheck.png",
];

fn records(folder: &Path) -> Records {
    Records::new(folder, "train")
}

/// Data, weights, settings and version.
fn key(header: &Header) -> Key {
    let settings = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "made_from": header.made_from,
        "model": header.model,
        "seed": header.seed,
        "recipe": header.recipe,
        "epochs_done": header.progress.epochs_done,
    });
    Key::new(&settings, &[])
}

/// Whether the run of this state ended and all its files are there in full.
pub(crate) fn finished(folder: &Path, header: &Header) -> bool {
    records(folder).finished::<Value>(ITEM, &key(header)).is_some()
}

/// Marks the run of this state as finished.
///
/// # Errors
/// When the mark cannot be written.
pub(crate) fn mark(folder: &Path, header: &Header) -> Result<()> {
    let files: Vec<PathBuf> =
        FILES.iter().filter(|name| folder.join(name).is_file()).map(PathBuf::from).collect();
    records(folder).write(ITEM, key(header), &files, json!({}))?;
    Ok(())
}

/// Weights of the run that are gone or not as they were written, and that no state gives back.
pub(crate) fn lost(folder: &Path) -> Option<PathBuf> {
    let mut weights = LASTING.iter().map(|name| folder.join(name));
    weights.find(|path| !ild_cli::outputs::is_ours(path))
}

/// Takes away the mark and everything of an earlier run, before another one begins here.
///
/// # Errors
/// When one of the files is somebody else's, or cannot be removed.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    FILES.iter().try_for_each(|name| ild_cli::outputs::may_remove(&folder.join(name)))?;
    records(folder).forget(ITEM)?;
    Ok(FILES.iter().try_for_each(|name| ild_cli::outputs::remove(&folder.join(name)))?)
}
