//! Where a run writes, and whether it begins, goes on, or is done already.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ild_cli::IfOther;

use crate::error::{Error, Result};
use crate::run::args::TrainArgs;
use crate::run::finished::{finished, lost};
use crate::run::origins::Origins;
use crate::run::run_folder::{STATE, timestamped_name};
use crate::run::state::{Header, read_state_header};

/// How a command starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// From the pretrained or random weights.
    Fresh,
    /// From a state file of ours.
    Resume(PathBuf),
    /// From a checkpoint of the reference's script.
    ResumeReference(PathBuf),
    /// All epochs are done; nothing to do.
    Done(Box<Header>),
}

/// The run folder, how to start, and what the run is made from, for these flags.
///
/// # Errors
/// When `--resume` names something that is no state, or `--run-dir` holds a run with other
/// settings or data.
pub fn decide(args: &TrainArgs, seed: u64, force: bool) -> Result<(PathBuf, Start, Origins)> {
    let fixed = args.run_dir.clone();
    let origins = Origins::of(args, fixed.as_deref());
    let new_folder = || args.work_dir.join(timestamped_name(&args.task_name, SystemTime::now()));
    if let Some(resume) = &args.resume {
        let (folder, start) = match state_beside(resume) {
            Some(state) => (fixed.unwrap_or_else(|| folder_of(&state)), Start::Resume(state)),
            None if resume.is_file() => {
                (fixed.unwrap_or_else(new_folder), Start::ResumeReference(resume.clone()))
            }
            None => {
                let next =
                    "give a run folder, its state.safetensors, or a .pth of the reference's script";
                let expected = "to resume from".to_owned();
                return Err(Error::WrongState {
                    path: resume.clone(),
                    expected,
                    found: "no such file".to_owned(),
                    next,
                });
            }
        };
        return Ok((folder, start, origins));
    }
    let Some(folder) = fixed else { return Ok((new_folder(), Start::Fresh, origins)) };
    let start = match folder.join(STATE) {
        state if force || !state.exists() => Start::Fresh,
        state => of_run_in(&folder, &state, args, seed, &origins)?,
    };
    Ok((folder, start, origins))
}

/// How to start where `folder` holds a run already.
fn of_run_in(
    folder: &Path,
    state: &Path,
    args: &TrainArgs,
    seed: u64,
    origins: &Origins,
) -> Result<Start> {
    let header = read_state_header(state)?;
    let mut other = origins.differing(&header.made_from);
    if header.model != args.model || header.seed != seed || header.recipe != args.recipe {
        other.push("model, seed or recipe");
    }
    let start_over = args.if_other == IfOther::StartOver;
    if !other.is_empty() {
        if start_over {
            tracing::info!("{}: starting over, on other {}", folder.display(), other.join(", "));
            return Ok(Start::Fresh);
        }
        return Err(Error::WrongState {
            path: state.to_owned(),
            expected: "of the same run".to_owned(),
            found: format!("one with other {}", other.join(", ")),
            next: "--force starts over, --resume goes on with the new settings, another --run-dir keeps both",
        });
    }
    if !header.progress.is_over(header.recipe.epochs) {
        return Ok(Start::Resume(state.to_owned()));
    }
    // States of earlier versions have no record beside them.
    if header.made_from.is_empty() || finished(folder, &header) {
        return Ok(Start::Done(Box::new(header)));
    }
    match lost(folder) {
        None => Ok(Start::Resume(state.to_owned())),
        Some(_) if start_over => Ok(Start::Fresh),
        Some(weights) => Err(ild_io::Error::refused(
            weights,
            "weights of the run whose state is beside them",
            "nothing, or others",
            "put the file back, or train again with --force",
        )
        .into()),
    }
}

/// The state file that a run folder, a state file, or weights in a run folder stand for.
fn state_beside(path: &Path) -> Option<PathBuf> {
    let ours = path.extension().is_some_and(|extension| extension == "safetensors");
    let folder = if path.is_dir() { path.to_owned() } else { folder_of(path) };
    let state = folder.join(STATE);
    ((path.is_dir() || ours) && state.is_file()).then_some(state)
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new(".")).to_owned()
}
