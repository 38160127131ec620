//! The whole way from two folders to tables, on files written here.

mod made;

use std::path::Path;
use std::process::{Command, Output};

use ild_io::{Geometry, Images, Placement, SliceStack, write_npz};
use ndarray::{Array3, s};
use serde_json::Value;

use made::{SHAPE, VOXEL_ML, grid, name_labels, near, shifted, truth, write_map};

fn evaluate(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ild-metrics"))
        .current_dir(folder)
        .args(["evaluate", "--pred", "pred", "--gt", "gt", "--output", "out"])
        .args(more)
        .output()
        .unwrap()
}

fn summary(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("out/summary.json")).unwrap()).unwrap()
}

fn metric(summary: &Value, system: usize, class: &str, metric: &str) -> Value {
    summary["ild"]["systems"][system]["classes"][class]["metrics"][metric]["mean"].clone()
}

#[test]
fn a_perfect_a_shifted_and_an_empty_prediction_score_as_counted_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    name_labels(at);
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    write_map(&at.join("shifted/a.nii.gz"), shifted(&truth(), 2), grid());
    write_map(&at.join("empty/a.nii.gz"), Array3::zeros(SHAPE), grid());
    let output = evaluate(at, &["--baseline", "shifted=shifted,empty=empty"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = summary(at);
    near(&metric(&summary, 0, "2", "dice"), 1.0);
    near(&metric(&summary, 0, "2", "nsd_surfel"), 1.0);
    near(&metric(&summary, 0, "2", "hd95_voxel_mm"), 0.0);
    // Ten columns, eight shared: 2·8 / (10 + 10). Two of four for class 5. Two columns are 1.5 mm,
    // within the 2 mm tolerance.
    near(&metric(&summary, 1, "2", "dice"), 0.8);
    near(&metric(&summary, 1, "5", "dice"), 0.5);
    near(&metric(&summary, 1, "2", "mean_slice_dice"), 0.8);
    near(&metric(&summary, 1, "2", "nsd_surfel"), 1.0);
    near(&metric(&summary, 1, "2", "hd95_voxel_mm"), 1.5);
    near(&metric(&summary, 1, "2", "volume_error_ml"), 0.0);
    // 4 slices × 100 pixels are lost.
    near(&metric(&summary, 2, "2", "dice"), 0.0);
    near(&metric(&summary, 2, "2", "volume_error_ml"), -400.0 * VOXEL_ML);
    near(&metric(&summary, 2, "2", "volume_error_percent"), -100.0);
    near(&metric(&summary, 2, "2", "lesion_sensitivity"), 0.0);
    for absent in ["nsd_surfel", "hd95_surfel_mm", "hd95_voxel_mm", "assd_voxel_mm", "precision"] {
        assert_eq!(metric(&summary, 2, "2", absent), Value::Null, "{absent}");
    }
    // Class 1 is in no map: no value, and it is in no mean.
    assert_eq!(summary["ild"]["systems"][0]["classes"]["1"]["metrics"]["dice"]["n"], 0);
    let headline = |system: usize| summary["ild"]["systems"][system]["mean_volume_dsc"].clone();
    near(&headline(0)["mean"], 1.0);
    near(&headline(1)["mean"], 0.65);
    near(&headline(2)["mean"], 0.0);
    assert_eq!(
        (headline(1)["classes"].as_u64(), headline(1)["values"].as_u64()),
        (Some(2), Some(2))
    );
    near(&summary["ild"]["comparisons"][0]["over_classes"]["difference"], 0.35);
    // nnU-Net's part.
    near(&summary["mean"]["2"]["Dice"], 1.0);
    near(&summary["mean"]["2"]["n_ref"], 400.0);
    near(&summary["metric_per_case"][0]["metrics"]["2"]["TN"], (4 * 20 * 24 - 400) as f64);
}

#[test]
fn a_missing_prediction_counts_as_a_failure_and_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for case in ["a", "b"] {
        write_map(&at.join(format!("gt/{case}.nii.gz")), truth(), grid());
    }
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    write_map(&at.join("pred/stranger.nii.gz"), truth(), grid());
    let output = evaluate(at, &[]);
    assert!(output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .contains("counted as a failure: b of prediction (missing)")
    );
    let summary = summary(at);
    near(&metric(&summary, 0, "2", "dice"), 0.5);
    assert_eq!(summary["ild"]["systems"][0]["failures"][0]["case"], "b");
    assert_eq!(summary["ild"]["predictions_without_ground_truth"][0][1][0], "stranger");
}

#[test]
fn a_prediction_on_another_grid_is_refused_in_mm_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for case in ["a", "b"] {
        write_map(&at.join(format!("gt/{case}.nii.gz")), truth(), grid());
    }
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    let mut moved = grid();
    moved.0[0][3] = 3.0;
    write_map(&at.join("pred/b.nii.gz"), truth(), moved);
    let output = evaluate(at, &[]);
    assert_eq!(output.status.code(), Some(3));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("b.nii.gz") && message.contains("3.00 mm away"), "{message}");
    near(&metric(&summary(at), 0, "2", "dice"), 0.5);
}

#[test]
fn a_prediction_stored_in_another_order_scores_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    name_labels(at);
    for codes in ["LPS", "RAS", "SPL", "ASR"] {
        let (gt, pred) =
            (at.join(format!("gt/{codes}.nii.gz")), at.join(format!("pred/{codes}.nii.gz")));
        write_map(&gt, truth(), grid());
        let mut geometry = Geometry::new(SHAPE, grid());
        geometry.stored.order = ild_io::StorageOrder::from_codes(codes, &grid()).unwrap();
        std::fs::create_dir_all(at.join("pred")).unwrap();
        ild_io::write_label_map(
            &pred,
            &ild_io::LabelMap { labels: shifted(&truth(), 1), geometry },
        )
        .unwrap();
    }
    assert!(evaluate(at, &[]).status.success());
    let csv = std::fs::read_to_string(at.join("out/cases.csv")).unwrap();
    let rows: Vec<String> =
        csv.lines().map(|line| line.replace("LPS", "X").replace("RAS", "X")).collect();
    let rows: Vec<String> =
        rows.iter().map(|row| row.replace("SPL", "X").replace("ASR", "X")).collect();
    let of = |class: &str| rows.iter().filter(|row| row.contains(class)).collect::<Vec<_>>();
    for class in ["Reticulation", "Honeycombing"] {
        let rows = of(class);
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| *row == rows[0]), "{rows:?}");
    }
}

#[test]
fn only_annotated_slices_are_scored_and_the_rest_is_reported_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut labels = truth();
    labels.slice_mut(s![4, .., ..]).fill(0);
    // The annotated slices 2, 3 and 5 as an NPZ; the prediction is on the whole CT and right on
    // slice 4 too.
    let chosen = vec![2, 3, 5];
    let gts = labels.select(ndarray::Axis(0), &chosen);
    let stack = SliceStack {
        images: Images::Grey(Array3::zeros(gts.dim())),
        labels: Some(gts),
        placement: Placement::new(Geometry::new(SHAPE, grid()), chosen).unwrap(),
        window: None,
        label_table: None,
        is_2d: false,
    };
    std::fs::create_dir_all(at.join("gt/CT_ILD")).unwrap();
    write_npz(&at.join("gt/CT_ILD/a.npz"), &stack).unwrap();
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    assert!(evaluate(at, &[]).status.success());
    let summary = summary(at);
    near(&metric(&summary, 0, "2", "dice"), 1.0);
    near(&metric(&summary, 0, "2", "hd95_voxel_mm"), 0.0);
    near(&metric(&summary, 0, "2", "volume_predicted_ml"), 300.0 * VOXEL_ML);
    near(&metric(&summary, 0, "2", "false_positive_elsewhere_ml"), 100.0 * VOXEL_ML);
}

#[test]
fn slices_without_label_count_when_all_are_said_to_be_annotated() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    let mut predicted = truth();
    predicted.slice_mut(s![7, 0..10, 0..10]).fill(2);
    write_map(&at.join("pred/a.nii.gz"), predicted, grid());
    assert!(evaluate(at, &[]).status.success());
    near(&metric(&summary(at), 0, "2", "dice"), 1.0);
    near(&metric(&summary(at), 0, "2", "false_positive_elsewhere_ml"), 100.0 * VOXEL_ML);
    assert!(evaluate(at, &["--annotated", "all", "--force"]).status.success());
    near(&metric(&summary(at), 0, "2", "dice"), 800.0 / 900.0);
    near(&metric(&summary(at), 0, "2", "false_positive_elsewhere_ml"), 0.0);
}

#[test]
fn nothing_of_an_earlier_evaluation_stays_beside_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    name_labels(at);
    assert!(evaluate(at, &["--truth", "gt", "--healthy", "them=pred"]).status.success());
    let there = |name: &str| at.join("out").join(name).exists();
    for name in ["whole_ct.csv", "healthy.csv", "plots/dsc_Reticulation.png"] {
        assert!(there(name), "{name}");
    }
    std::fs::write(at.join("out/mine.txt"), "x").unwrap();
    std::fs::write(at.join("labels.json"), r#"{"2": "GGO", "5": "Nodule"}"#).unwrap();
    assert!(evaluate(at, &[]).status.success());
    for name in ["whole_ct.csv", "healthy.csv", "plots/dsc_Reticulation.png"] {
        assert!(!there(name), "{name}");
    }
    assert!(there("plots/dsc_GGO.png") && there("summary.json") && there("mine.txt"));
}

#[test]
fn folders_without_cases_say_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("gt")).unwrap();
    let output = evaluate(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains(".nii.gz"));
}

#[test]
fn the_older_scripts_tables_are_remade_with_parity() {
    let Some(fixtures) = ild_test_support::shared("fixtures/metrics/e2e") else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = "Liver,Right Kidney,Spleen,Pancreas,Aorta,Inferior Vena Cava,Right Adrenal Gland,Left Adrenal Gland,Gallbladder,Esophagus,Stomach,Left Kidney";
    let table: Value = names
        .split(',')
        .enumerate()
        .map(|(i, name)| ((i + 1).to_string(), Value::from(name)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    std::fs::write(folder.path().join("labels.json"), table.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ild-metrics"))
        .current_dir(folder.path())
        .args(["evaluate", "--parity", "--labels", "labels.json", "--output", "out", "--pred"])
        .arg(fixtures.join("seg"))
        .arg("--gt")
        .arg(fixtures.join("gt"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["metrics.csv", "dsc_summary.csv", "nsd_summary.csv"] {
        let rows = |path: &Path| -> Vec<Vec<String>> {
            let text = std::fs::read_to_string(path).unwrap();
            let mut rows: Vec<Vec<String>> =
                text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
            rows[1..].sort();
            rows
        };
        let (found, expected) = (
            rows(&folder.path().join("out/parity").join(file)),
            rows(&fixtures.join("csv").join(file)),
        );
        assert_eq!(found.len(), expected.len());
        if file == "metrics.csv" {
            assert_eq!(found[0], expected[0]);
        }
        let mut sorted = [found, expected];
        sorted.iter_mut().for_each(|rows| rows.sort());
        for (found, expected) in sorted[0].iter().flatten().zip(sorted[1].iter().flatten()) {
            match (found.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(f), Ok(e)) => assert!((f - e).abs() < 1e-9, "{file}: {f} instead of {e}"),
                _ => assert_eq!(found, expected, "{file}"),
            }
        }
    }
}
