//! Files that an earlier version has written are read by this one: `docs/data-format.md`, "Versions
//! of files". `tests/golden/formats/<version>/` was made by the ignored test at the end of this
//! file, run with that version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ild_tests::faults::finished;
use ild_tests::{programs, workspace};
use tempfile::TempDir;

/// A SAM 2 of 64² pixels.
const MINI: &str = "image_size = 64\nembed_dim = 8\nnum_heads = 1\nstages = [1, 1, 1, 1]\nwindow_spec = [4, 4, 4, 4]\n\
    global_att_blocks = []\nwindow_pos_embed_bkg_spatial_size = [4, 4]\nd_model = 32\nmlp_dim = 32\n";

/// Every kind of file that one program leaves for another, in the order in which they are made.
const COMMANDS: [&str; 6] = [
    "ild-phantom --cases 3 --size 10,64,64 --output data",
    "ild-preprocess nii-to-npz --img-path data/imagesTr --gt-path data/labelsTr --window lung --min-voxels-3d 10 \
     --min-pixels-2d 4 --ratios 1,1,1 --output npz",
    "ild-preprocess npz-to-npy --npz-train-dir npz/npz_train --npz-valid-dir npz/npz_valid --npy-dir npy",
    "ild-train --npy-dir npy --model mini.toml --epochs 1 --batch-size 4 --device cpu --run-dir train",
    "ild-infer --input npz/npz_test --checkpoint train/best.safetensors --model mini.toml --prompt gt --device cpu \
     --output pred",
    "ild-metrics evaluate --pred pred --gt npz/npz_test --bootstrap 20 --output evaluation",
];

/// Kept of what the commands make: no pictures, no copies of other kept files.
const KEPT: [&str; 10] = [
    "mini.toml",
    "npz/npz_train",
    "npz/npz_valid",
    "npz/npz_test",
    "npy",
    "train/best.safetensors",
    "pred",
    "evaluation/summary.json",
    "evaluation/metrics.csv",
    "evaluation/cases.csv",
];

fn golden() -> PathBuf {
    workspace().join("tests/golden/formats")
}

/// A copy of what a version has written, to work in.
struct Kept(TempDir);

impl Kept {
    fn of(version: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(version, folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, words: &str, code: i32) -> String {
        let mut words = words.split_whitespace();
        let mut command = Command::new(programs().join(words.next().unwrap()));
        command.current_dir(self.0.path()).env_remove("ILD_MARK");
        finished(&command.args(words).output().unwrap(), code).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
}

fn for_each_version(check: impl Fn(&Kept)) {
    let versions = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let versions: Vec<PathBuf> = versions.filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty(), "no version is kept");
    versions.iter().for_each(|version| check(&Kept::of(version)));
}

#[test]
fn a_kept_npz_becomes_the_kept_slices() {
    for_each_version(|kept| {
        let words = COMMANDS[2].replace("--npy-dir npy", "--npy-dir again");
        kept.run(&words, 0);
        let slices = |part: &str| {
            let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
            for kind in ["train/imgs", "train/gts", "valid/imgs", "valid/gts"] {
                let folder = kept.path(part).join(kind);
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|end| end == "npy") {
                        let name = Path::new(kind).join(path.file_name().unwrap());
                        files.push((name, fs::read(path).unwrap()));
                    }
                }
            }
            files.sort();
            files
        };
        assert!(!slices("npy").is_empty());
        assert_eq!(slices("npy"), slices("again"));
    });
}

#[test]
fn kept_weights_segment_and_teach() {
    for_each_version(|kept| {
        let said = kept.run("ild-model inspect train/best.safetensors --model mini.toml", 0);
        assert!(said.contains("missing") || said.contains("tensors"), "{said}");
        kept.run(&COMMANDS[4].replace("--output pred", "--output again"), 0);
        let words = COMMANDS[3].replace("--run-dir train", "--run-dir again-train");
        kept.run(&format!("{words} --pretrained train/best.safetensors"), 0);
    });
}

#[test]
fn a_kept_segmentation_is_evaluated_and_a_kept_evaluation_compared() {
    for_each_version(|kept| {
        kept.run(&COMMANDS[5].replace("--output evaluation", "--output again"), 0);
        let same = |name: &str| {
            let [old, new] = ["evaluation", "again"].map(|folder| kept.path(folder).join(name));
            let read = |path| fs::read_to_string(path).unwrap();
            let (old, new): (String, String) = (read(old), read(new));
            // Later versions may add columns; those of then keep their names and values.
            let rows = |text: &str| -> Vec<Vec<String>> {
                text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
            };
            let (old, new) = (rows(&old), rows(&new));
            for (i, head) in old[0].iter().enumerate() {
                let j = new[0].iter().position(|other| other == head);
                let j = j.unwrap_or_else(|| panic!("column {head} is gone"));
                for (a, b) in old.iter().zip(&new) {
                    assert_eq!(a[i], b[j], "{head}");
                }
            }
        };
        same("metrics.csv");
        kept.run("ild-metrics compare evaluation again", 0);
    });
}

#[test]
fn a_kept_list_of_files_says_whose_they_are() {
    for_each_version(|kept| {
        let again = kept.run(COMMANDS[4], 0);
        assert!(!again.contains("overwrite-foreign"), "{again}");
        // Without the list they are somebody else's, and another setting would write over them.
        fs::remove_file(kept.path("pred/.ild-files")).unwrap();
        let refused = kept.run(&format!("{} --force", COMMANDS[4]), 3);
        assert!(refused.contains("did not write"), "{refused}");
    });
}

/// `ILD_KEEP=0.1 cargo test --release --workspace --test formats -- --ignored`
#[test]
#[ignore = "makes the kept files of this version anew"]
fn keep_the_files_of_this_version() {
    let version = std::env::var("ILD_KEEP").expect("ILD_KEEP names the version");
    let made = Kept(tempfile::tempdir().unwrap());
    fs::write(made.path("mini.toml"), MINI).unwrap();
    COMMANDS.iter().for_each(|words| drop(made.run(words, 0)));
    let to = golden().join(version);
    let _ = fs::remove_dir_all(&to);
    KEPT.iter().for_each(|name| copy(&made.path(name), &to.join(name)));
}
