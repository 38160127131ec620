//! What a NIfTI header says beside the voxels: lengths, places, units, intent, scaling. One rule
//! for all programs, and a typed note where it had to decide.

mod common;

use std::fs;
use std::path::PathBuf;

use common::NiftiBytes;
use ild_io::{
    Geometry, HeaderNote, LabelMap, LengthSource, read_label_map, read_volume, write_label_map,
};
use ndarray::Array3;
use tempfile::TempDir;

const SPACING: [f32; 3] = [0.7, 0.7, 5.0];
const QFORM_CODE: usize = 252;
const SFORM_CODE: usize = 254;
const PIXDIM: usize = 76;
const SROW: usize = 280;
const UNITS: usize = 123;
const INTENT: usize = 68;
const SCALING: usize = 112;

struct Made {
    _folder: TempDir,
    path: PathBuf,
}

fn made(file: &NiftiBytes) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    fs::write(&path, &file.0).unwrap();
    Made { _folder: folder, path }
}

/// A label map of 4 × 4 × 4 voxels whose sform's axes and pixdim have these lengths.
fn labels(sform: [f32; 3], pixdim: [f32; 3], qform: bool) -> NiftiBytes {
    let mut file = NiftiBytes::new([4, 4, 4], 2);
    let [a, b, c] = sform;
    file.f32(PIXDIM, &[1.0, pixdim[0], pixdim[1], pixdim[2]]);
    file.f32(SROW, &[a, 0.0, 0.0, -20.0, 0.0, b, 0.0, -20.0, 0.0, 0.0, c, -70.0]);
    file.f32(256, &[0.0, 0.0, 0.0, -20.0, -20.0, -70.0]);
    file.i16(QFORM_CODE, i16::from(qform)).i16(SFORM_CODE, 1).voxels(&[1; 64]);
    file
}

fn voxel_ml(file: &NiftiBytes) -> (f64, Vec<HeaderNote>) {
    let geometry = read_label_map(&made(file).path).unwrap().geometry;
    let lengths = geometry.affine.spacing_xyz_mm();
    assert!(
        lengths.iter().zip(geometry.spacing_xyz_mm).all(|(a, b)| (a - b).abs() < 1e-6),
        "one source for lengths and places"
    );
    (geometry.voxel_volume_ml(), geometry.notes)
}

#[test]
fn where_pixdim_and_sform_disagree_one_is_used_for_lengths_and_places_and_it_is_noted() {
    let true_ml = 0.7 * 0.7 * 5.0 / 1000.0;
    let used = |notes: &[HeaderNote]| match notes {
        [HeaderNote::LengthsDisagree { used, .. }] => *used,
        other => panic!("{other:?}"),
    };
    // The sform was left at 1 mm; qform and pixdim agree.
    let (ml, notes) = voxel_ml(&labels([1.0; 3], SPACING, true));
    assert!((ml - true_ml).abs() < 1e-9);
    assert_eq!(used(&notes), LengthSource::Qform);
    // pixdim was left at 1 mm, with and without a qform made of it.
    for qform in [false, true] {
        let (ml, notes) = voxel_ml(&labels(SPACING, [1.0; 3], qform));
        assert!((ml - true_ml).abs() < 1e-9, "qform: {qform}");
        assert_eq!(used(&notes), LengthSource::Sform);
        assert_eq!(
            notes[0].to_string(),
            "pixdim says 1 × 1 × 1 mm but the sform's axes are 0.7 × 0.7 × 5 mm long: the sform is used for lengths and places"
        );
        let json = serde_json::to_value(&notes[0]).unwrap();
        assert_eq!((&json["kind"], &json["used"]), (&"lengths-disagree".into(), &"sform".into()));
    }
    let (ml, notes) = voxel_ml(&labels(SPACING, SPACING, true));
    assert!((ml - true_ml).abs() < 1e-9);
    assert_eq!(notes, []);
}

#[test]
fn a_label_map_on_a_ct_whose_header_disagrees_lies_where_the_ct_lies() {
    let ct = made(&labels([1.0; 3], SPACING, true));
    let geometry = read_volume(&ct.path).unwrap().geometry;
    let path = ct.path.with_file_name("mask.nii");
    let labels = Array3::zeros(geometry.shape_zyx);
    write_label_map(&path, &LabelMap { labels, geometry: geometry.clone() }).unwrap();
    let (mask, ct) = (fs::read(&path).unwrap(), fs::read(&ct.path).unwrap());
    for fields in [76..92, 252..256, 256..280, 280..328] {
        assert_eq!(mask[fields.clone()], ct[fields.clone()], "{fields:?}");
    }
    assert_eq!(read_label_map(&path).unwrap().geometry, geometry);
}

#[test]
fn a_sheared_grid_is_refused_wherever_it_is_measured() {
    // A gantry tilted by 25 degrees, kept as a shear.
    let mut file = labels(SPACING, SPACING, false);
    let shear = 5.0 * 25f32.to_radians().tan();
    file.f32(SROW + 16, &[0.0, 0.7, shear, -20.0]);
    file.f32(PIXDIM + 12, &[5.0 / 25f32.to_radians().cos()]);
    let made = made(&file);
    for error in [
        read_volume(&made.path).map(|_| ()).unwrap_err(),
        read_label_map(&made.path).map(|_| ()).unwrap_err(),
    ] {
        assert!(error.is_rejection());
        let message = error.to_string();
        assert!(
            message.contains("expected a right-angled grid, found axes that are 25.00 degrees off (a tilted gantry kept as a shear?); resample it"),
            "{message}"
        );
    }
    let info = ild_io::info::describe(&made.path).unwrap();
    assert!(info.warnings.iter().any(|w| w.contains("not perpendicular (off by 25.00 degrees)")));
    assert!((info.labels[0].volume_ml.unwrap() - 64.0 * 0.7 * 0.7 * 5.0 / 1000.0).abs() < 1e-6);
}

#[test]
fn metres_and_micrometres_become_millimetres_and_it_is_noted() {
    for (code, per_unit) in [(1u8, 1000.0), (3, 0.001)] {
        let lengths = SPACING.map(|length| length / per_unit as f32);
        let mut file = labels(lengths, lengths, false);
        file.put(UNITS, &[code]);
        let geometry = read_label_map(&made(&file).path).unwrap().geometry;
        let wanted = SPACING.map(f64::from);
        let close = |(a, b): (&f64, f64)| (a - b).abs() < 1e-5 * b;
        assert!(geometry.spacing_xyz_mm.iter().zip(wanted).all(close), "{geometry:?}");
        assert_eq!(geometry.notes, [HeaderNote::UnitOfLength { mm: per_unit }]);
    }
    // Millimetres that are called metres.
    let mut file = labels(SPACING, SPACING, false);
    file.put(UNITS, &[1]);
    let message = read_label_map(&made(&file).path).unwrap_err().to_string();
    assert!(message.contains("expected voxels of 0.01 to 100 mm"), "{message}");
    assert!(message.contains("because xyzt_units says 1000 mm per unit"), "{message}");
}

#[test]
fn an_intent_that_speaks_against_the_reading_is_noted() {
    let notes = |intent: i16, as_labels: bool| {
        let mut file = labels(SPACING, SPACING, false);
        file.i16(INTENT, intent);
        let made = made(&file);
        let geometry = if as_labels {
            read_label_map(&made.path).unwrap().geometry
        } else {
            read_volume(&made.path).unwrap().geometry
        };
        geometry.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(notes(0, false), [""; 0]);
    assert_eq!(notes(1002, true), [""; 0]);
    assert_eq!(
        notes(1002, false),
        ["the header's intent is 1002 (labels): are these the values you mean?"]
    );
    assert!(notes(3, true)[0].contains("3 (a statistic)"));
}

#[test]
fn what_is_said_of_slope_and_intercept_is_what_is_done() {
    let notes = |slope: f32, inter: f32| {
        let mut file = NiftiBytes::new([1, 1, 2], 4);
        file.f32(SCALING, &[slope, inter]).voxels(&[1, 0, 2, 0]);
        let volume = read_volume(&made(&file).path).unwrap();
        let notes: Vec<String> = volume.geometry.notes.iter().map(ToString::to_string).collect();
        notes.join("; ")
    };
    for quiet in [(0.0, 0.0), (1.0, 0.0), (2.0, -1024.0)] {
        assert_eq!(notes(quiet.0, quiet.1), "", "{quiet:?}");
    }
    assert_eq!(notes(2.0, f32::NAN), "scl_inter is NaN: taken as 0, the slope 2 is applied");
    assert_eq!(
        notes(1.0, f32::NAN),
        "scl_slope 1 and scl_inter NaN are no scaling; values are taken as stored"
    );
    assert_eq!(
        notes(f32::NAN, 0.0),
        "scl_slope NaN and scl_inter 0 are no scaling; values are taken as stored"
    );
    assert_eq!(
        notes(0.0, 5.0),
        "scl_slope is 0: taken as 1, the intercept 5 is added as SimpleITK does"
    );
}

#[test]
fn slices_that_are_not_axial_are_cut_anew_and_it_is_noted() {
    let mut file = NiftiBytes::new([4, 5, 6], 2);
    // Stored LSP: the third axis runs to the back.
    file.f32(SROW, &[-0.7, 0.0, 0.0, 0.0, 0.0, 0.0, -0.7, 0.0, 0.0, 5.0, 0.0, 0.0]);
    file.f32(PIXDIM, &[1.0, 0.7, 5.0, 0.7]).voxels(&(0..120).collect::<Vec<u8>>());
    let map = read_label_map(&made(&file).path).unwrap();
    assert_eq!(map.geometry.shape_zyx, [5, 4, 6]);
    assert_eq!(map.geometry.affine.axis_codes(), "LPS");
    assert_eq!(map.labels[[1, 2, 3]], 2 * 30 + 6 + 3, "slice 1, row 2, column 3");
    assert_eq!(map.geometry.notes, [HeaderNote::NotAxial { stored: "LSP".into() }]);
    let grid = Geometry::new([5, 4, 6], map.geometry.affine);
    assert_eq!(grid, map.geometry);
}
