//! What a user reads when an NPZ is odd, word for word.

mod common;

use std::fs;
use std::io::Write;

use common::{Cohort, binary, expect, without_times};
use zip::write::SimpleFileOptions;

/// Spoils an NPZ and runs stage 2 on it; the lines of its log.
fn npz_lines(code: i32, members: &[(&str, Vec<u8>)]) -> Vec<String> {
    let cohort = Cohort::new();
    fs::create_dir_all(cohort.path("npz")).unwrap();
    let mut npz = zip::ZipWriter::new(fs::File::create(cohort.path("npz/a.npz")).unwrap());
    for (name, bytes) in members {
        npz.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        npz.write_all(bytes).unwrap();
    }
    npz.finish().unwrap();
    let mut command = binary("npz-to-npy");
    command.arg("--npz-train-dir").arg(cohort.path("npz")).arg("--npy-dir").arg(cohort.path("npy"));
    let (_, log) = expect(&mut command, code);
    without_times(&log, &cohort)
}

fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let header =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn npz_that_hold_something_else() {
    let images = || ("imgs", npy("|u1", false, "(1, 20, 30)", &[1; 600]));
    let labels = || ("gts", npy("|u1", false, "(1, 20, 30)", &[1; 600]));
    let spacing = || ("spacing", npy("<f8", false, "(3,)", &[1.0f64.to_le_bytes(); 3].concat()));
    for (members, message) in [
        (
            vec![
                ("imgs", npy("|O", false, "(1,)", b"cos\nsystem\n(S'true'\ntR.")),
                labels(),
                spacing(),
            ],
            "expected `imgs` to be an array of plain numbers, found Python objects (a pickle, which is never loaded); \
             save it again as a numeric array, without allow_pickle",
        ),
        (
            vec![labels(), spacing()],
            "expected the array `imgs`, found only gts, spacing; is this the right file?",
        ),
        (
            vec![("imgs", npy("|u1", false, "(600,)", &[1; 600])), labels(), spacing()],
            "expected `imgs` to be uint8 of shape (slices, rows, columns) or (slices, rows, columns, 3), found uint8 of shape [600]; \
             make the file again with `ild-preprocess nii-to-npz`",
        ),
        (
            vec![images(), ("gts", npy("|u1", false, "(1, 30, 20)", &[1; 600])), spacing()],
            "expected `gts` to be of the images' shape (1, 20, 30), found uint8 of shape [1, 30, 20]; \
             make the file again with `ild-preprocess nii-to-npz`",
        ),
        (
            vec![images(), spacing()],
            "expected labels under the key `gts`, found none; slices for training need labels; make the NPZ with nii-to-npz",
        ),
    ] {
        assert_eq!(
            npz_lines(3, &members),
            [
                &format!("a: DATA/npz/a.npz: {message}"),
                "error: 1 input was rejected; all others are done"
            ]
        );
    }
    let fortran = ("imgs", npy("|u1", true, "(1, 20, 30)", &[1; 600]));
    assert_eq!(npz_lines(0, &[fortran, labels(), spacing()]), [""; 0]);
}

#[test]
fn a_slice_whose_labels_vanish_at_256() {
    // At half the size OpenCV keeps even rows and columns: an odd one is never seen.
    let mut label = vec![0u8; 512 * 512];
    label[101 * 512 + 101] = 3;
    let array = |bytes: &[u8]| npy("|u1", false, "(1, 512, 512)", bytes);
    let spacing = npy("<f8", false, "(3,)", &[1.0f64.to_le_bytes(); 3].concat());
    let members = [("imgs", array(&label)), ("gts", array(&label)), ("spacing", spacing)];
    assert_eq!(npz_lines(0, &members), ["a-000: left out, its labels vanish at 256 × 256"]);
}
