//! A hospital's series in, a DICOM Segmentation of it out.

use std::path::Path;
use std::process::Command;

use ild_io::cohort::read_mask;
use ild_io::{LabelMap, LabelTable, Voxels, read_dicom_ct, read_label_map, write_label_map};
use ild_test_support::shared;

const SERIES: &str = "data/cip/Testing/Data/Input/ct-64Dicom";
const CASE: &str = "ct-64Dicom";

fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ild-infer"));
    let output = command.current_dir(folder).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said + &String::from_utf8_lossy(&output.stderr))
}

/// Ground truth on the grid of the series: what is dense in the upper part of the picture.
fn truth(series: &Path, path: &Path) {
    let (volume, _) = read_dicom_ct(series, None).unwrap();
    let Voxels::I16(hu) = &volume.voxels else { panic!("{}", volume.voxels.type_name()) };
    let mut labels = hu.mapv(|_| 0u8);
    let (z, y, x) = labels.dim();
    labels.slice_mut(ndarray::s![z / 3..z / 2, y / 3..y / 2, x / 4..x / 3]).fill(2);
    labels.slice_mut(ndarray::s![z / 2..z / 2 + 5, y / 2..y / 2 + 6, x / 2..x / 2 + 9]).fill(5);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_label_map(path, &LabelMap { labels, geometry: volume.geometry }).unwrap();
}

#[test]
fn a_series_becomes_a_segmentation_of_itself() {
    let Some(series) = shared(SERIES) else { return };
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    truth(&series, &at(&format!("gt/{CASE}.nii.gz")));
    let input = series.to_str().unwrap();
    let args = [
        "--input",
        input,
        "--output",
        "out",
        "--prompt",
        "gt",
        "--gt-path",
        "gt",
        "--baseline",
        "box-fill",
        "--save-dicom-seg",
    ];
    let (code, said) = run(work.path(), &args);
    assert_eq!(code, Some(0), "{said}");
    let (seg, nifti) =
        (at(&format!("out/dicom-seg/{CASE}.dcm")), at(&format!("out/{CASE}.nii.gz")));
    let table = LabelTable::default();
    let nifti = read_label_map(&nifti).unwrap();
    assert_eq!(nifti.ids(), [2, 5]);
    let back = read_mask(&seg, &table).unwrap();
    let back = back.on_grid_of(&seg, "segmentation", "CT", &nifti.geometry).unwrap();
    assert_eq!(back.labels, nifti.labels);
    let (code, said) = run(work.path(), &args);
    assert!(code == Some(0) && said.contains("finished before"), "{said}");
}

#[test]
fn a_result_that_belongs_to_no_series_becomes_none() {
    let Some(series) = shared(SERIES) else { return };
    let work = tempfile::tempdir().unwrap();
    truth(&series, &work.path().join("gt/a.nii.gz"));
    truth(&series, &work.path().join("ct/a_0000.nii.gz"));
    let args = [
        "--input",
        "ct",
        "--output",
        "out",
        "--prompt",
        "gt",
        "--gt-path",
        "gt",
        "--baseline",
        "box-fill",
        "--save-dicom-seg",
    ];
    let (code, said) = run(work.path(), &args);
    assert!(code == Some(3) && said.contains("--like SERIES"), "{said}");
}

#[test]
fn a_series_that_is_not_there_is_refused_with_those_that_are() {
    let Some(series) = shared(SERIES) else { return };
    let work = tempfile::tempdir().unwrap();
    truth(&series, &work.path().join(format!("gt/{CASE}.nii.gz")));
    let input = series.to_str().unwrap();
    let args = [
        "--input",
        input,
        "--output",
        "out",
        "--prompt",
        "gt",
        "--gt-path",
        "gt",
        "--baseline",
        "box-fill",
        "--series",
        "777",
    ];
    let (code, said) = run(work.path(), &args);
    assert!(code == Some(3) && said.contains("`777`") && said.contains("79 files"), "{said}");
}
