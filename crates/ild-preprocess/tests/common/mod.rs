//! Small made cases and a way to run the binary.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ild_io::{Affine, Geometry, LabelMap, Volume, Voxels, write_label_map, write_volume};
use ndarray::Array3;

/// Voxels along z, y, x of a made case.
pub const SHAPE: [usize; 3] = [8, 40, 48];

/// A folder with `imagesTr`, `labelsTr` and room for outputs.
pub struct Cohort {
    pub folder: tempfile::TempDir,
}

impl Cohort {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["imagesTr", "labelsTr"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// `n` cases, each with two lesions of labels 1 and 2 on slices 2, 3, 4 and 6.
    pub fn of(n: usize) -> Self {
        let cohort = Self::new();
        for i in 0..n {
            cohort.add(&format!("case{i:02}"), &lesions());
        }
        cohort
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn add(&self, case: &str, labels: &Array3<u8>) {
        let shape = labels.dim();
        let shift = case.bytes().map(usize::from).sum::<usize>();
        let hu = Array3::from_shape_fn(shape, |(z, y, x)| {
            ((z * 37 + y * 11 + x * 5 + shift) % 1400) as i16 - 1000
        });
        self.add_on(case, labels, hu, geometry([shape.0, shape.1, shape.2]));
    }

    pub fn add_on(&self, case: &str, labels: &Array3<u8>, hu: Array3<i16>, geometry: Geometry) {
        write_volume(
            &self.image(case),
            &Volume { voxels: Voxels::I16(hu), geometry: geometry.clone() },
        )
        .unwrap();
        write_label_map(&self.label(case), &LabelMap { labels: labels.clone(), geometry }).unwrap();
    }

    pub fn image(&self, case: &str) -> PathBuf {
        self.path("imagesTr").join(format!("{case}_0000.nii.gz"))
    }

    pub fn label(&self, case: &str) -> PathBuf {
        self.path("labelsTr").join(format!("{case}.nii.gz"))
    }

    /// The command for stage 1 into `output`, with limits that the small lesions pass.
    pub fn nii_to_npz(&self, output: &str) -> Command {
        let mut command = binary("nii-to-npz");
        command
            .arg("--img-path")
            .arg(self.path("imagesTr"))
            .arg("--gt-path")
            .arg(self.path("labelsTr"));
        command.arg("--output").arg(self.path(output)).args([
            "--min-voxels-3d",
            "20",
            "--min-pixels-2d",
            "5",
            "--window",
            "lung",
        ]);
        command
    }

    pub fn npz_to_npy(&self, npz: &str, npy: &str) -> Command {
        let mut command = binary("npz-to-npy");
        command.arg("--npz-train-dir").arg(self.path(npz).join("npz_train"));
        command.arg("--npz-valid-dir").arg(self.path(npz).join("npz_valid"));
        command.arg("--npy-dir").arg(self.path(npy));
        command
    }

    /// Every file below `folder` with its bytes, hidden ones left out, paths relative.
    pub fn files(&self, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let root = self.path(folder);
        let mut files = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_string_lossy().starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    open.push(path);
                } else {
                    files.push((
                        path.strip_prefix(&root).unwrap().to_owned(),
                        std::fs::read(&path).unwrap(),
                    ));
                }
            }
        }
        files.sort();
        files
    }

    pub fn names(&self, folder: &str) -> Vec<String> {
        self.files(folder)
            .into_iter()
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .collect()
    }
}

pub fn binary(stage: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ild-preprocess"));
    command.arg(stage);
    command
}

/// An oblique grid, so that nothing passes by accident.
pub fn geometry(shape_zyx: [usize; 3]) -> Geometry {
    let (sin, cos) = 0.3f64.sin_cos();
    Geometry::new(
        shape_zyx,
        Affine([
            [-0.7 * cos, 0.8 * sin, 0.0, 10.0],
            [-0.7 * sin, -0.8 * cos, 0.0, 20.0],
            [0.0, 0.0, 2.5, -30.0],
            [0.0, 0.0, 0.0, 1.0],
        ]),
    )
}

pub fn lesions() -> Array3<u8> {
    let mut labels = Array3::zeros(SHAPE);
    for z in [2, 3, 4, 6] {
        labels.slice_mut(ndarray::s![z, 5..15, 5..15]).fill(1);
        labels.slice_mut(ndarray::s![z, 20..30, 20..44]).fill(2);
    }
    labels
}

/// Runs and checks the exit code; what was said on both streams otherwise.
pub fn expect(command: &mut Command, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    );
    assert_eq!(status.code(), Some(code), "{stdout}\n{stderr}");
    (stdout, stderr)
}

/// The summary that stage 1 leaves in `output`.
pub fn summary(output: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(output.join("summary.json")).unwrap()).unwrap()
}

/// The lines without time and level, the folder of the test written as `DATA`.
pub fn without_times(log: &str, cohort: &Cohort) -> Vec<String> {
    let plain = |line: &str| {
        [" ERROR ", " WARN ", " INFO "]
            .iter()
            .find_map(|l| line.split_once(l))
            .map_or(line.to_owned(), |(_, said)| said.to_owned())
    };
    let log = log.replace(&cohort.folder.path().display().to_string(), "DATA");
    log.lines().map(plain).collect()
}
