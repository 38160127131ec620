//! NRRD files as 3D Slicer writes them.

mod common;

use std::fs;
use std::path::PathBuf;

use ild_io::{Voxels, read_label_map, read_volume};

fn file(folder: &tempfile::TempDir, header: &str, data: &[u8]) -> PathBuf {
    let path = folder.path().join("a.nrrd");
    fs::write(&path, [format!("NRRD0004\n# comment\n{header}\n\n").as_bytes(), data].concat())
        .unwrap();
    path
}

const PLACE: &str = "space: left-posterior-superior\nspace directions: (0.5,0,0) (0,0.5,0) (0,0,2)\nspace origin: (10,20,30)";

#[test]
fn voxels_and_place_are_read_and_turned_to_ras() {
    let folder = tempfile::tempdir().unwrap();
    let header = format!(
        "type: short\ndimension: 3\nsizes: 3 1 1\nendian: big\nencoding: raw\n{PLACE}\nSegment0_Name:=left: lung"
    );
    let volume = read_volume(&file(&folder, &header, &[0, 1, 255, 254, 4, 0])).unwrap();
    assert_eq!(volume.voxels, Voxels::I16(ndarray::arr3(&[[[1, -2, 1024]]])));
    assert_eq!(
        volume.geometry.affine.0[..3],
        [[-0.5, 0.0, 0.0, -10.0], [0.0, -0.5, 0.0, -20.0], [0.0, 0.0, 2.0, 30.0]]
    );
    assert_eq!(volume.geometry.affine.axis_codes(), "LPS");
}

#[test]
fn what_is_not_one_scalar_volume_in_one_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = "type: uchar\ndimension: 3\nsizes: 2 2 1\nencoding: raw";
    for (change, expected) in [
        (
            base.replace("encoding: raw", "encoding: hex"),
            "expected encoding raw or gzip, found `hex`",
        ),
        (base.replace("2 2 1", "2 2 0"), "expected three sizes of 1 to 65535, found `2 2 0`"),
        (base.replace("2 2 1", "2 2 60000"), "as its header promises"),
        (base.replace("uchar", "block"), "expected a type of one number per voxel, found `block`"),
        (format!("{base}\ndata file: a.raw"), "expected voxels in the same file, found `a.raw`"),
        (base.replace("dimension: 3", "dimension: 4"), "expected dimension 3, found `4`"),
    ] {
        let path = file(&folder, &format!("{change}\n{PLACE}"), &[0; 4]);
        let error = read_volume(&path).map(|_| ()).unwrap_err();
        assert!(error.is_rejection() && error.to_string().contains(expected), "{error}");
    }
    let path = folder.path().join("b.nrrd");
    fs::write(&path, "NRRD0004\ntype: uchar\n").unwrap();
    assert!(
        read_volume(&path)
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("expected an NRRD header that ends with an empty line")
    );
}

/// The NIfTI twins were written with 32-bit fields, and ITK pulls nearly right-angled directions
/// straight.
const TWIN_MM: f64 = 2e-3;

#[test]
fn real_files_equal_their_nifti_twins() {
    let Some(cip) = ild_test_support::shared("data/cip") else { return };
    for name in [
        "ct-64",
        "ct-64-transformed",
        "ct-patch",
        "wholeLung-64",
        "distance-patch",
        "crop_ct_2slices",
    ] {
        let a = read_volume(&cip.join(format!("Testing/Data/Input/{name}.nrrd"))).unwrap();
        let b = read_volume(&cip.join(format!("nifti/{name}.nii.gz"))).unwrap();
        assert_eq!(a.voxels, b.voxels, "{name}");
        let apart = a.geometry.corner_distance_mm(&b.geometry);
        assert!(apart < TWIN_MM, "{name}: {apart} mm");
    }
    let error = read_label_map(&cip.join("Testing/Data/Input/lm-64.nrrd"))
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected label ids: whole numbers from 0 to 255, found "), "{error}");
}
