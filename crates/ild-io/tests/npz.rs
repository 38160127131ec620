//! NPZ and NPY: what numpy wrote is read, what we write is what numpy writes, and the rest is
//! refused.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use ild_io::{
    Affine, Images, LabelTable, NpyArray, NpzFile, SliceStack, Window, read_npy, read_npy_u8,
    read_npz, read_npz_u8, write_npy_u8, write_npz, write_npz_u8,
};
use ndarray::{Array3, ArrayD, arr2};

fn stack() -> SliceStack {
    SliceStack {
        images: Images::Grey(Array3::from_shape_fn((2, 3, 4), |(z, y, x)| {
            (z * 50 + y * 10 + x) as u8
        })),
        labels: Some(Array3::from_shape_fn((2, 3, 4), |(z, y, _)| (z + y) as u8)),
        spacing_xyz_mm: [0.7, 0.7, 5.0],
        z_index: Some(vec![3, 7]),
        affine: Some(common::oblique([0.7, 0.7, 5.0], [1.0, 2.0, 3.0])),
        shape_zyx: Some([9, 3, 4]),
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
            (s.labels, s.z_index, s.affine, s.shape_zyx, s.window, s.label_table) =
                (None, None, None, None, None, None);
        },
    ] {
        let mut stack = stack();
        change(&mut stack);
        write_npz(&path, &stack).unwrap();
        assert_eq!(read_npz(&path).unwrap(), stack);
    }
}

#[test]
fn a_2d_file_stays_2d() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    let stack = SliceStack {
        images: Images::Grey(Array3::from_elem((1, 3, 4), 5)),
        labels: Some(Array3::from_elem((1, 3, 4), 2)),
        z_index: None,
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
    let Some(folder) = common::shared("fixtures/preproc") else { return };
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
    let stack =
        SliceStack { affine: Some(Affine::from_spacing_xyz_mm([0.1, 0.2, 0.3])), ..stack() };
    write_npz(&path, &stack).unwrap();
    assert_eq!(read_npz(&path).unwrap().affine, stack.affine);
}
