//! Rules fitted on validation patients, and a learning curve, as a user runs them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use ild_tests::{column_by_class, mean_volume_dice, programs, xtask};
use serde_json::Value;

/// Sums in another order.
const SAME_NUMBER: f64 = 1e-9;

fn run(task: &str, output: &Path, more: &[&str]) -> String {
    let output = format!("pipeline.output={}", output.display());
    let mut words = vec![task, "--config", "tests/tiny.toml", "--set", &output];
    words.extend(["--set", "train.epochs=1"]);
    words.extend(more);
    let done = xtask(&words).unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    said
}

fn program(name: &str, words: &[&str]) -> Output {
    Command::new(programs().join(name)).args(words).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Names of the NPZ below `folder`.
fn cases(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder.join("CT_ILD")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let npz = paths.filter(|path| path.extension().is_some_and(|end| end == "npz"));
    npz.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn rules_are_fitted_on_validation_patients_alone_and_inference_uses_and_tells_them() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let said = run("fit", &output, &[]);
    assert!(
        said.contains("the defaults are kept") && said.contains("fitted.safetensors"),
        "{said}"
    );
    let [valid, train, test] =
        ["valid", "train", "test"].map(|part| output.join("npz").join(format!("npz_{part}")));
    let fit = json(&output.join("fit/fit.json"));
    let scored: BTreeSet<String> =
        fit["dsc_at_default"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(scored, cases(&valid), "the validation cases and nobody else");
    assert!(scored.is_disjoint(&cases(&train)) && scored.is_disjoint(&cases(&test)));

    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (fitted, images) =
        (text(&output.join("fit/fitted.safetensors")), text(&output.join("data/imagesTr")));
    let inspected = program("ild-model", &["inspect", &fitted]);
    let inspected = String::from_utf8_lossy(&inspected.stdout).into_owned();
    assert!(inspected.contains("gain_left_out") && inspected.contains("\"grid\""), "{inspected}");
    assert!(!inspected.contains("phantom_00"), "weights name no patient: {inspected}");

    // The scores are those of the program that will use the rules.
    let answers = output.join("valid-auto");
    let infer = |weights: &str, more: &[&str]| {
        let (valid, answers) = (text(&valid), text(&answers));
        let words = ["--input", &images, "--cases-of", &valid, "--checkpoint", weights];
        let words = [&words[..], &["--prompt", "auto", "--output", &answers], more].concat();
        let done = program("ild-infer", &words);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        said
    };
    let said = infer(&fitted, &[]);
    assert!(said.contains("validation patients (20"), "the rules and where they are from: {said}");
    let sidecar = json(&answers.join(format!("{}.json", scored.first().unwrap())));
    assert_eq!(sidecar["prompt"]["fitted"]["how"]["program"], fit["fitted"]["how"]["program"]);
    let counted = mean_volume_dice(&valid.join("CT_ILD"), &answers).unwrap();
    let mean = counted.values().sum::<f64>() / counted.len() as f64;
    let reported = fit["fitted"]["how"]["at_default"].as_f64().unwrap();
    assert!((mean - reported).abs() < SAME_NUMBER, "{mean} {reported}");
    let said = infer(&fitted, &["--unfitted"]);
    assert!(!said.contains("validation patients (20"), "{said}");

    // Whoever else is offered is refused, and nothing is written.
    let weights = text(&output.join("train/best.safetensors"));
    for (part, word) in [(&test, "may be training or test patients"), (&train, "taught them")] {
        let other = output.join("other-fit");
        let (part, other) = (text(part), text(&other));
        let words = ["--checkpoint", &weights, "--input", &images, "--valid", &part];
        let refused = program("ild-fit", &[&words[..], &["--output", &other]].concat());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains(word) && !Path::new(&other).exists(), "{said}");
    }

    let fitted = ["--set", "infer.checkpoint={fit.output}/fitted.safetensors", "--dry-run"];
    let plan = run("pipeline", &output, &fitted);
    let at = |program: &str| plan.lines().position(|line| line.starts_with(program)).unwrap();
    assert!(at("ild-train") < at("ild-fit") && at("ild-fit") < at("ild-infer"), "{plan}");
    assert!(!run("pipeline", &output, &["--dry-run"]).contains("ild-fit"), "only when asked for");
}

#[test]
fn a_learning_curve_measures_the_same_patients_by_weights_of_nested_shares() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("curve");
    let shares = ["--shares", "50,100"];
    let said = run("learning-curve", &output, &[&shares[..], &["--share", "100"]].concat());
    assert!(said.contains("shares left: 50 %"), "{said}");
    let said = run("learning-curve", &output, &shares);
    assert!(said.contains("50 % of the training patients: 2 epochs"), "{said}");
    assert!(said.contains("What it does not say"), "{said}");

    let taught = |share: u16| -> BTreeSet<String> {
        let dataset = json(&output.join(format!("share_{share}/npy/dataset.json")));
        let cases = dataset["parts"]["train"]["cases"].as_array().unwrap().clone();
        cases.iter().map(|case| case.as_str().unwrap().to_owned()).collect()
    };
    let (half, all) = (taught(50), taught(100));
    let npz = output.join("npz");
    assert_eq!(all, cases(&npz.join("npz_train")));
    assert!(half.is_subset(&all) && half.len() < all.len() && !half.is_empty(), "{half:?} {all:?}");
    assert!(all.is_disjoint(&cases(&npz.join("npz_test"))));

    let curve = json(&output.join("learning-curve/learning_curve.json"));
    let rows = curve["rows"].as_array().unwrap();
    for (share, taught) in [(50, &half), (100, &all)] {
        let evaluation = output.join(format!("share_{share}/evaluation/mean_dsc.csv"));
        let by_class = column_by_class(&evaluation, "automatic", "mean_volume_dsc").unwrap();
        let mean = by_class.values().sum::<f64>() / by_class.len() as f64;
        let is_it =
            |row: &&Value| row["system"] == "automatic" && row["training_patients"] == taught.len();
        let row = rows.iter().find(is_it).unwrap();
        assert!((row["dsc_by_class"].as_f64().unwrap() - mean).abs() < SAME_NUMBER, "{row} {mean}");
    }
    assert!(output.join("learning-curve/learning_curve.svg").is_file());
    let again = run("learning-curve", &output, &shares);
    assert_eq!(again.matches("Nothing to do").count(), 4, "{again}");
}
