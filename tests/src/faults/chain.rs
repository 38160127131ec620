//! All stages in one command, over the cohort and the model of a [`Lab`].

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Lab, Program, Tree, results};

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

impl Lab {
    /// `ild pipeline` with its run in `folder`.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub fn pipeline(&self, folder: &str) -> Result<Command> {
        let settings = self.path("pipeline.toml");
        let model = self.path("mini.toml").display().to_string();
        std::fs::write(&settings, SETTINGS.replace("MODEL", &model))?;
        let mut command = self.bare("ild");
        let output = format!("pipeline.output={}", self.path(folder).display());
        command.args(["pipeline", "--workers", "1", "--set", &output, "--config"]).arg(settings);
        Ok(command)
    }
}

/// What of a run has to be the same whatever happened on the way.
#[must_use]
pub fn results_of_run(run: &Path) -> Tree {
    let below = |folder: &str, path: PathBuf| Path::new(folder).join(path);
    let all = FOLDERS.iter().flat_map(|&(program, folder)| {
        let found = results(program, &run.join(folder)).into_iter();
        found.map(move |(path, bytes)| (below(folder, path), bytes))
    });
    all.collect()
}
