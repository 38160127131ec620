//! A small cohort with everything that each program reads, made once.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::programs;

/// A SAM 2 of 64² pixels.
const MINI: &str = "image_size = 64\nembed_dim = 8\nnum_heads = 1\nstages = [1, 1, 1, 1]\nwindow_spec = [4, 4, 4, 4]\n\
    global_att_blocks = []\nwindow_pos_embed_bkg_spatial_size = [4, 4]\nd_model = 32\nmlp_dim = 32\n";

/// A program that leaves files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `ild-phantom`.
    Phantom,
    /// `ild-preprocess nii-to-npz`.
    NiiToNpz,
    /// `ild-preprocess npz-to-npy`.
    NpzToNpy,
    /// `ild-train`.
    Train,
    /// `ild-infer`.
    Infer,
    /// `ild-metrics evaluate`.
    Evaluate,
}

/// All of them, in the order of the pipeline.
pub const PROGRAMS: [Program; 6] = [
    Program::Phantom,
    Program::NiiToNpz,
    Program::NpzToNpy,
    Program::Train,
    Program::Infer,
    Program::Evaluate,
];

impl Program {
    /// Folder of its output in a [`Lab`].
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Phantom => "data",
            Self::NiiToNpz => "npz",
            Self::NpzToNpy => "npy",
            Self::Train => "train",
            Self::Infer => "pred",
            Self::Evaluate => "evaluation",
        }
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Phantom => &["ild-phantom", "--cases", "4", "--size", "16,64,64", "--output"],
            Self::NiiToNpz => &[
                "ild-preprocess",
                "nii-to-npz",
                "--img-path",
                "data/imagesTr",
                "--gt-path",
                "data/labelsTr",
                "--window",
                "lung",
                "--min-voxels-3d",
                "10",
                "--min-pixels-2d",
                "4",
                "--ratios",
                "2,1,1",
                "--output",
            ],
            Self::NpzToNpy => &[
                "ild-preprocess",
                "npz-to-npy",
                "--npz-train-dir",
                "npz/npz_train",
                "--npz-valid-dir",
                "npz/npz_valid",
                "--npy-dir",
            ],
            Self::Train => &[
                "ild-train",
                "--npy-dir",
                "npy",
                "--model",
                "mini.toml",
                "--pretrained",
                "start.safetensors",
                "--epochs",
                "2",
                "--batch-size",
                "8",
                "--lr",
                "1e-3",
                "--device",
                "cpu",
                "--run-dir",
            ],
            Self::Infer => &[
                "ild-infer",
                "--input",
                "npz/npz_test",
                "--checkpoint",
                "start.safetensors",
                "--model",
                "mini.toml",
                "--prompt",
                "gt",
                "--device",
                "cpu",
                "--output",
            ],
            Self::Evaluate => &[
                "ild-metrics",
                "evaluate",
                "--pred",
                "pred",
                "--gt",
                "npz/npz_test",
                "--bootstrap",
                "50",
                "--output",
            ],
        }
    }
}

/// A folder with the outputs of all programs, one after the other.
pub struct Lab {
    folder: TempDir,
}

impl Lab {
    /// Runs every program once, undisturbed.
    ///
    /// # Errors
    /// When one of them does not end well.
    pub fn new() -> Result<Self> {
        let lab = Self { folder: tempfile::tempdir()? };
        let model = lab.path("mini.toml");
        std::fs::write(&model, MINI)?;
        super::chain::write_settings(lab.folder.path(), &model)?;
        for program in [Program::Phantom, Program::NiiToNpz, Program::NpzToNpy] {
            lab.expect(program, program.folder(), 0)?;
        }
        // Weights to start from, which the other programs read.
        let mut first = lab.bare("ild-train");
        first.args(["--npy-dir", "npy", "--model", "mini.toml", "--epochs", "1"]);
        first.args(["--device", "cpu", "--run-dir", "first"]);
        finished(&first.output()?, 0)?;
        std::fs::copy(lab.path("first/best.safetensors"), lab.path("start.safetensors"))?;
        for program in [Program::Train, Program::Infer, Program::Evaluate] {
            lab.expect(program, program.folder(), 0)?;
        }
        Ok(lab)
    }

    /// A path in the lab.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program without flags, at work in the lab.
    #[must_use]
    pub fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.current_dir(self.folder.path()).env_remove("ILD_MARK");
        command
    }

    /// The command of `program` with its output in `folder`.
    #[must_use]
    pub fn command(&self, program: Program, folder: impl AsRef<OsStr>) -> Command {
        let (name, flags) = program.words().split_first().unwrap_or((&"", &[]));
        let mut command = self.bare(name);
        command.args(flags).arg(folder).args(["--workers", "1"]);
        command
    }

    /// Runs it and expects this exit code; what it said.
    ///
    /// # Errors
    /// Another exit code; with what the program said.
    pub fn expect(&self, program: Program, folder: &str, code: i32) -> Result<String> {
        finished(&self.command(program, folder).output()?, code)
            .with_context(|| format!("{program:?} into {folder}"))
    }
}

/// What a program said, if it ended with `code`.
///
/// # Errors
/// Another exit code.
pub fn finished(output: &Output, code: i32) -> Result<String> {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let said = format!("{out}{err}");
    ensure!(output.status.code() == Some(code), "expected {code}, found {}: {said}", output.status);
    Ok(said)
}
