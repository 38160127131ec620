//! NIfTI files: values, geometry, and what is refused with which words.

mod common;

use std::fs;
use std::path::Path;

use common::NiftiBytes;
use ild_io::{
    Affine, Geometry, HeaderNote, LabelMap, Volume, Voxels, read_label_map,
    read_label_map_as_stored, read_npz, read_volume, read_volume_as_stored, write_label_map,
    write_volume,
};
use ndarray::Array3;

/// 32-bit header fields and one product of three of them.
const HEADER_MM: f64 = 1e-4;

fn error_of<T>(result: ild_io::Result<T>) -> String {
    match result {
        Ok(_) => panic!("was accepted"),
        Err(error) => {
            assert!(error.is_rejection(), "{error}");
            error.to_string()
        }
    }
}

fn ramp(shape: [usize; 3]) -> Array3<i16> {
    Array3::from_shape_fn(shape, |(z, y, x)| (z * 100 + y * 10 + x) as i16 - 1024)
}

#[test]
fn every_axis_orientation_and_an_oblique_one_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut affines = common::all_48_orientations([0.7, 0.8, 2.5], [-100.0, 50.5, 7.25]);
    affines.push(common::oblique([0.7, 0.8, 2.5], [-100.0, 50.5, 7.25]));
    assert_eq!(affines.len(), 49);
    for (i, affine) in affines.into_iter().enumerate() {
        let volume = Volume {
            voxels: Voxels::I16(ramp([4, 3, 5])),
            geometry: Geometry::new([4, 3, 5], affine),
        };
        let path = folder.path().join(format!("{i}.nii.gz"));
        write_volume(&path, &volume).unwrap();
        let back = read_volume_as_stored(&path).unwrap();
        assert_eq!(back.voxels, volume.voxels);
        assert!(back.geometry.corner_distance_mm(&volume.geometry) < HEADER_MM, "orientation {i}");
        let header = back.geometry.stored.nifti.unwrap();
        let qform =
            Geometry::new([4, 3, 5], header.qform_of(back.geometry.spacing_xyz_mm).unwrap());
        assert!(qform.corner_distance_mm(&volume.geometry) < HEADER_MM, "qform of orientation {i}");
        let axial = read_volume(&path).unwrap();
        assert_eq!(axial.geometry.affine.axis_codes(), "LPS");
        let again = folder.path().join("again.nii.gz");
        write_volume(&again, &axial).unwrap();
        assert_eq!(fs::read(&again).unwrap(), fs::read(&path).unwrap(), "orientation {i}");
    }
}

#[test]
fn a_label_map_written_over_a_ct_has_its_orientation_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = NiftiBytes::new([3, 4, 5], 4);
    source.f32(76, &[-1.0, 0.7421875, 0.7421876, 1.25]).i16(252, 2).i16(254, 4);
    source.f32(256, &[0.1, -0.2, 0.3, 10.1, 20.2, 30.3]);
    // Turned by 0.1 about z, with more digits than the qform's quaternion could give.
    let (s, c) = 0.1f32.sin_cos();
    let [x, y, z] = [0.7421875, 0.7421876, 1.25];
    source.f32(280, &[-x * c, y * s, 0.0, 1.5, -x * s, -y * c, 0.0, 2.5, 0.0, 0.0, z, 3.5]);
    source.voxels(&[0u8; 120]);
    let (ct, mask) = (folder.path().join("ct.nii"), folder.path().join("mask.nii"));
    fs::write(&ct, &source.0).unwrap();
    let geometry = read_volume(&ct).unwrap().geometry;
    write_label_map(&mask, &LabelMap { labels: Array3::zeros((3, 4, 5)), geometry }).unwrap();
    let written = fs::read(&mask).unwrap();
    for fields in [76..92, 252..256, 256..280, 280..328] {
        assert_eq!(written[fields.clone()], source.0[fields.clone()], "{fields:?}");
    }
}

#[test]
fn a_grid_that_was_cropped_is_not_written_with_the_old_header() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = NiftiBytes::new([3, 4, 5], 4);
    source.voxels(&[0u8; 120]);
    let (ct, crop) = (folder.path().join("ct.nii"), folder.path().join("crop.nii"));
    fs::write(&ct, &source.0).unwrap();
    let mut geometry = read_volume(&ct).unwrap().geometry;
    geometry.shape_zyx = [1, 4, 5];
    geometry.affine.0[2][3] += 30.0;
    write_label_map(
        &crop,
        &LabelMap { labels: Array3::zeros((1, 4, 5)), geometry: geometry.clone() },
    )
    .unwrap();
    assert!(read_label_map(&crop).unwrap().geometry.corner_distance_mm(&geometry) < HEADER_MM);
}

#[test]
fn slope_and_intercept_follow_simpleitk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.nii");
    let read = |slope: f32, inter: f32| {
        let mut file = NiftiBytes::new([1, 1, 3], 4);
        file.f32(112, &[slope, inter]).voxels(&[0, 0, 1, 0, 2, 0]);
        fs::write(&path, &file.0).unwrap();
        read_volume_as_stored(&path).unwrap().voxels
    };
    let stored = Voxels::I16(ndarray::arr3(&[[[0, 1, 2]]]));
    for (slope, inter) in [
        (0.0, 0.0),
        (1.0, 0.0),
        (f32::NAN, 0.0),
        (f32::INFINITY, 0.0),
        (1.0, f32::NAN),
        (0.0, f32::INFINITY),
    ] {
        assert_eq!(read(slope, inter), stored, "slope {slope}, intercept {inter}");
    }
    for slope in [0.0, f32::NAN, f32::NEG_INFINITY] {
        assert_eq!(
            read(slope, 5.0),
            Voxels::F32(ndarray::arr3(&[[[5.0, 6.0, 7.0]]])),
            "slope {slope}"
        );
    }
    assert_eq!(read(0.5, 0.0), Voxels::F32(ndarray::arr3(&[[[0.0, 0.5, 1.0]]])));
    assert_eq!(read(1.0, -1024.0), Voxels::F32(ndarray::arr3(&[[[-1024.0, -1023.0, -1022.0]]])));
}

#[test]
fn label_values_that_are_no_ids_are_refused_by_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.nii");
    let labels = |values: [f32; 4]| {
        let mut file = NiftiBytes::new([1, 1, 4], 16);
        file.voxels(bytemuck::cast_slice(&values));
        fs::write(&path, &file.0).unwrap();
        read_label_map_as_stored(&path)
    };
    assert_eq!(labels([0.0, 1.0, 255.0, -0.0]).unwrap().labels, ndarray::arr3(&[[[0, 1, 255, 0]]]));
    let expected = "expected label ids: whole numbers from 0 to 255, found 300, -1, 2.5 in 3 voxels; remap the ids";
    assert!(error_of(labels([300.0, -1.0, 2.5, 0.0])).contains(expected));
    assert!(error_of(labels([f32::NAN, 1.0, 0.0, 0.0])).contains("found NaN in 1 voxels"));
}

#[test]
fn the_spacing_and_values_are_those_the_reference_read() {
    let Some(folder) = ild_test_support::shared("fixtures/preproc") else { return };
    for case in 1..=8 {
        let ct = read_volume_as_stored(&folder.join(format!("nii/imgs/case{case:02}_0000.nii.gz")))
            .unwrap();
        let label = read_label_map_as_stored(&folder.join(format!("nii/gts/case{case:02}.nii.gz")))
            .unwrap();
        let stack = read_npz(&folder.join(format!("lung/CT_ILD_case{case:02}.npz"))).unwrap();
        assert_eq!(
            ct.geometry.spacing_xyz_mm,
            stack.placement.geometry().spacing_xyz_mm,
            "case {case}"
        );
        assert_eq!(label.geometry.shape_zyx, ct.geometry.shape_zyx);
    }
}

#[test]
fn oddities_are_read_whole_or_refused_in_words() {
    let Some(folder) = ild_test_support::shared("data/nifti_oddities") else { return };
    let (mut read, mut refused) = (0, 0);
    for path in common::files_below(&folder) {
        match read_volume(&path) {
            Ok(volume) => {
                let spacing = volume.geometry.spacing_xyz_mm;
                let whole = spacing.iter().all(|mm| *mm > 0.0 && mm.is_finite());
                assert!(whole && !volume.geometry.shape_zyx.contains(&0), "{}", path.display());
                read += 1;
            }
            Err(error) => {
                let text = error.to_string();
                let said = error.is_rejection() && text.contains("expected");
                assert!(said && text.starts_with(&path.display().to_string()), "{text}");
                refused += 1;
            }
        }
    }
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}

#[test]
fn what_is_no_readable_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // A folder is read as a DICOM series.
    let empty = error_of(read_volume(folder.path()));
    assert!(empty.contains("expected DICOM image slices, found no files"), "{empty}");
    assert!(
        error_of(read_volume(Path::new("/nowhere/at.nii"))).contains("found nothing at this path")
    );
    let text = folder.path().join("notes.nii.gz");
    fs::write(&text, "patient had a cough").unwrap();
    assert!(
        error_of(read_volume(&text))
            .contains("expected a NIfTI file (.nii, .nii.gz, .hdr with .img), found a file that begins with `pati`")
    );
}

#[test]
fn a_header_that_promises_more_than_the_file_holds_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.nii");
    fs::write(&path, &NiftiBytes::new([32767, 32767, 32767], 64).0).unwrap();
    assert!(
        error_of(read_volume(&path))
            .contains("as its header promises, found a file that holds 352 at most")
    );
}

#[test]
fn affine_without_sform_and_qform_is_the_spacing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.nii");
    let mut file = NiftiBytes::new([1, 1, 2], 2);
    file.i16(252, 0).i16(254, 0).f32(76, &[0.0, 0.5, 2.0, 3.0]).voxels(&[7, 8]);
    fs::write(&path, &file.0).unwrap();
    let geometry = read_volume_as_stored(&path).unwrap().geometry;
    assert_eq!(geometry.affine, Affine::from_spacing_xyz_mm([0.5, 2.0, 3.0]));
    assert_eq!(geometry.notes, [HeaderNote::NoPlace]);
}
