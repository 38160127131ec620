//! The whole pipeline on a few small patients, as a user runs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use ild_tests::{column_by_class, mean_volume_dice, programs, workspace, xtask};

/// CSV values are written with full precision; what is left is the order of a sum.
const SAME_NUMBER: f64 = 1e-9;

fn run(output: &Path, more: &[&str]) -> String {
    let output = format!("pipeline.output={}", output.display());
    let mut words = vec!["pipeline", "--config", "tests/tiny.toml", "--set", &output];
    words.extend(more);
    let done = xtask(&words).unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    said
}

fn stages_that_ran(said: &str) -> usize {
    said.lines()
        .filter_map(|line| line.split_once(" of "))
        .find_map(|(ran, rest)| rest.contains("stages ran").then(|| ran.trim().parse().unwrap()))
        .unwrap_or(0)
}

#[test]
fn from_ct_to_report_and_only_what_changed_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let said = run(&output, &[]);
    assert_eq!(stages_that_ran(&said), 13, "{said}");

    let truth = output.join("npz/npz_test/CT_ILD");
    let table = output.join("evaluation/mean_dsc.csv");
    let systems = [
        ("prediction", "infer"),
        ("automatic", "infer-auto"),
        ("before training", "infer-initial"),
        ("box filled in", "infer-box-fill"),
    ];
    for (system, predictions) in systems {
        let counted = mean_volume_dice(&truth, &output.join(predictions)).unwrap();
        let reported = column_by_class(&table, system, "mean_volume_dsc").unwrap();
        assert!(!counted.is_empty());
        for (class, dice) in counted {
            assert!(
                (reported[&class] - dice).abs() < SAME_NUMBER,
                "{system} {class}: counted {dice}, reported {}",
                reported[&class]
            );
        }
    }
    for predictions in ["infer", "infer-auto"] {
        predictions_lie_on_the_grid_of_their_ct(&output, predictions);
    }
    assert!(fs::metadata(output.join("evaluation/report.html")).unwrap().len() > 10_000);

    let again = run(&output, &[]);
    assert!(again.contains("Nothing to do"), "{again}");

    fs::remove_file(output.join("evaluation/summary.json")).unwrap();
    assert_eq!(stages_that_ran(&run(&output, &[])), 1, "only the evaluation lost a file");
    assert_eq!(
        stages_that_ran(&run(&output, &["--set", "evaluate.nsd-tolerance-mm=3.0"])),
        1,
        "only the evaluation has another setting"
    );
}

fn predictions_lie_on_the_grid_of_their_ct(output: &Path, predictions: &str) {
    let mut compared = 0;
    for entry in fs::read_dir(output.join(predictions)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(case) = name.strip_suffix(".nii.gz") else { continue };
        let ct = output.join(format!("data/imagesTr/{case}_0000.nii.gz"));
        if !ct.exists() {
            continue;
        }
        let (map, ct) = (ild_io::read_label_map(&path).unwrap(), ild_io::read_volume(&ct).unwrap());
        assert_eq!(map.geometry.shape_zyx, ct.geometry.shape_zyx, "{case}");
        assert_eq!(map.geometry.affine, ct.geometry.affine, "{case}");
        assert_eq!(map.geometry.spacing_xyz_mm, ct.geometry.spacing_xyz_mm, "{case}");
        compared += 1;
    }
    assert!(compared > 0, "no prediction had a CT to compare with");
}

#[test]
fn a_misspelt_setting_stops_everything_before_the_first_stage() {
    let folder = tempfile::tempdir().unwrap();
    let output = format!("pipeline.output={}", folder.path().join("run").display());
    let done = xtask(&["pipeline", "--set", &output, "--set", "train.epohcs=3"]).unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("--epochs"), "{said}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn programs_alone_in_a_folder_need_no_clone_and_a_clone_goes_on_with_their_run() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ild", "ild-phantom", "ild-preprocess"] {
        let to = folder.path().join(name);
        let from = programs().join(name);
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
    }
    let tiny = workspace().join("tests/tiny.toml");
    let tiny = tiny.to_str().unwrap();
    let words = ["preprocess", "--config", tiny, "--set", "phantom.cases=3"];
    let mut ild = Command::new(folder.path().join("ild"));
    let done = ild.args(words).env_remove("CARGO").current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(stages_that_ran(&said), 3, "{said}");
    let output = folder.path().join("runs/tiny");
    assert!(output.join("npy/dataset.json").is_file());

    // By another name: paths are flags, so those that are absolute now are other settings.
    let absolute = format!("pipeline.output={}", output.display());
    let run = |more: &str| xtask(&[&words[..], &["--set", &absolute, "--set", more]].concat());
    let done = run("npz-to-npy.workers=1").unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "what `ild` has written is not foreign to xtask: {said}");
}
