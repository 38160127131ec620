//! All stages in one command, over the cohort and the model of a [`Lab`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ild_cli::FOLDER_IN_USE;

use super::{Ending, Lab, Program, Tree, finished, kill_after, moments, results, strays};

const SETTINGS_FILE: &str = "pipeline.toml";
/// How long a stage that lost its parent may take to save its work and let go of its folder.
const LET_GO: Duration = Duration::from_secs(60);

/// What is smaller than in the sample. `MODEL` stands for the model's file.
const SETTINGS: &str = r#"
[phantom]
cases = 4
healthy = 1
healthy-slices = 1
size = [16, 64, 64]

[phantom-healthy]
healthy = 1

[nii-to-npz]
window = "lung"
min-voxels-3d = 10
min-pixels-2d = 4
ratios = [2, 1, 1]

[train]
model = "MODEL"
epochs = 1
batch-size = 8

[evaluate]
bootstrap = 50
"#;

/// The folders of a run and who writes them.
const FOLDERS: [(Program, &str); 8] = [
    (Program::Phantom, "data"),
    (Program::Phantom, "healthy"),
    (Program::NiiToNpz, "npz"),
    (Program::NpzToNpy, "npy"),
    (Program::Train, "train"),
    (Program::Infer, "infer"),
    (Program::Infer, "infer-auto"),
    (Program::Evaluate, "evaluation"),
];

/// Writes the settings of [`Lab::pipeline`], with the model of this file.
pub(super) fn write_settings(folder: &Path, model: &Path) -> Result<()> {
    let settings = SETTINGS.replace("MODEL", &model.display().to_string());
    Ok(std::fs::write(folder.join(SETTINGS_FILE), settings)?)
}

impl Lab {
    /// `ild pipeline` with its run in `folder`.
    #[must_use]
    pub fn pipeline(&self, folder: &str) -> Command {
        let mut command = self.bare("ild");
        let output = format!("pipeline.output={}", self.path(folder).display());
        command.args(["pipeline", "--workers", "1", "--set", &output]);
        command.arg("--config").arg(self.path(SETTINGS_FILE));
        command
    }
}

/// Kills `ild` at each `step`-th moment of its own writing, from `first` on, and at `at_random`
/// times with a stage at work; how often. Each run is then that of an undisturbed one.
///
/// # Errors
/// A run that does not come right.
pub fn killed_pipelines(lab: &Lab, first: u64, step: u64, at_random: u32) -> Result<u64> {
    let whole = lab.path("run-whole");
    let start = Instant::now();
    if !whole.exists() {
        finished(&lab.pipeline("run-whole").output()?, 0)?;
    }
    let undisturbed = start.elapsed().max(Duration::from_secs(2));
    let fresh = || {
        let _ = std::fs::remove_dir_all(lab.path("run"));
        let mut command = lab.pipeline("run");
        command.env("ILD_KILL_PROGRAM", "ild");
        command
    };
    let mut killed = moments(fresh, first, step, |moment| {
        comes_right(lab, "run", &whole).with_context(|| format!("moment {moment}"))
    })?;
    for i in 1..=at_random {
        let _ = std::fs::remove_dir_all(lab.path("run"));
        let after = undisturbed.mul_f64(f64::from(i) / f64::from(at_random + 1));
        let ending = kill_after(&mut lab.pipeline("run"), after)?;
        killed += u64::from(ending == Ending::Killed);
        comes_right(lab, "run", &whole)?;
    }
    Ok(killed)
}

/// The run in `folder` is that of an undisturbed `whole`, once nothing of a killed one is left.
fn comes_right(lab: &Lab, folder: &str, whole: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        let output = lab.pipeline(folder).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !said.contains(FOLDER_IN_USE) || start.elapsed() > LET_GO {
            finished(&output, 0)?;
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let (expected, found) = (results_of_run(whole), results_of_run(&lab.path(folder)));
    ensure!(!expected.is_empty() && expected.keys().eq(found.keys()), "other files than expected");
    for (path, bytes) in &expected {
        ensure!(found[path] == *bytes, "{} differs", path.display());
    }
    let left = strays(&lab.path(folder));
    ensure!(left == 0, "{left} temporary files are left");
    let again = finished(&lab.pipeline(folder).output()?, 0)?;
    ensure!(again.contains("Nothing to do"), "{again}");
    Ok(())
}

/// What of a run has to be the same whatever happened on the way.
fn results_of_run(run: &Path) -> Tree {
    let below = |folder: &str, path: PathBuf| Path::new(folder).join(path);
    let all = FOLDERS.iter().flat_map(|&(program, folder)| {
        let found = results(program, &run.join(folder)).into_iter();
        found.map(move |(path, bytes)| (below(folder, path), bytes))
    });
    all.collect()
}
