//! A small model with random weights, one made-up case, and running the program on it.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ild_io::{
    Affine, Geometry, Images, LabelMap, LabelTable, Placement, SliceStack, Volume, Voxels, Window,
    read_label_map, read_volume, write_label_map, write_npz, write_volume,
};
use ild_model::{Sam2Config, Weights};
use ndarray::{Array3, Axis, s};
use serde_json::Value;

pub const SHAPE: [usize; 3] = [12, 48, 56];

/// An oblique grid, so that a lost or changed affine shows.
pub fn geometry() -> Geometry {
    Geometry::new(SHAPE, oblique())
}

pub fn labels() -> Array3<u8> {
    let mut labels = Array3::zeros(SHAPE);
    labels.slice_mut(s![2..8, 10..24, 8..22]).fill(2);
    labels.slice_mut(s![5..10, 20..40, 30..50]).fill(5);
    labels
}

pub fn hu() -> Array3<i16> {
    let labels = labels();
    Array3::from_shape_fn(SHAPE, |(z, y, x)| match labels[[z, y, x]] {
        0 => -850 + ((z * 7 + y * 3 + x * 5) % 60) as i16,
        2 => -500,
        _ => -300,
    })
}

pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// A nano checkpoint that knows its window, and one case as CT, label and NPZ.
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let window: ild_preprocess::Windowing = "lung".parse().unwrap();
        let metadata = [
            ("model".to_owned(), "nano".to_owned()),
            ("window".to_owned(), serde_json::to_string(&window).unwrap()),
            ("label_table".to_owned(), serde_json::to_string(&LabelTable::default()).unwrap()),
        ];
        Weights::random(&config, 3)
            .unwrap()
            .write_safetensors(&bench.path("nano.safetensors"), &metadata.into())
            .unwrap();
        write_volume(
            &bench.path("ct/a_0000.nii.gz"),
            &Volume { voxels: Voxels::I16(hu()), geometry: geometry() },
        )
        .unwrap();
        write_label_map(
            &bench.path("gt/a.nii.gz"),
            &LabelMap { labels: labels(), geometry: geometry() },
        )
        .unwrap();
        bench.write_npz(
            "npz/a.npz",
            &[2, 3, 4, 5, 6, 8, 9],
            Window { level_hu: -600.0, width_hu: 1500.0 },
        );
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn write_npz(&self, name: &str, slices: &[usize], window: Window) {
        let stack = SliceStack {
            images: Images::Grey(
                hu().mapv(|v| ((f64::from(v) + 1350.0) / 1500.0 * 255.0) as u8)
                    .select(Axis(0), slices),
            ),
            labels: Some(labels().select(Axis(0), slices)),
            placement: Placement::new(geometry(), slices.to_vec()).unwrap(),
            window: Some(window),
            label_table: Some(LabelTable::default()),
            is_2d: false,
        };
        write_npz(&self.path(name), &stack).unwrap();
    }

    pub fn run(&self, input: &str, prompt: &str, more: &[&str]) -> Output {
        let is_file = prompt.contains('.') || prompt.ends_with('/');
        let prompt = if is_file { self.path(prompt) } else { prompt.into() };
        Command::new(env!("CARGO_BIN_EXE_ild-infer"))
            .arg("--input")
            .arg(self.path(input))
            .arg("--prompt")
            .arg(prompt)
            .arg("--checkpoint")
            .arg(self.path("nano.safetensors"))
            .arg("--output")
            .arg(self.path("out"))
            .args(["--device", "cpu"])
            .args(more)
            .output()
            .unwrap()
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.out(name)).unwrap()).unwrap()
    }
}

pub fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn wrong_usage(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn same_header(a: &Path, b: &Path) {
    let (a, b) = (read_volume(a).unwrap().geometry, read_label_map(b).unwrap().geometry);
    assert_eq!(a, b, "shape, spacing and affine to the last bit");
}

/// Rotated about two axes, stored about LPS.
pub fn oblique() -> Affine {
    let ([sa, ca], [sb, cb]) = ([0.2_f64.sin(), 0.2_f64.cos()], [0.35_f64.sin(), 0.35_f64.cos()]);
    let rotation = [[-cb, sb * ca, sb * sa], [-sb, -cb * ca, -cb * sa], [0.0, -sa, ca]];
    let spacing = [0.7, 0.69, 2.5];
    let row = |i: usize, origin: f64| {
        [0, 1, 2]
            .map(|j| rotation[i][j] * spacing[j])
            .into_iter()
            .chain([origin])
            .collect::<Vec<_>>()
    };
    let rows = [row(0, 31.5), row(1, -12.25), row(2, 400.125), vec![0.0, 0.0, 0.0, 1.0]];
    Affine(rows.map(|row| std::array::from_fn(|j| row[j])))
}
