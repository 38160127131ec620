//! `quantify`: volumes and places counted by hand.

mod made;

use std::path::Path;

use ild_io::{Affine, Geometry, Volume, Voxels, write_volume};
use made::{grid, name_labels, near, run, truth, write_map};
use ndarray::{Array3, s};
use serde_json::Value;

const SHAPE: [usize; 3] = [12, 60, 100];

/// Columns run from the patient's right to left at 1 mm, slices from foot to head at 5 mm: a voxel
/// is 0.005 mL.
fn body() -> Affine {
    Affine([
        [-1.0, 0.0, 0.0, 50.0],
        [0.0, -1.0, 0.0, 30.0],
        [0.0, 0.0, 5.0, -100.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
}

/// The right lung at low columns, the left one at high columns; each 12 × 50 × 40 voxels, 120 mL.
fn lungs() -> Array3<u8> {
    let mut lung = Array3::zeros(SHAPE);
    lung.slice_mut(s![.., 5..55, 5..45]).fill(1);
    lung.slice_mut(s![.., 5..55, 55..95]).fill(1);
    lung
}

fn lesions() -> Array3<u8> {
    let mut labels = Array3::zeros(SHAPE);
    labels.slice_mut(s![10..12, 5..15, 55..65]).fill(2); // left, upper third (slices 8..12), 1 to 10 mm from the edge: 200 voxels
    labels.slice_mut(s![5, 25, 5..25]).fill(3); // right, middle third; 10 voxels in the rim, 10 in the core
    labels.slice_mut(s![1, 0..4, 0..10]).fill(3); // 40 voxels outside the lung
    labels
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn volumes_shares_and_regions_are_those_counted_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    name_labels(at);
    write_map(&at.join("mask.nii.gz"), lesions(), body());
    write_map(&at.join("lung.nii.gz"), lungs(), body());
    let (code, text) =
        run(at, &["quantify", "mask.nii.gz", "--lung", "lung.nii.gz", "--output", "out"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("given: lung.nii.gz") && text.contains("For research use"), "{text}");
    let found = json(&at.join("out/quantification.json"));
    assert!(found["intended_use"].as_str().unwrap().contains("research"));
    assert_eq!(found["lung"]["source"], "given: lung.nii.gz");
    // Core: more than 10 mm from every edge, that is 8 of 12 slices, 30 of 50 rows, 20 of 40
    // columns.
    let parts =
        ["whole", "upper_third", "middle_third", "lower_third", "left", "right", "rim", "core"];
    for (part, ml) in parts.into_iter().zip([240.0, 80.0, 80.0, 80.0, 120.0, 120.0, 192.0, 48.0]) {
        near(&found["lung"]["regions"][part], ml);
    }
    let class = |name: &str| {
        found["classes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|class| class["name"] == name)
            .unwrap()
            .clone()
    };
    let reticulation = class("Reticulation");
    near(&reticulation["volume_ml"], 1.0);
    near(&reticulation["outside_lung_ml"], 0.0);
    for (part, ml) in parts.into_iter().zip([1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]) {
        near(&reticulation["regions"][part], ml);
    }
    for (part, of) in [("whole", 240.0), ("upper_third", 80.0), ("left", 120.0), ("rim", 192.0)] {
        near(&reticulation["percent_of_lung"][part], 100.0 / of);
    }
    let mixed = class("GGO-reticulation");
    near(&mixed["volume_ml"], 0.3);
    near(&mixed["outside_lung_ml"], 0.2);
    for (part, ml) in parts.into_iter().zip([0.1, 0.0, 0.1, 0.0, 0.0, 0.1, 0.05, 0.05]) {
        near(&mixed["regions"][part], ml);
    }
    near(&found["total"]["volume_ml"], 1.3);
    near(&found["total"]["percent_of_lung"]["whole"], 100.0 * 1.1 / 240.0);
    let table = std::fs::read_to_string(at.join("out/quantification.csv")).unwrap();
    let head = "case,label,class,volume_ml,outside_lung_ml,lung_ml,upper_third_ml,middle_third_ml,lower_third_ml,left_ml,right_ml,rim_ml,core_ml";
    assert!(table.starts_with(head), "{table}");
    assert!(
        table.contains("mask,2,Reticulation,1.0,0.0,1.0,1.0,0.0,0.0,1.0,0.0,1.0,0.0,"),
        "{table}"
    );
    let page = std::fs::read_to_string(at.join("out/report.html")).unwrap();
    for words in [
        "How much of the lung? mask",
        "For research use",
        "given: lung.nii.gz",
        "0.20 mL of the lesions lie outside",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn without_lung_and_ct_there_are_volumes_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("mask.nii.gz"), lesions(), body());
    let (code, text) = run(at, &["quantify", "mask.nii.gz", "--output", "out"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("no lung"), "{text}");
    let found = json(&at.join("out/quantification.json"));
    near(&found["total"]["volume_ml"], 1.3);
    assert!(found["lung"].is_null() && found["total"]["percent_of_lung"].is_null());
}

/// A block of tissue in air with two lungs of 864 mL; a dense lesion in the right one belongs to
/// the lung.
#[test]
fn the_lung_is_found_in_the_ct() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let affine = Affine([
        [-3.0, 0.0, 0.0, 150.0],
        [0.0, -3.0, 0.0, 120.0],
        [0.0, 0.0, 5.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    let mut hu = Array3::<i16>::from_elem((20, 80, 100), -1000);
    hu.slice_mut(s![.., 5..75, 5..95]).fill(40);
    hu.slice_mut(s![2..18, 20..60, 12..42]).fill(-850);
    hu.slice_mut(s![2..18, 20..60, 58..88]).fill(-850);
    let lesion = s![5..10, 30..40, 20..30];
    hu.slice_mut(lesion).fill(0);
    let mut labels = Array3::<u8>::zeros(hu.dim());
    labels.slice_mut(lesion).fill(5);
    write_map(&at.join("mask.nii.gz"), labels, affine);
    let volume = Volume { geometry: Geometry::new([20, 80, 100], affine), voxels: Voxels::I16(hu) };
    write_volume(&at.join("ct.nii.gz"), &volume).unwrap();
    let (code, text) =
        run(at, &["quantify", "mask.nii.gz", "--ct", "ct.nii.gz", "--output", "out"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("automatic"), "{text}");
    let found = json(&at.join("out/quantification.json"));
    near(&found["lung"]["regions"]["whole"], 1728.0);
    near(&found["total"]["volume_ml"], 500.0 * 0.045);
    near(&found["total"]["outside_lung_ml"], 0.0);
    near(&found["total"]["regions"]["right"], 500.0 * 0.045);
    let page = std::fs::read_to_string(at.join("out/report.html")).unwrap();
    assert!(
        page.contains("automatic: found in the CT") && page.contains("data:image/png"),
        "no picture or no source"
    );
}

#[test]
fn a_lung_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("mask.nii.gz"), lesions(), body());
    let mut moved = body();
    moved.0[0][3] += 3.0;
    write_map(&at.join("moved.nii.gz"), lungs(), moved);
    write_map(&at.join("small.nii.gz"), truth(), grid());
    write_map(&at.join("empty.nii.gz"), Array3::zeros(SHAPE), body());
    for (lung, words) in [
        ("moved.nii.gz", "3.00 mm away"),
        ("small.nii.gz", "[8, 20, 24]"),
        ("empty.nii.gz", "an empty one"),
    ] {
        let (code, text) = run(at, &["quantify", "mask.nii.gz", "--lung", lung]);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains(lung) && text.contains(words), "{text}");
    }
}

#[test]
fn a_header_that_contradicts_itself_is_said_in_every_output() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut labels = Array3::zeros((30, 60, 60));
    labels.slice_mut(s![10..20, 20..40, 20..40]).fill(1);
    let affine = Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0]);
    write_map(&at.join("mask.nii"), labels, affine);
    // pixdim left at 1 mm beside a right sform, and no qform.
    let mut bytes = std::fs::read(at.join("mask.nii")).unwrap();
    bytes[80..92].copy_from_slice(&[1f32.to_le_bytes(); 3].concat());
    bytes[252..254].copy_from_slice(&0i16.to_le_bytes());
    std::fs::write(at.join("mask.nii"), bytes).unwrap();
    let (code, text) = run(at, &["quantify", "mask.nii", "--output", "out"]);
    assert_eq!(code, Some(0), "{text}");
    let said = "pixdim says 1 × 1 × 1 mm but the sform's axes are 0.7 × 0.7 × 5 mm long: the sform is used for lengths and places";
    assert!(text.contains(&format!("mask's header: {said}")), "{text}");
    let found = json(&at.join("out/quantification.json"));
    let ml = found["total"]["volume_ml"].as_f64().unwrap();
    assert!((ml - 9.8).abs() < 1e-5, "4000 voxels of 0.7 × 0.7 × 5 mm, not {ml}");
    assert_eq!(found["header_notes"][0]["kind"], "lengths-disagree");
    assert_eq!(found["header_notes"][0]["used"], "sform");
    let page = std::fs::read_to_string(at.join("out/report.html")).unwrap();
    assert!(page.contains("0.7 × 0.7 × 5 mm long"));
}
