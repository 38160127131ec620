//! What is declared free of disease, and what nobody is to learn from.

mod common;

use std::fs;

use common::{Cohort, SHAPE, binary, expect, lesions};
use ild_io::read_npz;
use ndarray::Array3;

fn labels_json(cohort: &Cohort, text: &str) {
    fs::write(cohort.path("dataset.json"), text).unwrap();
}

#[test]
fn declared_slices_and_cases_are_kept_and_named_for_training() {
    let cohort = Cohort::of(2);
    cohort.add("well", &Array3::zeros(SHAPE));
    let file = cohort.path("healthy.json");
    fs::write(&file, r#"{"cases": ["well", "gone"], "slices": {"case00": [0, 7]}}"#).unwrap();
    let (table, log) =
        expect(cohort.nii_to_npz("npz").arg("--healthy").arg(&file).args(["--ratios", "1,0,0"]), 0);
    let said = format!("{table}{log}");
    assert!(said.contains("gone: declared free of disease, but there is no such pair"), "{said}");
    let stack =
        |case: &str| read_npz(&cohort.path(&format!("npz/npz_train/CT_ILD/{case}.npz"))).unwrap();
    assert_eq!(stack("case00").placement.z_index(), [0, 2, 3, 4, 6, 7]);
    assert_eq!(stack("case01").placement.z_index(), [2, 3, 4, 6]);
    assert_eq!(stack("well").placement.z_index().len(), SHAPE[0]);
    assert!(stack("well").labels.unwrap().iter().all(|&id| id == 0));

    let mut slices = binary("npz-to-npy");
    slices.arg("--npz-train-dir").arg(cohort.path("npz/npz_train"));
    expect(slices.arg("--npy-dir").arg(cohort.path("npy")), 0);
    let dataset = fs::read_to_string(cohort.path("npy/dataset.json")).unwrap();
    let dataset: serde_json::Value = serde_json::from_str(&dataset).unwrap();
    let named = dataset["parts"]["train"]["healthy_slices"].as_array().unwrap();
    assert_eq!(named.len(), 2 + SHAPE[0]);
    assert_eq!(named[0], "case00-000");
}

#[test]
fn a_declared_slice_with_a_label_is_refused() {
    let cohort = Cohort::of(1);
    let file = cohort.path("healthy.json");
    fs::write(&file, r#"{"slices": {"case00": [3]}}"#).unwrap();
    let (_, log) = expect(cohort.nii_to_npz("npz").arg("--healthy").arg(&file), 3);
    assert!(log.contains("a label on slice 3"), "{log}");
    fs::write(&file, r#"{"slices": {"case00": [8]}}"#).unwrap();
    let (_, log) = expect(cohort.nii_to_npz("npz").arg("--healthy").arg(&file), 3);
    assert!(log.contains("no slice 8: the CT has 8, counted from 0"), "{log}");
}

/// The numbers are those a viewer shows. A CT stored from head to foot is turned when it is read, and
/// what was declared of its slices with it.
#[test]
fn slices_are_counted_as_the_file_stores_them() {
    let (from_feet, from_head) = (Cohort::new(), Cohort::new());
    from_feet.add("case00", &lesions());
    let mut turned = lesions();
    turned.invert_axis(ndarray::Axis(0));
    let mut grid = common::geometry(SHAPE);
    grid.affine.0[2][2] *= -1.0;
    from_head.add_on("case00", &turned, Array3::from_elem(SHAPE, -800), grid);
    let shown = |cohort: &Cohort, z: usize| {
        let file = cohort.path("healthy.json");
        fs::write(&file, format!(r#"{{"slices": {{"case00": [{z}]}}}}"#)).unwrap();
        let out = format!("npz{z}");
        let flags = ["--ratios", "1,0,0"];
        expect(cohort.nii_to_npz(&out).arg("--healthy").arg(&file).args(flags), 0);
        let case = read_npz(&cohort.path(&format!("{out}/npz_train/CT_ILD/case00.npz"))).unwrap();
        case.placement.z_index().to_vec()
    };
    assert_eq!(shown(&from_feet, 7), [2, 3, 4, 6, 7]);
    assert_eq!(shown(&from_head, 0), [2, 3, 4, 6, 7]);
}

#[test]
fn voxels_to_ignore_are_no_dust_and_no_reason_to_keep_a_slice() {
    let cohort = Cohort::new();
    let mut labels = lesions();
    labels[[2, 0, 0]] = 9;
    labels.slice_mut(ndarray::s![5, .., ..]).fill(9);
    cohort.add("case00", &labels);
    labels_json(&cohort, r#"{"labels": {"background": 0, "a": 1, "b": 2, "ignore": 9}}"#);
    expect(cohort.nii_to_npz("npz").args(["--ratios", "1,0,0"]), 0);
    let stack = read_npz(&cohort.path("npz/npz_train/CT_ILD/case00.npz")).unwrap();
    assert_eq!(stack.placement.z_index(), [2, 3, 4, 6]);
    assert_eq!(stack.labels.unwrap()[[0, 0, 0]], 9);
}
