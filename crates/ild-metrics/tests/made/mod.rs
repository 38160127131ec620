//! Small label maps with known counts, and running the program on them.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::path::Path;
use std::process::Command;

use ild_io::{Affine, Geometry, LabelMap, write_label_map};
use ndarray::{Array3, s};
use serde_json::Value;

pub const SHAPE: [usize; 3] = [8, 20, 24];
/// Lengths that NIfTI's f32 holds exactly.
pub const SPACING_XYZ_MM: [f64; 3] = [0.75, 0.75, 2.5];
pub const VOXEL_ML: f64 = 0.75 * 0.75 * 2.5 / 1000.0;

/// A box of class 2 (rows 5..15, columns 6..16) on slices 2..6, and one of class 5 on slice 3.
pub fn truth() -> Array3<u8> {
    let mut labels = Array3::zeros(SHAPE);
    labels.slice_mut(s![2..6, 5..15, 6..16]).fill(2);
    labels.slice_mut(s![3, 0..4, 0..4]).fill(5);
    labels
}

pub fn shifted(labels: &Array3<u8>, columns: usize) -> Array3<u8> {
    let mut out = Array3::zeros(labels.dim());
    let width = labels.dim().2;
    out.slice_mut(s![.., .., columns..]).assign(&labels.slice(s![.., .., ..width - columns]));
    out
}

pub fn write_map(path: &Path, labels: Array3<u8>, affine: Affine) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_label_map(
        path,
        &LabelMap { geometry: Geometry::new(labels.dim().into(), affine), labels },
    )
    .unwrap();
}

/// Names for the ids, where every program looks for them: above the folders of the masks.
pub fn name_labels(folder: &Path) {
    let names = r#"{"1": "ILD1", "2": "Reticulation", "3": "GGO-reticulation", "4": "ILD4",
        "5": "Honeycombing"}"#;
    std::fs::write(folder.join("labels.json"), names).unwrap();
}

pub fn grid() -> Affine {
    Affine::from_spacing_xyz_mm(SPACING_XYZ_MM)
}

#[track_caller]
pub fn near(found: &Value, expected: f64) {
    assert!((found.as_f64().unwrap() - expected).abs() < 1e-12, "{found} instead of {expected}");
}

/// Runs `ild-metrics` in `folder`; its exit code and everything it said.
pub fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ild-metrics"))
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    )
}
