//! Cross-validation of a few small patients, as a user runs it.

use std::collections::BTreeSet;
use std::path::Path;

use ild_tests::{column_by_class, mean_volume_dice, xtask};

const FOLDS: usize = 3;
/// CSV values are written with full precision; what is left is the order of a sum.
const SAME_NUMBER: f64 = 1e-9;

fn run(output: &Path, more: &[&str]) -> String {
    let output = format!("pipeline.output={}", output.display());
    let mut words = vec!["cross-validate", "--folds", "3", "--config", "tests/tiny.toml"];
    words.extend(["--set", &output, "--set", "train.epochs=1"]);
    words.extend(more);
    let done = xtask(&words).unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    said
}

/// Names before the first dot of the files in a folder, hidden ones left out.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    let first = |name: String| name.split('.').next().unwrap().to_owned();
    let names = files.map(|entry| first(entry.file_name().into_string().unwrap()));
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_patient_is_predicted_once_by_weights_that_never_saw_them() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("cv");
    let said = run(&output, &["--fold", "1"]);
    assert!(said.contains("folds left: 0, 2"), "{said}");
    let said = run(&output, &[]);
    assert!(said.contains("mean ± SD of folds"), "{said}");

    let mut tested = BTreeSet::new();
    for fold in 0..FOLDS {
        let of_fold = output.join(format!("fold_{fold}"));
        let test = names(&output.join(format!("npz/fold_{fold}/npz_test/CT_ILD")));
        assert!(!test.is_empty());
        for part in ["train", "valid"] {
            // A slice is called by its case and its number.
            let slices = names(&of_fold.join("npy").join(part).join("imgs"));
            assert!(!slices.is_empty(), "fold {fold}, {part}");
            let seen = |case: &&String| slices.iter().any(|slice| slice.contains(case.as_str()));
            assert_eq!(test.iter().find(seen), None, "fold {fold}, {part}");
        }
        assert_eq!(names(&of_fold.join("infer")), test, "fold {fold}");
        for case in test {
            assert!(tested.insert(case.clone()), "{case} is tested twice");
        }
    }
    let all = output.join("npz/npz_all/CT_ILD");
    assert_eq!(tested, names(&all), "all patients, the healthy one too");

    let table = output.join("evaluation/mean_dsc.csv");
    for (system, predictions) in [("prediction", "infer"), ("automatic", "infer-auto")] {
        let counted = mean_volume_dice(&all, &output.join(predictions)).unwrap();
        let reported = column_by_class(&table, system, "mean_volume_dsc").unwrap();
        assert!(!counted.is_empty());
        for (class, dice) in counted {
            let found = reported[&class];
            assert!((found - dice).abs() < SAME_NUMBER, "{system} {class}: {dice}, {found}");
        }
    }
    let again = run(&output, &[]);
    assert_eq!(again.matches("Nothing to do").count(), FOLDS + 2, "{again}");
}
