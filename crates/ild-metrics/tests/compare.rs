//! `compare`: two evaluations of the same cases.

mod made;

use std::path::Path;

use made::{grid, name_labels, run, shifted, truth, write_map};

/// Ground truth, perfect predictions, and others shifted by 2, 4 and 0 columns.
fn three_cases(at: &Path) {
    name_labels(at);
    for (case, columns) in [("a", 2), ("b", 4), ("c", 0)] {
        write_map(&at.join(format!("gt/{case}.nii.gz")), truth(), grid());
        write_map(&at.join(format!("pred/{case}.nii.gz")), truth(), grid());
        write_map(&at.join(format!("other/{case}.nii.gz")), shifted(&truth(), columns), grid());
    }
}

fn evaluate(at: &Path, gt: &str, pred: &str, output: &str, more: &[&str]) {
    let (code, text) =
        run(at, &[&["evaluate", "--gt", gt, "--pred", pred, "--output", output], more].concat());
    assert_eq!(code, Some(0), "{text}");
}

/// Fields of the row of comparison.csv that starts like this.
fn row(at: &Path, start: &str) -> Vec<String> {
    let table = std::fs::read_to_string(at.join("compared/comparison.csv")).unwrap();
    let row = table
        .lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("{start} in {table}"));
    row.split(',').map(str::to_owned).collect()
}

#[test]
fn differences_interval_and_sign_test_are_those_counted_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    three_cases(at);
    evaluate(at, "gt", "pred", "out", &["--baseline", "other=other"]);
    let (code, text) = run(
        at,
        &[
            "compare",
            "out",
            "out",
            "--system-b",
            "other",
            "--output",
            "compared",
            "--metric",
            "dice",
        ],
    );
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 patients are too few"), "{text}");
    let fields = row(at, "dice,Reticulation");
    let number = |i: usize| fields[i].parse::<f64>().unwrap();
    // 1 − 0.8, 1 − 0.6 and 1 − 1: mean 0.2; three times b or c has 1 chance in 27, so the 2.5 %
    // ends are 0.4 and 0.
    assert!(
        (number(3) - 0.2).abs() < 1e-12
            && (number(4) - 0.0).abs() < 1e-12
            && (number(5) - 0.4).abs() < 1e-12,
        "{fields:?}"
    );
    // Two of three larger, and two throws of a coin agree every second time.
    assert_eq!(fields[2..3], ["3"]);
    assert_eq!(fields[6..], ["2", "0", "1", "0.5", "3", "1.0"], "two classes, so twice the p");
}

#[test]
fn scans_of_one_patient_are_redrawn_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    three_cases(at);
    std::fs::write(at.join("patients.csv"), "case,patient\na,p\nb,q\nc,p\n").unwrap();
    evaluate(at, "gt", "pred", "out", &["--baseline", "other=other", "--patients", "patients.csv"]);
    let (code, text) = run(
        at,
        &[
            "compare",
            "out",
            "out",
            "--system-b",
            "other",
            "--output",
            "compared",
            "--metric",
            "dice",
        ],
    );
    assert_eq!(code, Some(0), "{text}");
    let fields = row(at, "dice,Reticulation");
    // Patient p: 0.2 and 0 on two scans, mean 0.1; patient q: 0.4.
    let ends = [4, 5].map(|i| fields[i].parse::<f64>().unwrap());
    assert!((ends[0] - 0.1).abs() < 1e-12 && (ends[1] - 0.4).abs() < 1e-12, "{fields:?}");
    assert_eq!(fields[10], "2");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    three_cases(at);
    evaluate(at, "gt", "pred", "out", &[]);
    // Another ground truth for case a.
    let mut other_truth = truth();
    other_truth[[2, 5, 6]] = 0;
    write_map(&at.join("gt2/a.nii.gz"), other_truth, grid());
    evaluate(at, "gt2", "pred", "out2", &[]);
    let (code, text) = run(at, &["compare", "out", "out2"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("Reticulation in case a with 400 and 399 voxels"), "{text}");
    // No case in common.
    write_map(&at.join("gt3/z.nii.gz"), truth(), grid());
    evaluate(at, "gt3", "gt3", "out3", &[]);
    let (code, text) = run(at, &["compare", "out", "out3"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("none (3 and 1 cases)") && text.contains("out3"), "{text}");
    // Not an evaluation, no such metric, no such predictions.
    for args in [
        &["compare", "out", "gt"][..],
        &["compare", "out", "out", "--metric", "hd96"],
        &["compare", "out", "out", "--system-b", "nobody"],
    ] {
        let (code, text) = run(at, args);
        assert_eq!(code, Some(3), "{args:?}: {text}");
    }
}
