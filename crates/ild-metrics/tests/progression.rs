//! `quantify BASELINE FOLLOWUP`: a pair with a known change.

mod made;

use std::path::Path;

use ild_io::{Affine, Geometry, Volume, Voxels, write_volume};
use made::{near, run, write_map};
use ndarray::{Array3, s};
use serde_json::{Value, json};

const SHAPE: [usize; 3] = [12, 60, 100];

/// Columns run from right to left at 1 mm, slices from foot to head at 5 mm: a voxel is 0.005 mL.
fn body() -> Affine {
    Affine([
        [-1.0, 0.0, 0.0, 50.0],
        [0.0, -1.0, 0.0, 30.0],
        [0.0, 0.0, 5.0, -100.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
}

/// Two lungs, together 240 mL, or 300 mL in a deeper breath (10 rows more).
fn lungs(rows: usize) -> Array3<u8> {
    let mut lung = Array3::zeros(SHAPE);
    lung.slice_mut(s![.., 5..5 + rows, 5..45]).fill(1);
    lung.slice_mut(s![.., 5..5 + rows, 55..95]).fill(1);
    lung
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Class 2 grows from 1 to 3 mL in the upper third of the left lung, class 5 stays 2 mL.
fn dates(folder: &Path) {
    let mut before = Array3::zeros(SHAPE);
    before.slice_mut(s![10..12, 5..15, 55..65]).fill(2);
    before.slice_mut(s![0..4, 10..20, 10..20]).fill(5);
    let mut after = before.clone();
    after.slice_mut(s![10..12, 5..15, 55..85]).fill(2);
    write_map(&folder.join("2024.nii.gz"), before, body());
    write_map(&folder.join("2026.nii.gz"), after, body());
    write_map(&folder.join("lung-2024.nii.gz"), lungs(50), body());
    write_map(&folder.join("lung-2026.nii.gz"), lungs(50), body());
    let names = r#"{"2": "Reticulation", "5": "Honeycombing"}"#;
    std::fs::write(folder.join("labels.json"), names).unwrap();
}

const BOTH: [&str; 7] = [
    "quantify",
    "2024.nii.gz",
    "2026.nii.gz",
    "--lung",
    "lung-2024.nii.gz",
    "--followup-lung",
    "lung-2026.nii.gz",
];

fn class<'a>(found: &'a Value, name: &str) -> &'a Value {
    found["classes"].as_array().unwrap().iter().find(|class| class["name"] == name).unwrap()
}

#[test]
fn the_change_is_the_one_that_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dates(at);
    let (code, text) = run(at, &[&BOTH[..], &["--output", "out"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("+2.0") && text.contains("lung 240 mL, then 240 mL"), "{text}");
    assert!(text.contains("--evaluation"), "nothing says how far the masks are off: {text}");
    let found = json_of(&at.join("out/progression.json"));
    let grown = class(&found, "Reticulation");
    near(&grown["baseline_ml"], 1.0);
    near(&grown["followup_ml"], 3.0);
    near(&grown["change_ml"], 2.0);
    near(&grown["change_points"], 100.0 * 2.0 / 240.0);
    for (region, ml) in [("upper_third", 2.0), ("lower_third", 0.0), ("left", 2.0), ("right", 0.0)]
    {
        near(&grown["regions_ml"][region], ml);
    }
    near(&grown["regions_points"]["upper_third"], 100.0 * 2.0 / 80.0);
    assert!(grown["uncertainty_ml"].is_null() && grown["beyond_error"].is_null());
    near(&class(&found, "Honeycombing")["change_ml"], 0.0);
    near(&found["total"]["change_ml"], 2.0);
    assert_eq!(found["notices"], json!([]));
    let table = std::fs::read_to_string(at.join("out/progression.csv")).unwrap();
    let head = "baseline,followup,label,class,baseline_ml,followup_ml,change_ml,uncertainty_ml,beyond_error";
    assert!(table.starts_with(head), "{table}");
    assert!(table.contains("2024,2026,2,Reticulation,1.0,3.0,2.0,,"), "{table}");
    let page = std::fs::read_to_string(at.join("out/progression.html")).unwrap();
    assert!(page.contains("What changed? 2024 → 2026") && page.contains("For research use"));
}

#[test]
fn names_decide_which_class_is_which() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dates(at);
    let mut other = Array3::zeros(SHAPE);
    other.slice_mut(s![10..12, 5..15, 55..85]).fill(1);
    write_map(&at.join("later/a.nii.gz"), other, body());
    std::fs::write(at.join("later/labels.json"), r#"{"1": "Reticulation"}"#).unwrap();
    let (code, text) = run(at, &["quantify", "2024.nii.gz", "later/a.nii.gz", "--output", "out"]);
    assert_eq!(code, Some(0), "{text}");
    let found = json_of(&at.join("out/progression.json"));
    near(&class(&found, "Reticulation")["change_ml"], 2.0);
    near(&class(&found, "Honeycombing")["change_ml"], -2.0);
    assert!(text.contains("neither lung mask nor CT"), "{text}");
}

#[test]
fn numbers_are_not_compared_with_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dates(at);
    let mut other = Array3::zeros(SHAPE);
    other.slice_mut(s![10..12, 5..15, 55..85]).fill(2);
    write_map(&at.join("elsewhere/below/a.nii.gz"), other, body());
    let masks = ["2024.nii.gz", "elsewhere/below/a.nii.gz"];
    for [one, two] in [masks, [masks[1], masks[0]]] {
        let (code, text) = run(at, &["quantify", one, two]);
        assert!(code == Some(3) && text.contains("label ids alone"), "{text}");
        assert!(text.contains("elsewhere/below/a.nii.gz: expected"), "{text}");
    }
}

#[test]
fn another_depth_of_breath_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dates(at);
    let mut deeper = Array3::zeros(SHAPE);
    deeper.assign(&lungs(50));
    deeper.slice_mut(s![.., 55..60, 5..45]).fill(1);
    deeper.slice_mut(s![.., 55..60, 55..95]).fill(1);
    deeper.slice_mut(s![.., 0..5, 5..45]).fill(1);
    deeper.slice_mut(s![.., 0..5, 55..95]).fill(1);
    write_map(&at.join("lung-2026.nii.gz"), deeper, body());
    let (code, text) = run(at, &BOTH);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("20 % larger than the earlier one (240 and 288 mL)"), "{text}");
}

fn evaluation(sd_ml: f64, cases: u64) -> Value {
    let class = |name: &str| {
        json!({ "name": name, "metrics": {
            "volume_error_ml": { "n": cases, "sd": sd_ml },
            "volume_error_percent": { "n": cases, "sd": 1.0 },
        } })
    };
    let classes = json!({ "2": class("reticulation"), "5": class("Honeycombing") });
    json!({ "ild": { "systems": [{ "name": "infer", "classes": classes }] } })
}

#[test]
fn a_change_counts_when_it_is_more_than_the_models_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dates(at);
    for (sd_ml, beyond) in [(0.5, true), (1.0, false)] {
        std::fs::write(at.join("summary.json"), evaluation(sd_ml, 5).to_string()).unwrap();
        let more = ["--evaluation", "summary.json", "--output", "out"];
        let (code, text) = run(at, &[&BOTH[..], &more].concat());
        assert_eq!(code, Some(0), "{text}");
        let found = json_of(&at.join("out/progression.json"));
        let grown = class(&found, "Reticulation");
        near(&grown["uncertainty_ml"], 1.96 * sd_ml * 2f64.sqrt());
        assert_eq!(grown["beyond_error"], beyond);
        assert!(text.contains("95 % of the changes of an unchanged patient"), "{text}");
    }
    std::fs::write(at.join("summary.json"), evaluation(1.0, 2).to_string()).unwrap();
    let (code, text) = run(at, &[&BOTH[..], &["--evaluation", "summary.json"]].concat());
    assert!(
        code == Some(0) && text.contains("too few cases of Reticulation, Honeycombing"),
        "{text}"
    );
    std::fs::write(at.join("summary.json"), "{}").unwrap();
    let (code, text) = run(at, &[&BOTH[..], &["--evaluation", "summary.json"]].concat());
    assert!(code == Some(3) && text.contains("summary.json of `ild-metrics evaluate`"), "{text}");
    let (code, text) = run(at, &["quantify", "2024.nii.gz", "--evaluation", "summary.json"]);
    assert!(code == Some(2) && text.contains("FOLLOWUP"), "{text}");
}

/// Two phantoms in air with tissue and lungs, found in their CTs; the page shows both.
#[test]
fn slices_of_both_dates_stand_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let affine = Affine([
        [-3.0, 0.0, 0.0, 150.0],
        [0.0, -3.0, 0.0, 120.0],
        [0.0, 0.0, 5.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    for (date, columns) in [("a", 20..24), ("b", 20..30)] {
        let mut hu = Array3::<i16>::from_elem((20, 80, 100), -1000);
        hu.slice_mut(s![.., 5..75, 5..95]).fill(40);
        hu.slice_mut(s![2..18, 20..60, 12..42]).fill(-850);
        hu.slice_mut(s![2..18, 20..60, 58..88]).fill(-850);
        let lesion = s![5..10, 30..40, columns];
        hu.slice_mut(lesion).fill(0);
        let mut labels = Array3::<u8>::zeros(hu.dim());
        labels.slice_mut(lesion).fill(5);
        write_map(&at.join(format!("{date}.nii.gz")), labels, affine);
        let geometry = Geometry::new([20, 80, 100], affine);
        let volume = Volume { geometry, voxels: Voxels::I16(hu) };
        write_volume(&at.join(format!("ct-{date}.nii.gz")), &volume).unwrap();
    }
    let (code, text) = run(
        at,
        &[
            "quantify",
            "a.nii.gz",
            "b.nii.gz",
            "--ct",
            "ct-a.nii.gz",
            "--followup-ct",
            "ct-b.nii.gz",
            "--output",
            "out",
        ],
    );
    assert_eq!(code, Some(0), "{text}");
    let found = json_of(&at.join("out/progression.json"));
    near(&found["total"]["change_ml"], 300.0 * 0.045);
    let page = std::fs::read_to_string(at.join("out/progression.html")).unwrap();
    assert_eq!(page.matches("earlier, slice").count(), page.matches("later, slice").count());
    assert!(page.contains("earlier, slice") && page.contains("data:image/png"));
}
