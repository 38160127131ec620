//! Stage 1 as a user meets it: what is written, what is said, how it ends.

mod common;

use std::fs;

use common::{Cohort, SHAPE, expect, geometry, lesions, summary};
use ild_io::{Images, read_label_map, read_npz, write_label_map};
use ndarray::{Array3, s};

#[test]
fn the_npz_holds_the_labelled_slices_and_where_they_lie() {
    let cohort = Cohort::of(1);
    let (_, log) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(log.contains("case00: 4 of 8 slices; 0.0 % of the lung range black or white"), "{log}");
    let stack = read_npz(&cohort.path("npz/npz_train/CT_ILD/case00.npz")).unwrap();
    assert_eq!(stack.placement.z_index(), [2, 3, 4, 6]);
    assert_eq!(stack.placement.geometry().shape_zyx, SHAPE);
    assert_eq!(stack.labels.unwrap(), lesions().select(ndarray::Axis(0), &[2, 3, 4, 6]));
    assert_eq!(stack.window.unwrap().level_hu, -600.0);
    assert_eq!(stack.label_table.unwrap(), ild_io::LabelTable::default());
    // The affine goes through the 32-bit floats of a NIfTI header.
    const F32_MM: f64 = 1e-5;
    let expected = geometry(SHAPE).affine.0;
    let ours = stack.placement.geometry().affine.0;
    assert!(
        expected
            .as_flattened()
            .iter()
            .zip(ours.as_flattened())
            .all(|(a, b)| (a - b).abs() < F32_MM),
        "{ours:?}"
    );
}

#[test]
fn a_second_run_does_nothing_and_says_so() {
    let cohort = Cohort::of(5);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let before = cohort.files("npz");
    let changed = |path: &str| fs::metadata(cohort.path(path)).unwrap().modified().unwrap();
    let file = format!(
        "npz/{}",
        cohort.names("npz").into_iter().find(|name| name.ends_with(".npz")).unwrap()
    );
    let time = changed(&file);
    let (table, _) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(table.contains("0 written, 5 unchanged, 0 skipped, 0 rejected, 0 failed"), "{table}");
    assert_eq!(changed(&file), time);
    let npz = |files: Vec<(std::path::PathBuf, Vec<u8>)>| {
        files.into_iter().filter(|(path, _)| path.extension().unwrap() == "npz").collect::<Vec<_>>()
    };
    assert_eq!(npz(cohort.files("npz")), npz(before));
    let (table, _) = expect(cohort.nii_to_npz("npz").arg("--force"), 0);
    assert!(table.contains("5 written, 0 unchanged"), "{table}");
    let (table, _) = expect(cohort.nii_to_npz("npz").args(["--remove-label-ids", "2"]), 0);
    assert!(table.contains("5 written, 0 unchanged"), "other settings are other files: {table}");
}

#[test]
fn another_split_moves_files_and_leaves_none_behind() {
    let cohort = Cohort::of(10);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let first = cohort.names("npz");
    let (table, _) = expect(cohort.nii_to_npz("npz").args(["--seed", "5", "--redraw"]), 0);
    assert!(table.contains("0 written, 10 unchanged"), "{table}");
    let second = cohort.names("npz");
    assert_ne!(first, second);
    let npz = |names: &[String]| names.iter().filter(|name| name.ends_with(".npz")).count();
    assert_eq!((npz(&first), npz(&second)), (10, 10));
}

#[test]
fn a_broken_case_is_named_and_the_others_go_on() {
    let cohort = Cohort::of(4);
    let bytes = fs::read(cohort.image("case01")).unwrap();
    fs::write(cohort.image("case01"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(cohort.label("case02"), b"this is no NIfTI file").unwrap();
    let (table, log) = expect(&mut cohort.nii_to_npz("npz"), 3);
    assert!(table.contains("2 written, 0 unchanged, 0 skipped, 2 rejected, 0 failed"), "{table}");
    for (case, file) in [("case01", cohort.image("case01")), ("case02", cohort.label("case02"))] {
        assert!(
            table.contains(&format!("{case}: rejected: {}: expected", file.display())),
            "{table}"
        );
        assert!(log.contains(&format!("{case}: {}", file.display())), "{log}");
    }
    assert!(log.contains("2 inputs were rejected; all others are done"), "{log}");
    let cases = summary(&cohort.path("npz"))["cases"].clone();
    assert_eq!(cases[1]["status"], "rejected");
    assert_eq!(cases[3]["status"], "written");
}

#[test]
fn a_label_on_another_grid_is_refused_with_the_distance() {
    let cohort = Cohort::of(1);
    let mut moved = geometry(SHAPE);
    moved.affine.0[1][3] += 3.0;
    write_label_map(
        &cohort.label("case00"),
        &ild_io::LabelMap { labels: lesions(), geometry: moved },
    )
    .unwrap();
    let (_, log) = expect(&mut cohort.nii_to_npz("npz"), 3);
    assert!(
        log.contains("expected the CT's grid, found a grid whose corners lie up to 3.00 mm away"),
        "{log}"
    );
    // The older scripts compared shapes only; parity mode does as they did, and says what it saw.
    let (table, log) = expect(cohort.nii_to_npz("npz").arg("--parity"), 0);
    assert!(table.contains("1 written") && log.contains("up to 3.00 mm away"), "{table}\n{log}");
}

#[test]
fn a_label_stored_in_another_order_gives_the_same_arrays_and_a_note() {
    let (plain, mirrored) = (Cohort::of(1), Cohort::of(1));
    // Upside down and mirrored in storage, at the same places in the patient.
    let mut map = read_label_map(&mirrored.label("case00")).unwrap();
    map.labels.invert_axis(ndarray::Axis(0));
    map.labels.invert_axis(ndarray::Axis(2));
    let affine = map.geometry.affine;
    let corner = affine.world_mm([(SHAPE[2] - 1) as f64, 0.0, (SHAPE[0] - 1) as f64]);
    for (row, corner) in corner.into_iter().enumerate() {
        map.geometry.affine.0[row] =
            [-affine.0[row][0], affine.0[row][1], -affine.0[row][2], corner];
    }
    map.geometry.stored = ild_io::Stored::default();
    write_label_map(&mirrored.label("case00"), &map).unwrap();
    expect(&mut plain.nii_to_npz("npz"), 0);
    let (_, log) = expect(&mut mirrored.nii_to_npz("npz"), 0);
    assert!(
        log.contains("the label is stored RPI, the CT LPS: the same voxels, put in the CT's order"),
        "{log}"
    );
    let npz = |cohort: &Cohort| read_npz(&cohort.path("npz/npz_train/CT_ILD/case00.npz")).unwrap();
    let (plain, mirrored) = (npz(&plain), npz(&mirrored));
    assert_eq!((plain.labels, plain.placement), (mirrored.labels, mirrored.placement));
}

#[test]
fn an_empty_label_is_skipped_with_the_reason_and_its_old_npz_goes() {
    let cohort = Cohort::of(2);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let mut speck = Array3::zeros(SHAPE);
    speck[[1, 1, 1]] = 1u8;
    cohort.add("case01", &speck);
    let (table, _) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(table.contains("0 written, 1 unchanged, 1 skipped"), "{table}");
    assert!(
        table.contains("no label left without components under 20 voxels or 5 pixels in a slice"),
        "{table}"
    );
    assert_eq!(cohort.names("npz").iter().filter(|name| name.ends_with(".npz")).count(), 1);
}

#[test]
fn files_without_a_partner_and_unknown_ids_are_listed() {
    let cohort = Cohort::of(2);
    fs::rename(cohort.image("case00"), cohort.image("other")).unwrap();
    let mut labels = lesions();
    labels.slice_mut(s![3, 30..40, 0..10]).fill(77);
    cohort.add("case01", &labels);
    let (table, log) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(
        table.contains(&format!("{}: label without CT", cohort.label("case00").display())),
        "{table}"
    );
    assert!(
        table.contains(&format!("{}: CT without label", cohort.image("other").display())),
        "{table}"
    );
    assert!(log.contains("label ids without a name in the label table: 77;"), "{log}");
    assert!(table.contains("label 77 (voxels)"), "{table}");
}

#[test]
fn a_flattening_window_is_said_out_loud() {
    let cohort = Cohort::of(1);
    let mut command = cohort.nii_to_npz("npz");
    let (table, log) = expect(command.args(["--config"]).arg(config(&cohort)), 2);
    assert!(table.is_empty() && log.contains("cannot be used with"), "{log}");
    let mut command = common::binary("nii-to-npz");
    command
        .arg("--img-path")
        .arg(cohort.path("imagesTr"))
        .arg("--gt-path")
        .arg(cohort.path("labelsTr"));
    command.arg("--output").arg(cohort.path("npz")).args([
        "--min-voxels-3d",
        "20",
        "--min-pixels-2d",
        "5",
    ]);
    let (table, log) = expect(&mut command, 0);
    assert!(log.contains("window 40/400 turns 100.0 % of the lung-range voxels"), "{log}");
    assert!(log.contains("`--window lung` keeps them apart"), "{log}");
    assert!(
        table.contains("100.0 % of the lung-range voxels (-950..-200 HU) became black or white"),
        "{table}"
    );
    assert_eq!(summary(&cohort.path("npz"))["flattened_share"], 1.0);
}

fn config(cohort: &Cohort) -> std::path::PathBuf {
    let path = cohort.path("run.toml");
    fs::write(&path, "[nii-to-npz]\nwindow-level = 0\nwindow-width = 100\n").unwrap();
    path
}

#[test]
fn rgb_puts_three_windows_on_three_channels() {
    let cohort = Cohort::of(1);
    let mut command = cohort.nii_to_npz("npz");
    expect(command.args(["--ratios", "1,0,0"]), 0);
    let mut command = common::binary("nii-to-npz");
    command
        .arg("--img-path")
        .arg(cohort.path("imagesTr"))
        .arg("--gt-path")
        .arg(cohort.path("labelsTr"));
    command.arg("--output").arg(cohort.path("rgb")).args([
        "--min-voxels-3d",
        "20",
        "--min-pixels-2d",
        "5",
        "--window",
        "rgb",
    ]);
    expect(&mut command, 0);
    let grey = read_npz(&cohort.path("npz/npz_train/CT_ILD/case00.npz")).unwrap();
    let colour = read_npz(&cohort.path("rgb/npz_train/CT_ILD/case00.npz")).unwrap();
    let (Images::Grey(grey), Images::Rgb(colour)) = (grey.images, colour.images) else {
        panic!("wrong ranks")
    };
    assert_eq!(colour.index_axis(ndarray::Axis(3), 0), grey, "red is the lung window");
    assert_ne!(colour.index_axis(ndarray::Axis(3), 1), grey);
}

#[test]
fn saved_nifti_slices_lie_where_they_were_in_the_patient() {
    let cohort = Cohort::of(1);
    expect(cohort.nii_to_npz("npz").arg("--save-nii"), 0);
    let folder = cohort.path("npz/npz_train/CT_ILD");
    let gt = ild_io::read_label_map(&folder.join("case00_gt.nii.gz")).unwrap();
    let image = ild_io::read_volume(&folder.join("case00_img.nii.gz")).unwrap();
    assert_eq!(gt.geometry.shape_zyx, [4, SHAPE[1], SHAPE[2]]);
    assert_eq!(image.geometry.affine, gt.geometry.affine);
    // Slice 0 there is slice 2 of the scan: 2 x 2.5 mm higher.
    let expected = geometry(SHAPE).affine.world_mm([0.0, 0.0, 2.0]);
    let ours = gt.geometry.affine.world_mm([0.0, 0.0, 0.0]);
    assert!(expected.iter().zip(ours).all(|(a, b)| (a - b).abs() < 1e-4), "{ours:?} {expected:?}");
}

#[test]
fn folds_validate_each_case_once_and_share_files() {
    let cohort = Cohort::of(6);
    expect(cohort.nii_to_npz("npz").args(["--folds", "3"]), 0);
    let names = cohort.names("npz");
    for case in 0..6 {
        let valid = names
            .iter()
            .filter(|name| name.contains(&format!("npz_valid/CT_ILD/case{case:02}.npz")))
            .count();
        let train = names
            .iter()
            .filter(|name| name.contains(&format!("npz_train/CT_ILD/case{case:02}.npz")))
            .count();
        assert_eq!((valid, train), (1, 2), "case {case}");
    }
    let splits: serde_json::Value =
        serde_json::from_slice(&fs::read(cohort.path("npz/splits_final.json")).unwrap()).unwrap();
    assert_eq!(splits.as_array().unwrap().len(), 3);
    // The file it wrote is a file it reads.
    let (table, _) = expect(
        cohort
            .nii_to_npz("one")
            .arg("--splits")
            .arg(cohort.path("npz/splits_final.json"))
            .args(["--fold", "1"]),
        0,
    );
    assert!(table.contains("6 written"), "{table}");
    assert_eq!(cohort.names("one").iter().filter(|name| name.starts_with("npz_valid")).count(), 2);
}

#[test]
fn with_a_test_each_case_is_measured_once_and_chooses_once() {
    let cohort = Cohort::of(8);
    expect(cohort.nii_to_npz("npz").args(["--folds", "4", "--fold-tests"]), 0);
    let runs = |part: &str, case: usize| -> Vec<usize> {
        let file = format!("{part}/CT_ILD/case{case:02}.npz");
        let there = |run: &usize| cohort.path(&format!("npz/fold_{run}/{file}")).exists();
        (0..4).filter(there).collect()
    };
    for case in 0..8 {
        let [test, valid, train] = ["npz_test", "npz_valid", "npz_train"].map(|p| runs(p, case));
        assert_eq!((test.len(), valid.len(), train.len()), (1, 1, 2), "case {case}");
        assert_eq!((valid[0] + 1) % 4, test[0], "case {case}");
    }
    // Without it the folder of an earlier run would be taken for a test of this one.
    expect(cohort.nii_to_npz("npz").args(["--folds", "4"]), 0);
    assert!(!cohort.path("npz/fold_0/npz_test").exists());
    let (_, said) = expect(cohort.nii_to_npz("two").args(["--folds", "2", "--fold-tests"]), 3);
    assert!(said.contains("three folds"), "{said}");
}

#[test]
fn a_case_in_two_parts_is_an_error() {
    let cohort = Cohort::of(3);
    let splits = cohort.path("splits.json");
    fs::write(&splits, r#"{"train": ["case00", "case01"], "test": ["case01", "case02"]}"#).unwrap();
    let (_, log) = expect(cohort.nii_to_npz("npz").arg("--splits").arg(&splits), 3);
    assert!(log.contains("expected each case in one part, found `case01` in"), "{log}");
    // The same through a file that somebody put there.
    fs::write(&splits, r#"{"train": ["case00", "case01"], "test": ["case02"]}"#).unwrap();
    fs::create_dir_all(cohort.path("npz/npz_test/CT_ILD")).unwrap();
    fs::write(cohort.path("npz/npz_test/CT_ILD/case00.npz"), b"x").unwrap();
    let (_, log) = expect(cohort.nii_to_npz("npz").arg("--splits").arg(&splits), 3);
    assert!(log.contains("npz_test/CT_ILD/case00.npz: expected case00 only in npz_train"), "{log}");
}

#[test]
fn cases_the_split_does_not_name_are_said() {
    let cohort = Cohort::of(2);
    let splits = cohort.path("splits.json");
    fs::write(&splits, r#"{"train": ["case00.nii.gz", "case09"]}"#).unwrap();
    let (table, _) = expect(cohort.nii_to_npz("npz").arg("--splits").arg(&splits), 0);
    assert!(table.contains("case01: skipped: not in the split file"), "{table}");
    assert!(
        table.contains("case09: in the split's train part, but there is no such pair of files"),
        "{table}"
    );
    assert!(cohort.path("npz/npz_train/CT_ILD/case00.npz").exists());
}

#[test]
fn two_runs_in_one_folder_are_kept_apart() {
    let cohort = Cohort::of(1);
    let held = ild_cli::FolderLock::hold(&cohort.path("npz")).unwrap();
    let (_, log) = expect(&mut cohort.nii_to_npz("npz"), 1);
    assert!(log.contains("another run is writing into this folder"), "{log}");
    drop(held);
    expect(&mut cohort.nii_to_npz("npz"), 0);
}

#[test]
fn single_voxels_and_single_slices_pass() {
    let cohort = Cohort::new();
    cohort.add("dot", &Array3::from_elem([1, 1, 1], 1));
    cohort.add("line", &Array3::from_elem([1, 1, 300], 2));
    let mut command = cohort.nii_to_npz("npz");
    let (table, _) = expect(
        command.args(["--min-voxels-3d", "1", "--min-pixels-2d", "1", "--ratios", "1,0,0"]),
        0,
    );
    assert!(table.contains("2 written"), "{table}");
    let (table, _) = expect(&mut cohort.npz_to_npy("npz", "npy"), 0);
    assert!(table.contains("2 written"), "{table}");
    let small = ild_io::read_npy_u8(&cohort.path("npy/train/gts/dot-000.npy")).unwrap();
    assert_eq!((small.shape(), small.iter().all(|&id| id == 1)), (&[256, 256][..], true));
}

#[test]
fn the_report_names_inputs_window_and_outputs() {
    let cohort = Cohort::of(2);
    expect(cohort.nii_to_npz("npz").arg("--report").arg(cohort.path("run.json")), 0);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(cohort.path("run.json")).unwrap()).unwrap();
    assert_eq!(report["inputs"].as_array().unwrap().len(), 4);
    assert_eq!(report["inputs"][0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(report["window"]["grey"]["level_hu"], -600.0);
    assert_eq!(report["summary"]["total"]["slices"], 8);
    assert!(report["seconds"].is_number() && report["outputs"].is_array());
}

#[test]
fn shares_that_are_not_three_numbers_are_wrong_usage() {
    let cohort = Cohort::of(1);
    for shares in ["70,30", "70,10,10,10", "70,10,x", "0,0,0", "70,-10,40", ""] {
        let (_, log) = expect(cohort.nii_to_npz("npz").arg(format!("--ratios={shares}")), 2);
        assert!(
            log.contains("expected three shares of 0 or more, e.g. 70,10,20")
                || log.contains("a value is required"),
            "{log}"
        );
    }
    assert!(!cohort.path("npz").exists(), "nothing is begun");
}
