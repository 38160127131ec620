//! DICOM Segmentations as programs see them that are not ours: `dciodvfy` of dicom3tools finds no
//! error, highdicom and pydicom-seg read the same voxels on the same slices.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::dicom::Series;
use ild_io::cohort::LabelNames;
use ild_io::{
    LabelMap, LabelTable, SegFrames, SegMaker, SegSettings, SegType, SourceSeries, Voxels,
    read_dicom_ct, write_dicom_seg, write_npy_u8,
};
use ild_test_support::{program, python_with, shared};
use ndarray::Array3;
use tempfile::TempDir;

/// Segments by source image, as highdicom lays them on the slices that it is asked for.
const HIGHDICOM: &str = r#"
import json, sys
import highdicom as hd, numpy as np, pydicom, pydicom.misc
from pathlib import Path
seg, labels, ids, series = sys.argv[1:5]
seg, labels, ids = hd.seg.segread(seg), np.load(labels), json.loads(ids)
files = [p for p in Path(series).iterdir() if p.is_file() and pydicom.misc.is_dicom(p)]
headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in files]
o = np.array(headers[0].ImageOrientationPatient, float)
normal = np.cross(o[:3], o[3:])
headers.sort(key=lambda h: float(np.dot(normal, np.array(h.ImagePositionPatient, float))))
assert len(headers) == len(labels), (len(headers), labels.shape)
uids = [h.SOPInstanceUID for h in headers]
found = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
numbers = list(seg.segment_numbers)
for k, number in enumerate(numbers):
    name = seg.get_segment_description(number).segment_label
    expected = labels == ids[name]
    assert expected.any(), name
    assert (found[..., k].astype(bool) == expected).all(), name
covered = np.isin(labels, list(ids.values()))
assert (found.astype(bool).any(-1) == covered).all()
print("same voxels,", len(numbers), "segments,", seg.NumberOfFrames, "frames")
"#;

/// Voxels by place in the patient, as pydicom-seg puts them into an ITK image.
const PYDICOM_SEG: &str = r#"
import json, sys
import numpy as np, pydicom, pydicom_seg
seg, labels, ids, affine = sys.argv[1:5]
labels, ids, affine = np.load(labels), json.loads(ids), np.array(json.loads(affine))
result = pydicom_seg.SegmentReader().read(pydicom.dcmread(seg))
inverse = np.linalg.inv(affine)
for number in result.available_segments:
    name = result.segment_infos[number].SegmentLabel
    image = result.segment_image(number)
    mask = result.segment_data(number)
    expected = np.argwhere(labels == ids[name])[:, ::-1]
    steps = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps = np.array(image.GetOrigin()) + np.argwhere(mask)[:, ::-1] @ steps.T
    ras = lps * [-1, -1, 1]
    voxels = np.c_[ras, np.ones(len(ras))] @ inverse.T
    voxels = np.rint(voxels[:, :3]).astype(int)
    assert sorted(map(tuple, voxels)) == sorted(map(tuple, expected)), name
print("same voxels,", len(result.available_segments), "segments")
"#;

/// A Segmentation in a folder, and what it was made of.
struct Made {
    seg: PathBuf,
    labels: PathBuf,
    ids: String,
    affine: String,
    series: PathBuf,
    _folder: TempDir,
}

/// The labels of `map`, which lie on the grid of the series in the order of its pixels.
fn made(series: &Path, labels: Array3<u8>, kind: SegType) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let source = SourceSeries::read(series, Default::default()).unwrap();
    let map = LabelMap { labels, geometry: source.geometry.clone() };
    let table = LabelTable::default();
    let maker =
        SegMaker::program("ild-infer 0.1.0", "automatic", "automatic", Some("0123456789ab"));
    let settings = SegSettings {
        kind,
        frames: SegFrames::Held,
        table: &table,
        maker: &maker,
        writer: ["ild-io", "0.1.0"],
    };
    let (seg, npy) = (folder.path().join("a.dcm"), folder.path().join("labels.npy"));
    write_npy_u8(&npy, map.labels.view().into_dyn()).unwrap();
    let present = map.ids();
    let ids: BTreeMap<String, u8> = present.iter().map(|&id| (table.name(id), id)).collect();
    let affine = serde_json::to_string(&map.geometry.affine.0).unwrap();
    write_dicom_seg(&seg, map, Path::new("mask"), &source, settings).unwrap();
    assert_eq!(LabelNames::own(&seg).unwrap().table.unwrap().classes.len(), ids.len());
    Made {
        seg,
        labels: npy,
        ids: serde_json::to_string(&ids).unwrap(),
        affine,
        series: series.to_owned(),
        _folder: folder,
    }
}

fn drawn(shape: [usize; 3]) -> Array3<u8> {
    Array3::from_shape_fn(shape, |(z, y, x)| {
        let id = (z * 5 + y * 3 + x * 7) % 11;
        if z % 4 != 1 && id <= 5 { id as u8 } else { 0 }
    })
}

/// Segmentations of made series: axial, from head to foot, sagittal, mirrored, oblique, one slice.
fn of_made_series(kind: SegType, check: impl Fn(&Made)) {
    let (c, s) = (0.96, 0.28);
    for orientation in [
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        [1.0, 0.0, 0.0, 0.0, -1.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        [-1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        [c, s, 0.0, -s, c, 0.0],
    ] {
        let folder = tempfile::tempdir().unwrap();
        Series { orientation, ..Series::default() }.save(folder.path());
        check(&made(folder.path(), drawn([5, 6, 7]), kind));
    }
    let folder = tempfile::tempdir().unwrap();
    Series { slices: 1, ..Series::default() }.save(folder.path());
    check(&made(folder.path(), drawn([1, 6, 7]), kind));
}

/// Segmentations of real series: densities of the CT as classes.
fn of_real_series(kind: SegType, check: impl Fn(&Made)) {
    for path in [
        "data/cip/Testing/Data/Input/ct-64Dicom",
        "data/cip/Testing/Data/Input/simple_dicom",
        "data/covid_slices",
    ] {
        let Some(series) = shared(path) else { continue };
        let (volume, _) = read_dicom_ct(&series, Default::default()).unwrap();
        let class = |hu: f64| match hu as i32 {
            -800..=-500 => 1,
            -300..=-100 => 2,
            200.. => 5,
            _ => 0,
        };
        // These series are stored as they are axial.
        assert!(volume.geometry.stored.order.is_files(), "{path}");
        let labels = match &volume.voxels {
            Voxels::I16(hu) => hu.mapv(|hu| class(f64::from(hu))),
            Voxels::I32(hu) => hu.mapv(|hu| class(f64::from(hu))),
            Voxels::F32(hu) => hu.mapv(|hu| class(f64::from(hu))),
            other => panic!("{}", other.type_name()),
        };
        check(&made(&series, labels, kind));
    }
}

fn finds_no_error(made: &Made, dciodvfy: &Path) {
    let output = Command::new(dciodvfy).arg(&made.seg).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Segmentation"), "not recognised: {said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("Error")).collect();
    assert!(errors.is_empty(), "{}: {}", made.series.display(), errors.join("\n"));
}

fn reads_the_same(made: &Made, python: &str, script: &str, last: &str) {
    let output = Command::new(python)
        .args(["-W", "ignore", "-c", script])
        .args([&made.seg, &made.labels])
        .args([&made.ids, last])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("same voxels"), "{said}{errors}");
}

#[test]
fn dciodvfy_finds_no_error() {
    let Some(dciodvfy) = program("dciodvfy") else { return };
    of_made_series(SegType::Binary, |made| finds_no_error(made, &dciodvfy));
    of_real_series(SegType::Binary, |made| finds_no_error(made, &dciodvfy));
}

#[test]
fn dciodvfy_finds_no_error_in_label_maps() {
    let Some(dciodvfy) = program("dciodvfy") else { return };
    let folder = tempfile::tempdir().unwrap();
    Series::default().save(folder.path());
    let made_one = made(folder.path(), drawn([5, 6, 7]), SegType::Labelmap);
    let output = Command::new(&dciodvfy).arg(&made_one.seg).output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("SOP Class UID not recognized") {
        ild_test_support::skipped("this dciodvfy is older than label map segmentations");
        return;
    }
    of_made_series(SegType::Labelmap, |made| finds_no_error(made, &dciodvfy));
    of_real_series(SegType::Labelmap, |made| finds_no_error(made, &dciodvfy));
}

#[test]
fn highdicom_reads_the_same_voxels_of_the_same_images() {
    let Some(python) = python_with("highdicom, numpy") else { return };
    for kind in [SegType::Binary, SegType::Labelmap] {
        let check =
            |made: &Made| reads_the_same(made, &python, HIGHDICOM, made.series.to_str().unwrap());
        of_made_series(kind, check);
        of_real_series(kind, check);
    }
}

#[test]
fn pydicom_seg_reads_the_same_voxels_in_the_same_places() {
    let Some(python) = python_with("pydicom_seg, numpy") else { return };
    let check = |made: &Made| reads_the_same(made, &python, PYDICOM_SEG, &made.affine);
    of_made_series(SegType::Binary, check);
    of_real_series(SegType::Binary, check);
}
