//! Where a run writes, and whether it begins, goes on, or is done already.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::run::args::TrainArgs;
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

/// The run folder and how to start, for these flags.
///
/// # Errors
/// When `--resume` names something that is no state, or `--run-dir` holds a run with other
/// settings.
pub fn decide(args: &TrainArgs, seed: u64, force: bool) -> Result<(PathBuf, Start)> {
    let fixed = args.run_dir.clone();
    let new_folder = || args.work_dir.join(timestamped_name(&args.task_name, SystemTime::now()));
    if let Some(resume) = &args.resume {
        return Ok(match state_beside(resume) {
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
        });
    }
    let Some(folder) = fixed else { return Ok((new_folder(), Start::Fresh)) };
    let state = folder.join(STATE);
    if force || !state.exists() {
        return Ok((folder, Start::Fresh));
    }
    let header = read_state_header(&state)?;
    if header.model != args.model || header.seed != seed || header.recipe != args.recipe {
        let found = "a run with another model, seed or recipe".to_owned();
        let next = "--force starts over, --resume goes on with the new settings, another --run-dir keeps both";
        return Err(Error::WrongState {
            path: state,
            expected: "of the same run".to_owned(),
            found,
            next,
        });
    }
    let over = header.progress.is_over(header.recipe.epochs);
    Ok((folder, if over { Start::Done(Box::new(header)) } else { Start::Resume(state) }))
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
