//! Stage 2 as a user meets it.

mod common;

use std::fs;
use std::path::Path;

use common::{Cohort, SHAPE, binary, expect, lesions};
use ild_io::{Images, Placement, SliceStack, Window, read_npy_u8, write_npz};
use ild_preprocess::{Dataset, Windowing};
use ndarray::{Array2, Array3, s};

fn stack(labels: Array3<u8>) -> SliceStack {
    let (n, height, width) = labels.dim();
    SliceStack {
        images: Images::Grey(labels.mapv(|id| id * 40 + 3)),
        labels: Some(labels),
        placement: Placement::unknown([n, height, width], [0.7, 0.7, 2.5]),
        window: Some(Window { level_hu: -600.0, width_hu: 1500.0 }),
        label_table: None,
        is_2d: false,
    }
}

fn convert(train: &Path, npy: &Path) -> std::process::Command {
    let mut command = binary("npz-to-npy");
    command.arg("--npz-train-dir").arg(train).arg("--npy-dir").arg(npy);
    command
}

#[test]
fn slices_and_what_training_must_know_of_them() {
    let cohort = Cohort::of(10);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let (table, _) = expect(&mut cohort.npz_to_npy("npz", "npy"), 0);
    assert!(table.contains("8 written"), "7 to train on and 1 to validate with: {table}");
    let dataset = Dataset::read(&cohort.path("npy")).unwrap().unwrap();
    assert_eq!(dataset.window, Some("lung".parse::<Windowing>().unwrap()));
    assert_eq!(dataset.label_table, ild_io::LabelTable::default());
    assert_eq!((dataset.parts["train"].slices, dataset.parts["valid"].slices), (28, 4));
    assert_eq!(dataset.parts["train"].slices_per_label, [(1, 28), (2, 28)].into());
    let case = &dataset.parts["train"].cases[0];
    let image = read_npy_u8(&cohort.path(&format!("npy/train/imgs/{case}-003.npy"))).unwrap();
    assert_eq!(image.shape(), [SHAPE[1], SHAPE[2], 3]);
    assert_eq!(image.slice(s![.., .., 0]), image.slice(s![.., .., 2]));
    let label = read_npy_u8(&cohort.path(&format!("npy/train/gts/{case}-003.npy"))).unwrap();
    let expected = ild_preprocess::resize_nearest(lesions().slice(s![6, .., ..]), 256, 256);
    assert_eq!(label, expected.into_dyn());
    let (table, _) = expect(&mut cohort.npz_to_npy("npz", "npy"), 0);
    assert!(table.contains("0 written, 8 unchanged"), "{table}");
}

#[test]
fn a_slice_whose_labels_vanish_at_256_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut labels = Array3::<u8>::zeros((2, 512, 512));
    labels.slice_mut(s![0, 100..120, 100..120]).fill(3);
    // At half the size OpenCV keeps even rows and columns: an odd one is never seen.
    labels[[1, 101, 101]] = 3;
    write_npz(&folder.path().join("npz/a.npz"), &stack(labels)).unwrap();
    let (table, log) =
        expect(&mut convert(&folder.path().join("npz"), &folder.path().join("npy")), 0);
    assert!(table.contains("1 slices left out: their labels vanish at 256 × 256"), "{table}");
    assert!(log.contains("a-001: left out"), "{log}");
    assert!(folder.path().join("npy/train/gts/a-000.npy").exists());
    assert!(!folder.path().join("npy/train/imgs/a-001.npy").exists());
    assert!(table.contains("training will choose its checkpoint by the training loss"), "{table}");
}

#[test]
fn a_flat_npz_gives_one_slice_without_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut flat = stack(Array3::ones((1, 20, 30)));
    flat.is_2d = true;
    write_npz(&folder.path().join("npz/a.npz"), &flat).unwrap();
    expect(&mut convert(&folder.path().join("npz"), &folder.path().join("npy")), 0);
    let label: Array2<u8> = read_npy_u8(&folder.path().join("npy/train/gts/a.npy"))
        .unwrap()
        .into_dimensionality()
        .unwrap();
    assert_eq!(label, Array2::<u8>::ones((256, 256)));
}

#[test]
fn a_case_to_train_on_and_to_validate_with_is_refused() {
    let cohort = Cohort::of(10);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    let train = cohort.names("npz").into_iter().find(|name| name.starts_with("npz_train")).unwrap();
    fs::copy(
        cohort.path("npz").join(&train),
        cohort.path("npz").join(train.replace("npz_train", "npz_valid")),
    )
    .unwrap();
    let (_, log) = expect(&mut cohort.npz_to_npy("npz", "npy"), 3);
    assert!(
        log.contains("expected a case that is only trained on") && log.contains("leak"),
        "{log}"
    );
    assert!(!cohort.path("npy").exists(), "nothing is begun");
}

#[test]
fn npz_of_another_window_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = stack(Array3::ones((1, 20, 30)));
    write_npz(&folder.path().join("npz/a.npz"), &other).unwrap();
    other.window = Some(Window { level_hu: 40.0, width_hu: 400.0 });
    write_npz(&folder.path().join("npz/b.npz"), &other).unwrap();
    let (table, _) =
        expect(&mut convert(&folder.path().join("npz"), &folder.path().join("npy")), 3);
    assert!(
        table.contains("b.npz: expected the same window as")
            && table.contains("-600/1500, found 40/400"),
        "{table}"
    );
    assert!(table.contains("1 written"), "{table}");
}

#[test]
fn no_npz_and_npz_without_labels_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("npz")).unwrap();
    let (_, log) = expect(&mut convert(&folder.path().join("npz"), &folder.path().join("npy")), 3);
    assert!(
        log.contains("expected NPZ files `*.npz` or `<modality>_<anatomy>/*.npz`, found none"),
        "{log}"
    );
    let mut bare = stack(Array3::ones((1, 20, 30)));
    bare.labels = None;
    write_npz(&folder.path().join("npz/a.npz"), &bare).unwrap();
    let (table, _) =
        expect(&mut convert(&folder.path().join("npz"), &folder.path().join("npy")), 3);
    assert!(table.contains("a.npz: expected labels under the key `gts`, found none"), "{table}");
    fs::write(folder.path().join("npz/a.npz"), b"PK but no zip").unwrap();
    let (table, _) =
        expect(&mut convert(&folder.path().join("npz"), &folder.path().join("npy")), 3);
    assert!(table.contains("a.npz: expected an NPZ"), "{table}");
}

#[test]
fn slices_of_cases_that_left_are_removed_and_strangers_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let (npz, npy) = (folder.path().join("npz"), folder.path().join("npy"));
    write_npz(&npz.join("a.npz"), &stack(Array3::ones((3, 20, 30)))).unwrap();
    write_npz(&npz.join("b.npz"), &stack(Array3::ones((1, 20, 30)))).unwrap();
    expect(&mut convert(&npz, &npy), 0);
    write_npz(&npz.join("a.npz"), &stack(Array3::ones((2, 20, 30)))).unwrap();
    fs::remove_file(npz.join("b.npz")).unwrap();
    fs::copy(npy.join("train/gts/a-000.npy"), npy.join("train/gts/mine.npy")).unwrap();
    let (table, _) = expect(&mut convert(&npz, &npy), 0);
    let mut left: Vec<String> = fs::read_dir(npy.join("train/gts"))
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    left.sort();
    assert_eq!(left, ["a-000.npy", "a-001.npy", "mine.npy"]);
    assert!(table.contains("mine.npy: not from this input"), "{table}");
}

#[test]
fn both_stages_in_one_run_give_the_files_of_two() {
    let cohort = Cohort::of(6);
    expect(&mut cohort.nii_to_npz("npz"), 0);
    expect(&mut cohort.npz_to_npy("npz", "npy"), 0);
    let (table, _) =
        expect(cohort.nii_to_npz("one").arg("--npy-dir").arg(cohort.path("one_npy")), 0);
    assert_eq!(
        table.matches("written, 0 unchanged, 0 skipped, 0 rejected, 0 failed").count(),
        2,
        "{table}"
    );
    let arrays = |folder: &str| -> Vec<_> {
        cohort
            .files(folder)
            .into_iter()
            .filter(|(path, _)| !path.ends_with("summary.json"))
            .collect()
    };
    assert!(arrays("npz") == arrays("one"));
    assert!(cohort.files("npy") == cohort.files("one_npy"));
    // What one run made, the second stage alone knows as finished.
    let (table, _) = expect(&mut cohort.npz_to_npy("one", "one_npy"), 0);
    assert!(table.contains("0 written, 5 unchanged"), "{table}");
    // Slices asked for later come from the NPZ that are there.
    let (table, _) = expect(cohort.nii_to_npz("npz").arg("--npy-dir").arg(cohort.path("late")), 0);
    assert!(
        table.contains("0 written, 6 unchanged") && table.contains("5 written, 0 unchanged"),
        "{table}"
    );
    assert!(cohort.files("npy") == cohort.files("late"));
}
