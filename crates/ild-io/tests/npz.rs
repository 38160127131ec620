//! NPZ and NPY: what numpy wrote is read, what we write is what numpy writes, and the rest is
//! refused.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use ild_io::{
    Affine, Geometry, Images, LabelMap, LabelTable, NpyArray, NpzFile, Placement, SliceStack,
    Window, read_label_map, read_npy, read_npy_u8, read_npz, read_npz_u8, write_label_map,
    write_npy_u8, write_npz, write_npz_u8, write_npz_with,
};
use ndarray::{Array3, ArrayD, arr2};

/// Slices 3 and 7 of 9.
fn placement(affine: Affine) -> Placement {
    Placement::new(Geometry::new([9, 3, 4], affine), vec![3, 7]).unwrap()
}

fn stack() -> SliceStack {
    SliceStack {
        images: Images::Grey(Array3::from_shape_fn((2, 3, 4), |(z, y, x)| {
            (z * 50 + y * 10 + x) as u8
        })),
        labels: Some(Array3::from_shape_fn((2, 3, 4), |(z, y, _)| (z + y) as u8)),
        placement: placement(common::oblique([0.7, 0.7, 5.0], [1.0, 2.0, 3.0])),
        window: Some(Window { level_hu: 40.0, width_hu: 400.0 }),
        label_table: Some(LabelTable::default()),
        is_2d: false,
    }
}

fn error_of<T>(result: ild_io::Result<T>) -> String {
    match result {
        Ok(_) => panic!("was accepted"),
        Err(error) => {
            assert!(error.is_rejection(), "{error}");
            error.to_string()
        }
    }
}

fn npy(text: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    out.extend(data);
    out
}

fn read_bytes(bytes: &[u8]) -> ild_io::Result<NpyArray> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    fs::write(&path, bytes).unwrap();
    read_npy(&path)
}

#[test]
fn everything_about_a_case_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    for change in [
        |_: &mut SliceStack| {},
        |s: &mut SliceStack| s.images = Images::Rgb(ndarray::Array4::from_elem((2, 3, 4, 3), 9)),
        |s: &mut SliceStack| {
            s.placement = Placement::unknown([2, 3, 4], [0.7, 0.7, 5.0]);
            (s.labels, s.window, s.label_table) = (None, None, None);
        },
        |s: &mut SliceStack| {
            let affine = Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0]);
            s.placement = placement(affine).without_place();
        },
        |s: &mut SliceStack| s.placement = Placement::new(sagittal(), vec![3, 7]).unwrap(),
    ] {
        let mut stack = stack();
        change(&mut stack);
        write_npz(&path, &stack).unwrap();
        let back = read_npz(&path).unwrap();
        let stored = |stack: &SliceStack| stack.placement.geometry().stored;
        assert_eq!(stored(&back), stored(&stack));
        assert_eq!(back, stack);
    }
}

/// The grid of a CT that a NIfTI file stores as sagittal slices.
fn sagittal() -> Geometry {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ct.nii");
    let affine = Affine([
        [0.0, 0.0, -0.7, 40.0],
        [-0.7, 0.0, 0.0, 9.5],
        [0.0, 5.0, 0.0, -300.25],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    let labels = Array3::zeros((4, 9, 3));
    write_label_map(&path, &LabelMap { labels, geometry: Geometry::new([4, 9, 3], affine) })
        .unwrap();
    let geometry = read_label_map(&path).unwrap().geometry;
    assert_eq!((geometry.shape_zyx, geometry.stored_codes()), ([9, 3, 4], "PSL".to_owned()));
    assert!(geometry.stored.nifti.is_some());
    geometry
}

#[test]
fn a_place_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    let refused = |key: &str, array: ndarray::ArrayD<f64>| {
        let images = Array3::<u8>::from_elem((2, 3, 4), 7);
        let affine = ndarray::arr2(
            &placement(common::oblique([0.7, 0.7, 5.0], [0.0; 3])).geometry().affine.0,
        );
        let mut arrays = vec![
            ("spacing", ndarray::arr1(&[0.7, 0.7, 5.0]).into_dyn()),
            ("z_index", ndarray::arr1(&[3.0, 7.0]).into_dyn()),
            ("shape", ndarray::arr1(&[9.0, 3.0, 4.0]).into_dyn()),
            ("affine", affine.into_dyn()),
        ];
        arrays.retain(|(name, _)| *name != key);
        arrays.push((key, array));
        write_npz_with(&path, |npz| {
            npz.add("imgs", &images.view().into_dyn())?;
            arrays.iter().try_for_each(|(name, array)| npz.add(name, &array.view()))
        })
        .unwrap();
        error_of(read_npz(&path))
    };
    let line = |values: &[f64]| ndarray::Array1::from(values.to_vec()).into_dyn();
    for (key, array, expected) in [
        ("shape", line(&[9.0, 3.0, 5.0]), "expected `shape` to be slices of 3 × 4"),
        (
            "shape",
            line(&[7.0, 3.0, 4.0]),
            "expected `z_index` to be ascending slice numbers below 7",
        ),
        ("z_index", line(&[7.0, 3.0]), "expected `z_index` to be ascending slice numbers below 9"),
        ("z_index", line(&[7.0]), "expected `z_index` to be 2 slice numbers"),
        (
            "spacing",
            line(&[0.7, 0.7, 4.0]),
            "expected `spacing` to be as long as the affine's axes",
        ),
        ("nifti", line(&[1.0; 23]), "expected `nifti` to be the 24 numbers"),
        ("stored", line(&[1.0; 3]), "expected `stored` to be three axis codes"),
    ] {
        let error = refused(key, array);
        assert!(error.contains(expected), "{key}: {error}");
    }
    let mut sheared = Affine::from_spacing_xyz_mm([0.7, 0.7, 5.0]);
    sheared.0[1][2] = 0.2;
    let error = refused("affine", ndarray::arr2(&sheared.0).into_dyn());
    assert!(
        error.contains("expected a right-angled grid, found axes that are 2.29 degrees off"),
        "{error}"
    );
}

#[test]
fn a_2d_file_stays_2d() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    let stack = SliceStack {
        images: Images::Grey(Array3::from_elem((1, 3, 4), 5)),
        labels: Some(Array3::from_elem((1, 3, 4), 2)),
        placement: Placement::unknown([1, 3, 4], [0.7, 0.7, 5.0]),
        is_2d: true,
        ..stack()
    };
    write_npz(&path, &stack).unwrap();
    assert_eq!(read_npz_u8(&path, "imgs").unwrap().shape(), [3, 4]);
    assert_eq!(read_npz(&path).unwrap(), stack);
}

#[test]
fn masks_by_label_name_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("masks.npz");
    let (a, b) = (ArrayD::from_elem(vec![2, 3], 1u8), ArrayD::from_elem(vec![1], 7u8));
    write_npz_u8(&path, [("GGO-reticulation", a.view()), ("ILD1", b.view())]).unwrap();
    assert_eq!(read_npz_u8(&path, "GGO-reticulation").unwrap(), a);
    assert_eq!(NpzFile::open(&path).unwrap().keys(), ["GGO-reticulation", "ILD1"]);
    assert!(error_of(read_npz_u8(&path, "ILD2")).ends_with(
        "expected the array `ILD2`, found only GGO-reticulation, ILD1; is this the right file?"
    ));
}

#[test]
fn arrays_of_the_reference_are_read_and_written_byte_for_byte() {
    let Some(folder) = ild_test_support::shared("fixtures/preproc") else { return };
    let source = folder.join("lung/CT_ILD_case02.npz");
    let read = read_npz(&source).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("copy.npz");
    write_npz(&path, &read).unwrap();
    for key in ["imgs", "gts", "spacing"] {
        assert_eq!(member(&path, key), member(&source, key), "{key}");
    }
    let slice = folder.join("CT_ILD_case01-000.npy");
    let copy = out.path().join("copy.npy");
    write_npy_u8(&copy, read_npy_u8(&slice).unwrap().view()).unwrap();
    assert_eq!(fs::read(copy).unwrap(), fs::read(slice).unwrap());
}

/// The inflated bytes of one array, header and all.
fn member(path: &Path, key: &str) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    zip.by_name(&format!("{key}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn fortran_order_and_big_endian_are_understood() {
    let fortran =
        npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", &[1, 4, 2, 5, 3, 6]);
    assert_eq!(
        read_bytes(&fortran).unwrap(),
        NpyArray::U8(arr2(&[[1, 2, 3], [4, 5, 6]]).into_dyn())
    );
    let big = npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", &[1, 0, 255, 254]);
    assert_eq!(read_bytes(&big).unwrap(), NpyArray::I16(ndarray::arr1(&[256, -2]).into_dyn()));
}

#[test]
fn object_arrays_are_refused_and_never_unpickled() {
    let error = error_of(read_bytes(&npy(
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"cos\nsystem\n",
    )));
    assert!(error.contains("expected an array of plain numbers, found Python objects (a pickle, which is never loaded)"), "{error}");
}

#[test]
fn shapes_that_lie_allocate_nothing() {
    for shape in [
        "(100000000000,)",
        "(0, 9223372036854775807, 9223372036854775807)",
        "(18446744073709551615, 2)",
        "(4000000000,)",
    ] {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        error_of(read_bytes(&npy(&text, &[0; 24])));
    }
}

#[test]
fn short_and_long_data_are_refused() {
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }";
    assert!(read_bytes(&npy(text, &[0; 4])).is_ok());
    assert!(
        error_of(read_bytes(&npy(text, &[0; 3])))
            .contains("expected data of shape [4], found the end of the data before it")
    );
    assert!(
        error_of(read_bytes(&npy(text, &[0; 5])))
            .contains("expected 4 bytes of data, as its shape [4] says, found more")
    );
}

/// An NPZ with these members.
fn npz_of(path: &Path, members: &[(&str, Vec<u8>)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (key, bytes) in members {
        zip.start_file(format!("{key}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn missing_keys_and_wrong_ranks_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    let cube = || npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), }", &[0; 4]);
    let line = || npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", &[0; 4]);
    npz_of(&path, &[("image", cube())]);
    assert!(error_of(read_npz(&path)).contains("expected the array `imgs`, found only image"));
    npz_of(&path, &[("imgs", line())]);
    assert!(error_of(read_npz(&path)).contains("found uint8 of shape [4]"));
    npz_of(&path, &[("imgs", cube()), ("gts", line())]);
    assert!(
        error_of(read_npz(&path)).contains(
            "expected `gts` to be of the images' shape (1, 2, 2), found uint8 of shape [4]"
        )
    );
    npz_of(&path, &[("imgs", cube())]);
    assert!(error_of(read_npz(&path)).contains("expected the array `spacing`"));
}

#[test]
fn a_cut_or_flipped_npz_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    write_npz(&path, &stack()).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(error_of(read_npz(&path)).contains("expected an NPZ (a zip file of arrays)"));
    let mut flipped = whole.clone();
    flipped[60] ^= 4;
    fs::write(&path, &flipped).unwrap();
    error_of(read_npz(&path));
}

#[test]
fn an_identity_affine_is_kept_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    let affine = Affine::from_spacing_xyz_mm([0.1, 0.2, 0.3]);
    write_npz(&path, &SliceStack { placement: placement(affine), ..stack() }).unwrap();
    assert_eq!(read_npz(&path).unwrap().placement.geometry().affine, affine);
}
