//! A split is drawn once, patients stay together, and what nobody annotated is no class.

mod common;

use std::collections::BTreeMap;

use common::{Cohort, SHAPE, expect, geometry, lesions, summary};
use ild_io::{Affine, Geometry, Volume, Voxels, read_npz, write_volume};
use ild_test_support::SegNrrd;
use ndarray::{Array3, s};

fn parts(cohort: &Cohort) -> BTreeMap<String, String> {
    let text = std::fs::read(cohort.path("npz/splits.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let mut parts = BTreeMap::new();
    for part in ["train", "valid", "test"] {
        for case in value[part].as_array().unwrap() {
            parts.insert(case.as_str().unwrap().to_owned(), part.to_owned());
        }
    }
    parts
}

#[test]
fn a_mended_label_a_new_scan_and_a_broken_file_move_nobody() {
    let cohort = Cohort::of(12);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let first = parts(&cohort);
    let mut mended = lesions();
    mended.slice_mut(s![2..5, 31..38, 5..15]).fill(3);
    cohort.add("case07", &mended);
    cohort.add("case20", &lesions());
    expect(cohort.nii_to_npz("npz").arg("--force"), 0);
    let second = parts(&cohort);
    assert_eq!(second.len(), 13);
    assert!(first.iter().all(|(case, part)| second[case] == *part), "{first:?} {second:?}");
    // Its label is unreadable for a while: the decision is kept until it is back.
    let label = std::fs::read(cohort.label("case03")).unwrap();
    std::fs::write(cohort.label("case03"), b"x").unwrap();
    expect(&mut cohort.nii_to_npz("npz"), 3);
    assert!(!parts(&cohort).contains_key("case03"));
    std::fs::write(cohort.label("case03"), label).unwrap();
    expect(&mut cohort.nii_to_npz("npz"), 0);
    assert_eq!(parts(&cohort), second);
}

#[test]
fn another_draw_is_refused_until_it_is_asked_for_and_then_says_who_moves() {
    let cohort = Cohort::of(12);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let first = parts(&cohort);
    let (_, said) = expect(cohort.nii_to_npz("npz").args(["--seed", "7"]), 3);
    assert!(said.contains("--redraw") && said.contains("seed 2024"), "{said}");
    let (said, _) = expect(cohort.nii_to_npz("npz").args(["--seed", "7", "--redraw"]), 0);
    let second = parts(&cohort);
    assert_ne!(first, second);
    for (case, part) in &second {
        let moved = format!("{case}: moved from {} to {part}", first[case]);
        assert_eq!(first[case] != *part, said.contains(&moved), "{moved}: {said}");
    }
}

#[test]
fn patients_stay_together_however_the_table_is_written() {
    for rows in [
        "\u{feff}CASE,patient-1\r\n",
        "\"case\",\"patient\"\r\n\"CASE\",\"patient-1\"\r\n",
        "case;patient\nCASE.nii.gz;patient-1\n",
    ] {
        let cohort = Cohort::of(8);
        let (head, row) = match rows.rfind('\n').map(|end| &rows[..end]).and_then(|r| r.rfind('\n'))
        {
            Some(end) => rows.split_at(end + 1),
            None => ("", rows),
        };
        let mut text = head.to_owned();
        for i in 0..8 {
            let row = row.replace("CASE", &format!("case{i:02}"));
            text +=
                &row.replace("patient-1", &format!("patient-{}", i / 2)).replace('\u{feff}', "");
        }
        std::fs::write(cohort.path("patients.csv"), text).unwrap();
        let table = cohort.path("patients.csv");
        expect(cohort.nii_to_npz("npz").arg("--patients").arg(table), 0);
        let parts = parts(&cohort);
        for i in (0..8).step_by(2) {
            let [a, b] = [i, i + 1].map(|i| &parts[&format!("case{i:02}")]);
            assert_eq!(a, b, "{rows}");
        }
    }
    let cohort = Cohort::of(3);
    std::fs::write(cohort.path("patients.csv"), "Case-0,anna\ncase01,anna\n").unwrap();
    let table = cohort.path("patients.csv");
    let (_, said) = expect(cohort.nii_to_npz("npz").arg("--patients").arg(table), 3);
    assert!(said.contains("the nearest is `case00`"), "{said}");
}

#[test]
fn a_segmentation_of_slicer_is_trained_under_the_names_of_its_segments() {
    let cohort = Cohort::new();
    let [z, y, x] = SHAPE;
    let affine = Affine([
        [-1.0, 0.0, 0.0, 0.0],
        [0.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, 2.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    let hu = Array3::from_shape_fn(SHAPE, |(z, y, x)| ((z + y + x) % 900) as i16 - 1000);
    let ct = Volume { voxels: Voxels::I16(hu), geometry: Geometry::new(SHAPE, affine) };
    write_volume(&cohort.image("a"), &ct).unwrap();
    // Drawn first, numbered 1: in the cohort it is 5.
    SegNrrd {
        sizes_xyz: [x, y, z],
        spacing_xyz_mm: [1.0, 1.0, 2.0],
        segments: vec![("Honeycombing", 0, 1), ("Reticulation", 0, 2)],
        layers: vec![lesions().into_iter().collect()],
    }
    .write(&cohort.path("labelsTr/a.seg.nrrd"));
    let mut command = cohort.nii_to_npz("npz");
    command.args(["--ratios", "1,0,0", "--gt-name-suffix", ".seg.nrrd"]);
    expect(&mut command, 0);
    let stack = read_npz(&cohort.path("npz/npz_train/CT_ILD/a.npz")).unwrap();
    let expected = lesions().mapv(|id| if id == 1 { 5 } else { id });
    let slices = stack.placement.z_index().to_vec();
    assert_eq!(stack.labels.unwrap(), expected.select(ndarray::Axis(0), &slices));
    let other = r#"{"1": "Emphysema", "2": "Reticulation"}"#;
    std::fs::write(cohort.path("labels.json"), other).unwrap();
    let (_, said) = expect(command.arg("--force"), 3);
    assert!(said.contains("label 1 is called `Honeycombing`"), "{said}");
}

#[test]
fn one_patient_alone_is_said() {
    let cohort = Cohort::of(1);
    let (said, _) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(said.contains("no patient is left for test"), "{said}");
}

#[test]
fn what_nobody_annotated_is_kept_and_is_no_class() {
    let cohort = Cohort::new();
    let mut labels = lesions();
    labels.slice_mut(s![2..5, 32..38, 2..40]).fill(3);
    labels[[3, 0, 0]] = 3; // a speck, which is no dust
    labels.slice_mut(s![7, 0..9, 0..9]).fill(3); // a slice of nothing else
    let hu = Array3::from_shape_fn(SHAPE, |(z, y, x)| ((z + y + x) % 900) as i16 - 1000);
    cohort.add_on("a", &labels, hu, geometry(SHAPE));
    let table = r#"{"labels": {"background": 0, "GGO": 1, "Retic": 2, "ignore": 3}}"#;
    std::fs::write(cohort.path("dataset.json"), table).unwrap();
    let npy = cohort.path("npy");
    expect(cohort.nii_to_npz("npz").args(["--ratios", "1,0,0"]).arg("--npy-dir").arg(&npy), 0);
    let stack = read_npz(&cohort.path("npz/npz_train/CT_ILD/a.npz")).unwrap();
    let kept = stack.labels.unwrap();
    assert_eq!(kept.dim().0, 4, "slice 7 holds no class");
    assert_eq!(kept.iter().filter(|&&id| id == 3).count(), 3 * 6 * 38 + 1);
    assert_eq!(stack.label_table.unwrap().ignored(), Some(3));
    let facts = &summary(&cohort.path("npz"))["cases"][0]["facts"]["voxels"];
    assert!(facts["1"].is_u64() && facts["3"].is_null(), "{facts}");
    let dataset = std::fs::read_to_string(npy.join("dataset.json")).unwrap();
    let dataset: serde_json::Value = serde_json::from_str(&dataset).unwrap();
    assert!(dataset["parts"]["train"]["slices_per_label"]["3"].is_null(), "{dataset}");
}
