//! A hospital's CT as training data: a folder or an archive of DICOM, labelled in NIfTI or in DICOM.

mod common;

use std::path::Path;

use common::{Cohort, expect};
use ild_io::{
    DicomOptions, LabelMap, LabelTable, SegAlgorithm, SegFrames, SegMaker, SegSettings, SegType,
    SourceSeries, read_dicom_ct, read_npz, write_dicom_seg, write_label_map, write_volume,
};
use ild_test_support::dicom::{Series, zip};
use ndarray::{Array3, s};

fn series() -> Series {
    let hu = |[x, y, z]: [f64; 3]| -900.0 + (7.0 * x + 11.0 * y + 37.0 * z).rem_euclid(800.0);
    Series { slices: 8, rows: 40, columns: 48, pixel_mm: [0.7, 0.8], hu, ..Series::default() }
}

fn lesions() -> Array3<u8> {
    let mut labels = Array3::zeros((8, 40, 48));
    labels.slice_mut(s![2..5, 5..20, 8..20]).fill(2);
    labels.slice_mut(s![6, 22..30, 24..36]).fill(5);
    labels
}

fn segmentation(ct: &Path, path: &Path) {
    let source = SourceSeries::read(ct, DicomOptions::default()).unwrap();
    let maker = SegMaker::unknown(SegAlgorithm::Manual);
    let settings = SegSettings {
        kind: SegType::Binary,
        frames: SegFrames::Held,
        table: &LabelTable::default(),
        maker: &maker,
        writer: ["test", "0"],
    };
    let map = LabelMap { labels: lesions(), geometry: source.geometry.clone() };
    write_dicom_seg(path, map, Path::new("mask"), &source, settings).unwrap();
}

#[test]
fn dicom_trains_like_the_nifti_it_would_become() {
    let cohort = Cohort::new();
    let images = cohort.path("imagesTr");
    series().save(&images.join("folder"));
    let (volume, _) = read_dicom_ct(&images.join("folder"), DicomOptions::default()).unwrap();
    let map = LabelMap { labels: lesions(), geometry: volume.geometry.clone() };
    write_volume(&cohort.image("nifti"), &volume).unwrap();
    // nnU-Net's channel may stand in the name of an archive, too.
    zip(&images.join("folder"), &images.join("archive_0000.zip"), true);
    write_label_map(&cohort.label("nifti"), &map).unwrap();
    write_label_map(&cohort.label("folder"), &map).unwrap();
    // Segments are numbered from 1; their names say that they are labels 2 and 5.
    segmentation(&images.join("folder"), &cohort.path("labelsTr").join("archive.dcm"));
    let (table, log) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(table.contains("3 written"), "{table}{log}");
    let stacks = cohort.names("npz").into_iter().filter(|name| name.ends_with(".npz"));
    let stacks: Vec<_> =
        stacks.map(|name| read_npz(&cohort.path("npz").join(name)).unwrap()).collect();
    assert_eq!(stacks.len(), 3);
    for stack in &stacks {
        assert_eq!(stack.images, stacks[0].images);
        assert_eq!(
            stack.labels.as_ref().unwrap(),
            &lesions().select(ndarray::Axis(0), &[2, 3, 4, 6])
        );
    }
    let (table, _) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(table.contains("3 unchanged"), "{table}");
}

#[test]
fn a_folder_without_dicom_is_no_case_and_a_changed_slice_is_done_again() {
    let cohort = Cohort::new();
    let images = cohort.path("imagesTr");
    series().save(&images.join("a"));
    std::fs::create_dir(images.join("notes")).unwrap();
    std::fs::write(images.join("notes/readme.txt"), "no CT").unwrap();
    segmentation(&images.join("a"), &cohort.path("labelsTr").join("a.seg.dcm"));
    let (table, log) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(table.contains("1 written") && !log.contains("notes"), "{table}{log}");
    let other = Series { hu: |_| -500.0, ..series() };
    other.save(&images.join("a"));
    let (table, _) = expect(&mut cohort.nii_to_npz("npz"), 0);
    assert!(table.contains("1 written"), "{table}");
}
