//! DICOM Segmentations as predictions and as masks to be measured.

mod made;

use std::path::Path;

use ild_io::{
    LabelMap, LabelTable, SegAlgorithm, SegFrames, SegMaker, SegSettings, SegType, SourceSeries,
    write_dicom_seg, write_label_map,
};
use ild_test_support::shared;
use made::{near, run};
use ndarray::{Array3, s};
use serde_json::Value;

const SERIES: &str = "data/cip/Testing/Data/Input/ct-64Dicom";

/// Lesions on some slices in the middle.
fn lesions(shape: [usize; 3]) -> Array3<u8> {
    let [z, y, x] = shape;
    let mut labels = Array3::zeros(shape);
    labels.slice_mut(s![z / 3..z / 2, y / 3..y / 2, x / 4..x / 3]).fill(2);
    labels.slice_mut(s![z / 2..z / 2 + 5, y / 2..y / 2 + 6, x / 2..x / 2 + 9]).fill(5);
    labels
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_segmentation_scores_as_the_label_map_it_was_made_of() {
    let Some(series) = shared(SERIES) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    made::name_labels(at);
    let source = SourceSeries::read(&series, Default::default()).unwrap();
    let map =
        LabelMap { labels: lesions(source.geometry.shape_zyx), geometry: source.geometry.clone() };
    let (table, maker) = (LabelTable::default(), SegMaker::unknown(SegAlgorithm::Automatic));
    let settings = SegSettings {
        kind: SegType::Binary,
        frames: SegFrames::Held,
        table: &table,
        maker: &maker,
        writer: ["test", "0"],
    };
    let mut moved = map.clone();
    moved.labels = made::shifted(&map.labels, 1);
    for folder in ["gt", "pred"] {
        std::fs::create_dir(at.join(folder)).unwrap();
    }
    write_label_map(&at.join("gt/a.nii.gz"), &map).unwrap();
    write_label_map(&at.join("pred/a.nii.gz"), &moved).unwrap();
    let dcm = at.join("seg/a.dcm");
    write_dicom_seg(&dcm, moved, Path::new("mask"), &source, settings).unwrap();
    let mean = |name: &str| {
        let args = ["evaluate", "--pred", name, "--gt", "gt", "--output", "out", "--force"];
        let (code, text) = run(at, &args);
        assert_eq!(code, Some(0), "{text}");
        json_of(&at.join("out/summary.json"))["foreground_mean"]["Dice"].as_f64().unwrap()
    };
    let expected = mean("pred");
    assert!(expected > 0.5 && expected < 1.0);
    assert_eq!(mean("seg"), expected);
    let series = series.to_str().unwrap();
    let (code, text) = run(at, &["quantify", "seg/a.dcm", "--ct", series, "--output", "volumes"]);
    assert_eq!(code, Some(0), "{text}");
    let found = json_of(&at.join("volumes/quantification.json"));
    let voxels = map.labels.iter().filter(|id| **id != 0).count() as f64;
    near(&found["total"]["volume_ml"], voxels * map.geometry.voxel_volume_ml());
}
