//! `ild-infer` as its users run it, prompted: every output opened again.

mod bench;

use bench::{Bench, SHAPE, geometry, hu, labels, ok, refused, same_header, wrong_usage};
use ild_io::{
    Affine, Geometry, LabelMap, NpzFile, Volume, Voxels, Window, read_label_map, read_volume,
    write_label_map, write_volume,
};
use ild_model::Weights;
use ild_test_support::SegNrrd;
use ndarray::{Array3, Axis, s};

#[test]
fn every_output_of_an_npz_lies_on_the_cts_grid() {
    let bench = Bench::new();
    let text = ok(&bench.run("npz", "gt", &["--save-nii", "--save-probabilities"]));
    assert!(text.contains("ground truth"), "{text}");
    same_header(&bench.path("ct/a_0000.nii.gz"), &bench.out("a.nii.gz"));
    same_header(&bench.path("ct/a_0000.nii.gz"), &bench.out("labels/a_Reticulation.nii.gz"));
    let probability = read_volume(&bench.out("probabilities/a_Honeycombing.nii.gz")).unwrap();
    assert_eq!(
        probability.geometry,
        read_volume(&bench.path("ct/a_0000.nii.gz")).unwrap().geometry
    );

    let whole = read_label_map(&bench.out("a.nii.gz")).unwrap().labels;
    assert!(whole.index_axis(Axis(0), 7).iter().all(|&id| id == 0), "slice 7 is not in the NPZ");
    let mut npz = NpzFile::open(&bench.out("npz/a.npz")).unwrap();
    assert_eq!(npz.keys(), ["Honeycombing", "Reticulation"]);
    assert_eq!(npz.require("Reticulation").unwrap().shape(), [7, 48, 56]);
    assert!(image::open(bench.out("pictures/a.png")).unwrap().width() > 3 * 384);

    let about = bench.json("a.json");
    assert_eq!(about["prompt"]["stamp"], "prompt from ground truth");
    assert_eq!(about["prompt"]["kind"], "ground-truth");
    assert_eq!(about["prompt"]["ground_truth_used"], true);
    assert_eq!(about["slices_encoded"], 7, "one encoding per slice, shared by both labels");
    assert_eq!(about["gaps"]["count"], 1);
    assert!(std::fs::read_to_string(bench.out("a.ctbl")).unwrap().contains("5 Honeycombing"));
    assert!(
        std::fs::read_to_string(bench.out("a.itksnap.txt")).unwrap().contains("\"Honeycombing\"")
    );
}

#[test]
fn a_finished_case_is_skipped_until_something_changes() {
    let bench = Bench::new();
    ok(&bench.run("npz", "gt", &[]));
    assert!(ok(&bench.run("npz", "gt", &[])).contains("done before"));
    assert!(!ok(&bench.run("npz", "gt", &["--force"])).contains("done before"));
    assert!(!ok(&bench.run("npz", "gt", &["--bbox-shift", "2"])).contains("done before"));
    std::fs::remove_file(bench.out("a.nii.gz")).unwrap();
    assert!(!ok(&bench.run("npz", "gt", &["--bbox-shift", "2"])).contains("done before"));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_ct_is_refused_without_waiting() {
    let bench = Bench::new();
    let pipe = bench.path("ct/a_0000.nii.gz");
    std::fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = refused(&bench.run("ct", "auto", &[]));
    assert!(said.contains("expected a regular file, found a pipe, socket or device"), "{said}");
}

#[test]
fn a_ct_is_segmented_from_drawn_boxes_without_any_ground_truth() {
    let bench = Bench::new();
    let prompts = r#"{"prompts": [
        {"label": 5, "box": [28, 18, 5, 50, 40, 9]},
        {"label": "reticulation", "slice": 4, "box": [8, 10, 22, 24], "span": [2, 7]},
        {"label": 2, "slice": 3, "points": [{"x": 15, "y": 15, "inside": true}, {"x": 45, "y": 5, "inside": false}], "span": [3, 4]}]}"#;
    std::fs::write(bench.path("boxes.json"), prompts).unwrap();
    ok(&bench.run("ct", "boxes.json", &[]));
    same_header(&bench.path("ct/a_0000.nii.gz"), &bench.out("a.nii.gz"));
    let about = bench.json("a.json");
    assert_eq!(about["prompt"]["journeys"].as_array().unwrap().len(), 3);
    assert_eq!(about["prompt"]["stamp"], "prompt from a file of boxes or points");
    assert_eq!(about["prompt"]["ground_truth_used"], false);
    assert_eq!(about["slices_encoded"], 8, "slices 2 to 9");
}

#[test]
fn a_mask_on_one_slice_is_followed_through_the_ct() {
    let bench = Bench::new();
    let mut mask = Array3::<u8>::zeros(SHAPE);
    mask.slice_mut(s![6, 20..40, 30..50]).fill(5);
    write_label_map(
        &bench.path("mask.nii.gz"),
        &LabelMap { labels: mask.clone(), geometry: geometry() },
    )
    .unwrap();
    ok(&bench.run("ct", "mask.nii.gz", &["--stop-after", "0"]));
    assert_eq!(bench.json("a.json")["labels"][0]["slices_visited"], 12);

    let mut moved = geometry();
    moved.affine.0[2][3] += 5.0;
    write_label_map(&bench.path("mask.nii.gz"), &LabelMap { labels: mask, geometry: moved })
        .unwrap();
    let text = refused(&bench.run("ct", "mask.nii.gz", &["--force"]));
    assert!(text.contains("5.00 mm"), "{text}");
}

#[test]
fn a_window_that_the_model_was_not_trained_with_is_refused() {
    let bench = Bench::new();
    bench.write_npz("soft/a.npz", &[2, 3, 4], Window { level_hu: 40.0, width_hu: 400.0 });
    let text = refused(&bench.run("soft", "gt", &[]));
    assert!(text.contains("-600/1500") && text.contains("40/400"), "{text}");
}

#[test]
fn a_broken_case_is_reported_and_the_others_go_on() {
    let bench = Bench::new();
    std::fs::write(bench.path("npz/broken.npz"), b"PK nothing").unwrap();
    let output = bench.run("npz", "gt", &[]);
    let text = refused(&output);
    assert!(text.contains("broken.npz") && text.contains("1 of 2 cases"), "{text}");
    assert!(bench.out("a.nii.gz").exists());
}

#[test]
fn prompts_that_cannot_be_meant_are_refused_with_their_number() {
    let bench = Bench::new();
    for (entry, words) in [
        (r#"{"label": "Emphysema", "box": [1, 1, 1, 5, 5, 5]}"#, "Honeycombing"),
        (r#"{"label": 9, "box": [1, 1, 1, 5, 5, 5]}"#, "found 9"),
        (r#"{"label": 0, "box": [1, 1, 1, 5, 5, 5]}"#, "background"),
        (r#"{"label": 2, "box": [1, 1, 1, 5, 5, 12]}"#, "0..=11"),
        (r#"{"label": 2, "box": [1, 1, 1, 5, 5, 1.9]}"#, "whole slices"),
        (r#"{"label": 2, "box": [1, 1, 1, 56, 5, 5]}"#, "0..=55"),
        (r#"{"label": 2, "box": [9, 1, 1, 5, 5, 5]}"#, "x0 <= x1"),
        (r#"{"label": 2, "box": [1, 1, 5, 5]}"#, "6 numbers"),
        (r#"{"label": 2, "slice": 40, "box": [1, 1, 5, 5]}"#, "slice 40"),
        (r#"{"label": 2, "slice": 4, "points": [{"x": 1, "y": 1, "inside": false}]}"#, "outside"),
        (r#"{"label": 2, "slice": 4, "bocks": [1, 1, 5, 5]}"#, "bocks"),
    ] {
        std::fs::write(bench.path("p.json"), format!(r#"{{"prompts": [{entry}]}}"#)).unwrap();
        let text = refused(&bench.run("ct", "p.json", &[]));
        assert!(text.contains("p.json") && text.contains(words), "{entry}: {text}");
    }
}

/// A healthy patient's labels are all 0: that is an answer, not a mistake.
#[test]
fn ground_truth_without_a_lesion_prompts_nothing_and_says_so() {
    let bench = Bench::new();
    let none = LabelMap { labels: Array3::zeros(SHAPE), geometry: geometry() };
    write_label_map(&bench.path("gt/a.nii.gz"), &none).unwrap();
    let gt = bench.path("gt");
    let gt = gt.to_str().unwrap();
    for prompt in ["gt", "gt-other", "gt-empty"] {
        ok(&bench.run("ct", prompt, &["--gt-path", gt, "--force"]));
        let found = read_label_map(&bench.out("a.nii.gz")).unwrap();
        assert!(found.labels.iter().all(|&id| id == 0), "{prompt}");
        let notes = bench.json("a.json")["notes"].to_string();
        assert!(notes.contains("the ground truth holds no lesion"), "{prompt}: {notes}");
    }
}

#[test]
fn ground_truth_that_is_not_there_is_asked_for() {
    let bench = Bench::new();
    assert!(refused(&bench.run("ct", "gt", &[])).contains("--gt-path"));
    let gt = bench.path("gt");
    ok(&bench.run("ct", "gt", &["--gt-path", gt.to_str().unwrap()]));
    assert!(refused(&bench.run("npz", "heuristic", &[])).contains("the CT itself"));
}

#[test]
fn an_npz_of_the_older_scripts_gets_its_own_grid_and_says_so() {
    let bench = Bench::new();
    let (imgs, gts) = (
        Array3::<u8>::from_elem((4, 20, 20), 90),
        labels().slice(s![4..8, 10..30, 8..28]).to_owned(),
    );
    ild_io::write_npz_with(&bench.path("old/old.npz"), |npz| {
        npz.add("imgs", &imgs.view().into_dyn())?;
        npz.add("gts", &gts.view().into_dyn())?;
        npz.add("spacing", &ndarray::arr1(&[0.7, 0.7, 5.0]).view().into_dyn())
    })
    .unwrap();
    let output = bench.run("old", "gt", &["--parity"]);
    ok(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("own grid"));
    assert_eq!(read_label_map(&bench.out("old.nii.gz")).unwrap().geometry.shape_zyx, [4, 20, 20]);
    assert_eq!(bench.json("old.json")["gaps"]["rule"], "carry");
}

#[test]
fn the_box_fill_baseline_is_the_filled_tight_box_of_each_slice() {
    let bench = Bench::new();
    ok(&bench.run("npz", "gt", &["--baseline", "box-fill"]));
    let found = read_label_map(&bench.out("a.nii.gz")).unwrap().labels;
    let mut expected = labels();
    expected.slice_mut(s![7, .., ..]).fill(0);
    assert_eq!(found, expected, "the labels are boxes, so the baseline is perfect here");
    let about = bench.json("a.json");
    assert_eq!(about["prompt"]["stamp"], "box-fill baseline, prompt from ground truth");
    assert_eq!(about["prompt"]["ground_truth_used"], true);
    assert!(about["labels"][0]["mean_predicted_iou"].is_null(), "no model, no estimate");
}

#[test]
fn a_baseline_of_ground_truth_boxes_is_never_stamped_as_anything_else() {
    let bench = Bench::new();
    for prompt in ["auto", "heuristic", "boxes.json"] {
        let text = wrong_usage(&bench.run("npz", prompt, &["--baseline", "box-fill"]));
        assert!(text.contains("--prompt gt only"), "{text}");
    }
    assert!(!bench.out("a.nii.gz").exists());
}

#[test]
fn weights_without_classes_of_their_own_are_told_of_the_heuristic() {
    let bench = Bench::new();
    let text = refused(&bench.run("ct", "auto", &[]));
    assert!(text.contains("nano.safetensors") && text.contains("--prompt heuristic"), "{text}");
}

#[test]
fn a_damaged_label_table_or_window_in_a_checkpoint_is_an_error() {
    let bench = Bench::new();
    let file = bench.path("nano.safetensors");
    let whole = Weights::read(&file).unwrap();
    for key in ["label_table", "window"] {
        let mut metadata = whole.metadata.clone();
        let text = metadata[key].clone();
        metadata.insert(key.to_owned(), text[..text.len() / 2].to_owned());
        whole.write_safetensors(&file, &metadata).unwrap();
        let text = refused(&bench.run("npz", "gt", &[]));
        assert!(text.contains("nano.safetensors") && text.contains(key), "{text}");
    }
}

#[test]
fn each_piece_of_a_label_is_prompted_by_itself_and_by_class_with_parity() {
    let bench = Bench::new();
    let mut two = labels();
    two.slice_mut(s![2..6, 30..44, 6..20]).fill(2);
    let map = LabelMap { labels: two, geometry: geometry() };
    write_label_map(&bench.path("two/a.nii.gz"), &map).unwrap();
    let two = bench.path("two");
    let gt = ["--gt-path", two.to_str().unwrap()];
    let journeys = |more: &[&str]| {
        ok(&bench.run("ct", "gt", &[&gt[..], more].concat()));
        bench.json("a.json")["prompt"]["journeys"].as_array().unwrap().len()
    };
    assert_eq!(journeys(&[]), 3);
    assert_eq!(journeys(&["--parity"]), 2);
}

#[test]
fn prompts_that_are_wrong_on_purpose_say_so_in_every_output() {
    let bench = Bench::new();
    let gt = bench.path("gt");
    let gt = ["--gt-path", gt.to_str().unwrap()];
    for (prompt, kind) in [("gt-other", "another-lesion"), ("gt-empty", "empty-box")] {
        let text = ok(&bench.run("ct", prompt, &gt));
        assert!(text.contains("no prediction for a new patient"), "{text}");
        let about = bench.json("a.json");
        assert_eq!(about["prompt"]["kind"], kind);
        assert_eq!(about["prompt"]["ground_truth_used"], true);
        assert!(about["prompt"]["stamp"].as_str().unwrap().contains("on purpose"));
        for journey in about["prompt"]["journeys"].as_array().unwrap() {
            let corner = |i: usize| journey["box"][i].as_f64().unwrap() as usize;
            let slice = journey["slice"].as_u64().unwrap() as usize;
            let id = u64::from(
                labels()[[slice, (corner(1) + corner(3)) / 2, (corner(0) + corner(2)) / 2]],
            );
            let asked = journey["label"].as_u64().unwrap();
            assert!(
                if prompt == "gt-empty" { id == 0 } else { id != 0 && id != asked },
                "{journey}"
            );
        }
    }
}

#[test]
fn shards_share_the_cases() {
    let bench = Bench::new();
    for name in ["b", "c"] {
        std::fs::copy(bench.path("npz/a.npz"), bench.path(&format!("npz/{name}.npz"))).unwrap();
    }
    ok(&bench.run("npz", "gt", &["--shard", "1/2"]));
    assert!(
        bench.out("b.nii.gz").exists()
            && !bench.out("a.nii.gz").exists()
            && !bench.out("c.nii.gz").exists()
    );
}

#[test]
fn only_the_cases_of_another_folder_are_taken_when_asked() {
    let bench = Bench::new();
    std::fs::copy(bench.path("ct/a_0000.nii.gz"), bench.path("ct/b_0000.nii.gz")).unwrap();
    std::fs::write(
        bench.path("boxes.json"),
        r#"{"prompts": [{"label": 5, "box": [28, 18, 5, 50, 40, 9]}]}"#,
    )
    .unwrap();
    let split = bench.path("npz");
    ok(&bench.run("ct", "boxes.json", &["--cases-of", split.to_str().unwrap()]));
    assert!(bench.out("a.nii.gz").exists() && !bench.out("b.nii.gz").exists());
    std::fs::rename(bench.path("npz/a.npz"), bench.path("npz/z.npz")).unwrap();
    assert!(
        refused(&bench.run("ct", "boxes.json", &["--cases-of", split.to_str().unwrap()]))
            .contains("not one name matches")
    );
}

#[test]
fn a_volume_that_is_not_in_hounsfield_units_is_remarked_upon() {
    let bench = Bench::new();
    let grey = Volume { voxels: Voxels::I16(hu().mapv(|v| v + 1024)), geometry: geometry() };
    write_volume(&bench.path("grey/a_0000.nii.gz"), &grey).unwrap();
    std::fs::write(
        bench.path("boxes.json"),
        r#"{"prompts": [{"label": 5, "box": [28, 18, 5, 50, 40, 9]}]}"#,
    )
    .unwrap();
    let output = bench.run("grey", "boxes.json", &[]);
    ok(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("hardly Hounsfield units"));
    assert!(bench.json("a.json")["notes"][0].as_str().unwrap().contains("hardly Hounsfield units"));
}

#[test]
fn a_mask_of_slicer_prompts_the_class_that_its_segment_is_called() {
    let bench = Bench::new();
    let [z, y, x] = SHAPE;
    let flat = Volume {
        voxels: Voxels::I16(hu()),
        geometry: Geometry::new(
            SHAPE,
            Affine([
                [-1.0, 0.0, 0.0, 0.0],
                [0.0, -1.0, 0.0, 0.0],
                [0.0, 0.0, 2.0, 0.0],
                [0.0, 0.0, 0.0, 1.0],
            ]),
        ),
    };
    write_volume(&bench.path("flat/a_0000.nii.gz"), &flat).unwrap();
    let mut mask = Array3::<u8>::zeros(SHAPE);
    mask.slice_mut(s![6, 20..40, 30..50]).fill(1);
    let drawn = |name: &'static str| SegNrrd {
        sizes_xyz: [x, y, z],
        spacing_xyz_mm: [1.0, 1.0, 2.0],
        segments: vec![(name, 0, 1)],
        layers: vec![mask.iter().copied().collect()],
    };
    drawn("honeycombing").write(&bench.path("mask.seg.nrrd"));
    ok(&bench.run("flat", "mask.seg.nrrd", &["--stop-after", "0"]));
    assert_eq!(bench.json("a.json")["labels"][0]["name"], "Honeycombing");
    drawn("Emphysema").write(&bench.path("mask.seg.nrrd"));
    let text = refused(&bench.run("flat", "mask.seg.nrrd", &[]));
    assert!(text.contains("label 1 is called `Emphysema`"), "{text}");
    assert!(!bench.out("a.nii.gz").exists(), "the earlier result is of another prompt");
}

#[test]
fn results_of_a_prompt_from_ground_truth_have_the_names_of_its_cohort() {
    let bench = Bench::new();
    let gt = bench.path("gt");
    let gt = ["--gt-path", gt.to_str().unwrap()];
    let names = |of_2: &str| format!(r#"{{"2": "{of_2}", "5": "Nodule"}}"#);
    std::fs::write(bench.path("gt/labels.json"), names("Emphysema")).unwrap();
    ok(&bench.run("ct", "gt", &gt));
    assert_eq!(bench.json("a.json")["labels"][0]["name"], "Emphysema");
    // The NPZ calls label 2 Reticulation.
    std::fs::write(bench.path("mine.json"), names("Emphysema")).unwrap();
    let mine = bench.path("mine.json");
    let mine = ["--labels", mine.to_str().unwrap()];
    let text = refused(&bench.run("npz", "gt", &mine));
    assert!(text.contains("label 2 is called `Reticulation`"), "{text}");
}

#[test]
fn results_of_cases_that_are_not_in_this_run_are_told() {
    let bench = Bench::new();
    bench.write_npz("npz/b.npz", &[2, 3, 4], Window { level_hu: -600.0, width_hu: 1500.0 });
    ok(&bench.run("npz", "gt", &[]));
    std::fs::remove_file(bench.path("npz/b.npz")).unwrap();
    let output = bench.run("npz", "gt", &[]);
    ok(&output);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cases that are not in this one: 1 (b)"), "{said}");
}
