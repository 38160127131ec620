//! What stands beside the voxels: names, slices nobody annotated, which slices a stack holds.

mod made;

use std::path::Path;

use ild_io::{write_npz_u8, write_npz_with};
use made::{SHAPE, grid, run, truth, write_map};
use ndarray::{Array1, Array3, s};
use serde_json::Value;

const EVALUATE: [&str; 7] = ["evaluate", "--pred", "pred", "--gt", "gt", "--output", "out"];

fn summary(at: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(at.join("out/summary.json")).unwrap()).unwrap()
}

#[test]
fn nnunets_ignore_is_not_scored_and_no_class() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut labels = truth();
    labels.slice_mut(s![2..6, 15..20, ..]).fill(7);
    labels.slice_mut(s![7, .., ..]).fill(7);
    let mut predicted = truth();
    predicted.slice_mut(s![2..6, 15..20, ..]).fill(5);
    write_map(&at.join("gt/a.nii.gz"), labels, grid());
    write_map(&at.join("pred/a.nii.gz"), predicted, grid());
    let table = r#"{"labels": {"background": 0, "GGO": 2, "Retic": 5, "ignore": 7}}"#;
    std::fs::write(at.join("dataset.json"), table).unwrap();
    let (code, said) = run(at, &EVALUATE);
    assert_eq!(code, Some(0), "{said}");
    let summary = summary(at);
    assert_eq!(summary["foreground_mean"]["Dice"], 1.0, "{said}");
    assert!(summary["mean"]["7"].is_null() && !said.contains("ignore"), "{said}");
    let [slices, height, width] = SHAPE.map(|n| n as f64);
    assert!(slices > 4.0);
    // Four annotated slices without the 5 rows that nobody annotated.
    let voxels = 4.0 * (height - 5.0) * width;
    let counts = &summary["mean"]["2"];
    let sum = ["TP", "FP", "FN", "TN"].map(|key| counts[key].as_f64().unwrap()).iter().sum::<f64>();
    assert_eq!(sum, voxels);
}

#[test]
fn a_mask_is_called_as_its_own_cohort_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("labelsTr/a.nii.gz"), truth(), grid());
    let (_, said) = run(at, &["quantify", "labelsTr/a.nii.gz"]);
    assert!(said.contains("label 2") && !said.contains("Reticulation"), "{said}");
    let table = r#"{"labels": {"background": 0, "Emphysema": 2, "Nodule": 5}}"#;
    std::fs::write(at.join("dataset.json"), table).unwrap();
    let (_, said) = run(at, &["quantify", "labelsTr/a.nii.gz"]);
    assert!(said.contains("Emphysema") && said.contains("Nodule"), "{said}");
}

#[test]
fn a_mask_under_a_name_that_is_no_label_is_refused_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    std::fs::create_dir(at.join("pred")).unwrap();
    let mask = truth().mapv(|id| u8::from(id == 5));
    let none = Array3::<u8>::zeros(SHAPE);
    for key in ["honeycombing", "Honeycombing "] {
        let arrays = [("Reticulation", none.view().into_dyn()), (key, mask.view().into_dyn())];
        write_npz_u8(&at.join("pred/a.npz"), arrays).unwrap();
        let (code, said) = run(at, &EVALUATE);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("did you mean `Honeycombing`?"), "{said}");
    }
    let arrays = [("Honeycombing", mask.view().into_dyn())];
    write_npz_u8(&at.join("pred/a.npz"), arrays).unwrap();
    assert_eq!(run(at, &EVALUATE).0, Some(0));
}

#[test]
fn a_stack_of_other_slices_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    let stack = truth().slice(s![2..6, .., ..]).to_owned();
    for (first, code) in [(2i64, 0), (3, 3)] {
        let slices = Array1::from_iter(first..first + 4);
        std::fs::create_dir_all(at.join("pred")).unwrap();
        write_npz_with(&at.join("pred/a.npz"), |npz| {
            npz.add("segs", &stack.view().into_dyn())?;
            npz.add("z_index", &slices.view().into_dyn())
        })
        .unwrap();
        let (found, said) = run(at, &EVALUATE);
        assert_eq!(found, Some(code), "{said}");
    }
}

#[test]
fn a_prediction_called_almost_like_its_case_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("gt/case_1.nii.gz"), truth(), grid());
    write_map(&at.join("pred/Case-001.nii.gz"), truth(), grid());
    let (code, said) = run(at, &EVALUATE);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("the nearest is `case_1`"), "{said}");
}

#[test]
fn predictions_and_segmentations_are_compared_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("dataset.json"), r#"{"2": "Reticulation", "5": "Honeycombing"}"#)
        .unwrap();
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    // The same lesions under another program's numbers, which says so beside them.
    let swapped = truth().mapv(|id| [0, 0, 5, 0, 0, 2][usize::from(id)]);
    write_map(&at.join("pred/a.nii.gz"), swapped, grid());
    let sidecar = |first: &str| {
        let label = |name: &str| format!(r#"{{"name": "{name}", "color": [1, 2, 3]}}"#);
        let text = format!(
            r#"{{"label_table": {{"5": {}, "2": {}}}}}"#,
            label(first),
            label("Honeycombing")
        );
        std::fs::write(at.join("pred/a.json"), text).unwrap();
    };
    sidecar("Reticulation");
    let (code, said) = run(at, &EVALUATE);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(summary(at)["foreground_mean"]["Dice"], 1.0, "{said}");
    sidecar("Emphysema");
    let (code, said) = run(at, &EVALUATE);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("pred/a.nii.gz") && said.contains("is called `Emphysema`"), "{said}");
    std::fs::write(at.join("pred/a.json"), r#"{"label_table": "lost"}"#).unwrap();
    let (code, said) = run(at, &EVALUATE);
    assert!(code == Some(3) && said.contains("a.json: expected under `label_table`"), "{said}");
    // Nobody names the ground truth's: the predictions' names are all there are.
    std::fs::remove_file(at.join("dataset.json")).unwrap();
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    std::fs::write(at.join("pred/labels.json"), r#"{"2": "GGO", "5": "Nodule"}"#).unwrap();
    std::fs::remove_file(at.join("pred/a.json")).unwrap();
    let (code, said) = run(at, &EVALUATE);
    assert!(code == Some(0) && said.contains("GGO") && said.contains("Nodule"), "{said}");
}

#[test]
fn an_odd_header_is_told_in_json_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_map(&at.join("gt/a.nii.gz"), truth(), grid());
    write_map(&at.join("pred/a.nii.gz"), truth(), grid());
    // The sform's lengths stay, pixdim says another thing.
    let path = at.join("pred/a.nii");
    std::fs::rename(at.join("pred/a.nii.gz"), at.join("packed.nii.gz")).unwrap();
    let map = ild_io::read_label_map(&at.join("packed.nii.gz")).unwrap();
    ild_io::write_label_map(&path, &map).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[80..84].copy_from_slice(&0.9f32.to_le_bytes());
    bytes[252..254].copy_from_slice(&0i16.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let (code, said) = run(at, &EVALUATE);
    assert_eq!(code, Some(0), "{said}");
    let notes = &summary(at)["ild"]["header_notes"];
    assert_eq!(notes[0]["file"], "pred/a.nii");
    assert_eq!(notes[0]["notes"][0]["kind"], "lengths-disagree", "{notes}");
    let page = std::fs::read_to_string(at.join("out/report.html")).unwrap();
    assert!(page.contains("Read with a decision: pixdim says 0.9") && page.contains("a.nii)"));
}
