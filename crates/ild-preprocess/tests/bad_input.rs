//! What a user reads when an input is odd, word for word: each file is spoilt in one way and goes
//! through the program.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use common::{Cohort, SHAPE, expect, geometry, lesions, without_times};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ild_io::{LabelMap, Volume, Voxels, write_label_map, write_volume};
use ndarray::Array3;

const CT: &str = "DATA/imagesTr/case00_0000.nii.gz";
const LABEL: &str = "DATA/labelsTr/case00.nii.gz";
/// The log of a case that went through with nothing to say.
const DONE: &str = "case00: 4 of 8 slices; 0.0 % of the lung range black or white";

/// Runs stage 1 on one case that `spoil` has changed; the lines of its log.
fn lines(code: i32, spoil: impl FnOnce(&Cohort)) -> Vec<String> {
    let cohort = Cohort::of(1);
    spoil(&cohort);
    stage_1(&cohort, code)
}

/// Runs stage 1 on a cohort of one case of which everything is known, so that nothing is said but of
/// its files; the lines of its log after the one that names the table.
fn stage_1(cohort: &Cohort, code: i32) -> Vec<String> {
    let names = r#"{"1": "GGO", "2": "Reticulation"}"#;
    fs::write(cohort.path("labels.json"), names).unwrap();
    let mut command = cohort.nii_to_npz("npz");
    command.args(["--ratios", "1,0,0", "--labels"]).arg(cohort.path("labels.json"));
    let (_, log) = expect(&mut command, code);
    let mut lines = without_times(&log, cohort);
    assert_eq!(lines.remove(0), "names of the labels from DATA/labels.json");
    lines
}

/// The case is refused with exactly `message`.
#[track_caller]
fn refused(message: &str, spoil: impl FnOnce(&Cohort)) {
    assert_eq!(
        lines(3, spoil),
        [&format!("case00: {message}"), "error: 1 input was rejected; all others are done"]
    );
}

/// The case goes through and exactly `notes` are said.
#[track_caller]
fn accepted(notes: &[&str], spoil: impl FnOnce(&Cohort)) {
    assert_eq!(lines(0, spoil), notes);
}

/// A change of the CT's inflated bytes.
fn edit_ct(change: impl FnOnce(&mut Vec<u8>)) -> impl FnOnce(&Cohort) {
    move |cohort| {
        let path = cohort.image("case00");
        let mut bytes = Vec::new();
        GzDecoder::new(fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        change(&mut bytes);
        let mut encoder = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap();
    }
}

/// `values` at byte `40 + 2 · first` of the header: `dim[first]` and the next ones.
fn dims(first: usize, values: &'static [i16]) -> impl FnOnce(&Cohort) {
    edit_ct(move |bytes| {
        for (i, value) in values.iter().enumerate() {
            bytes[40 + 2 * (first + i)..][..2].copy_from_slice(&value.to_le_bytes());
        }
    })
}

fn slope(value: f32) -> impl FnOnce(&Cohort) {
    edit_ct(move |bytes| bytes[112..116].copy_from_slice(&value.to_le_bytes()))
}

fn store(path: &Path, voxels: Voxels) {
    write_volume(path, &Volume { voxels, geometry: geometry(SHAPE) }).unwrap();
}

fn ct(voxels: Voxels) -> impl FnOnce(&Cohort) {
    move |cohort| store(&cohort.image("case00"), voxels)
}

fn label(voxels: Voxels) -> impl FnOnce(&Cohort) {
    move |cohort| store(&cohort.label("case00"), voxels)
}

#[test]
fn damaged_files() {
    refused(
        &format!(
            "{CT}: expected an undamaged gzip stream, found incomplete deflate stream; the file is damaged or cut short: copy it again"
        ),
        |cohort| {
            let bytes = fs::read(cohort.image("case00")).unwrap();
            fs::write(cohort.image("case00"), &bytes[..bytes.len() / 2]).unwrap();
        },
    );
    refused(
        &format!(
            "{CT}: expected an undamaged gzip stream, found corrupt gzip stream does not have a matching checksum; \
             the file is damaged or cut short: copy it again"
        ),
        |cohort| {
            let mut bytes = fs::read(cohort.image("case00")).unwrap();
            let crc = bytes.len() - 6;
            bytes[crc] ^= 1;
            fs::write(cohort.image("case00"), bytes).unwrap();
        },
    );
    refused(
        &format!(
            "{CT}: expected a NIfTI file (.nii, .nii.gz, .hdr with .img), found a file that begins with `this`; \
             check that this is the right file (a folder of DICOM: `ild-io convert`)"
        ),
        |cohort| fs::write(cohort.image("case00"), "this is no NIfTI file").unwrap(),
    );
    refused(
        &format!("{CT}: expected a file with content, found an empty file; copy it again"),
        |cohort| {
            fs::write(cohort.image("case00"), "").unwrap();
        },
    );
    refused(
        // A folder is read as a DICOM series.
        &format!(
            "{CT}: expected DICOM image slices, found no files; name the folder that holds the slices of one series"
        ),
        |cohort| {
            fs::remove_file(cohort.image("case00")).unwrap();
            fs::create_dir(cohort.image("case00")).unwrap();
        },
    );
    refused(
        &format!(
            "{CT}: expected a regular file, found a pipe, socket or device; name the file itself"
        ),
        |cohort| {
            fs::remove_file(cohort.image("case00")).unwrap();
            assert!(Command::new("mkfifo").arg(cohort.image("case00")).status().unwrap().success());
        },
    );
}

#[test]
fn dims_that_lie() {
    refused(
        &format!(
            "{CT}: expected 19200352 bytes of voxels, as its header promises, found a file that holds 5761800 at most; \
             the file is cut short or its header is wrong"
        ),
        dims(1, &[30000]),
    );
    refused(
        &format!(
            "{CT}: expected 34912 bytes, found the end of the file after 31072; the file is cut short: copy it again"
        ),
        dims(3, &[9]),
    );
    for (found, values) in [("0", &[0]), ("-4", &[-4])] {
        refused(
            &format!(
                "{CT}: expected sizes of at least 1 and at most 65535 voxels, found dim[0] = 3, sizes [{found}, 40, 8]; the header is damaged"
            ),
            dims(1, values),
        );
    }
    refused(
        &format!(
            "{CT}: expected a 3-D volume, or more axes of size 1, found dim[0] = 4, sizes [48, 40, 4, 2]; take one time point out of it first"
        ),
        dims(0, &[4, 48, 40, 4, 2]),
    );
    accepted(&[DONE], dims(0, &[4]));
}

#[test]
fn slopes_without_sense() {
    accepted(
        &[
            &format!(
                "{CT}: scl_slope NaN and scl_inter 0 are no scaling; values are taken as stored"
            ),
            DONE,
        ],
        slope(f32::NAN),
    );
    accepted(&[DONE], slope(0.0));
}

#[test]
fn grids_that_differ() {
    let advice = "resample the label onto the CT's grid with nearest neighbour";
    refused(
        &format!(
            "{LABEL}: expected the CT's grid, found a grid whose corners lie up to 3.00 mm away (CT LPS, label LPS); \
             {advice}"
        ),
        |cohort| {
            let mut moved = geometry(SHAPE);
            moved.affine.0[1][3] += 3.0;
            write_label_map(
                &cohort.label("case00"),
                &LabelMap { labels: lesions(), geometry: moved },
            )
            .unwrap();
        },
    );
    refused(
        &format!(
            "{LABEL}: expected the CT's grid, [8, 40, 48] voxels (z, y, x), found [4, 40, 48]; {advice}"
        ),
        |cohort| {
            let half =
                LabelMap { labels: Array3::ones((4, 40, 48)), geometry: geometry([4, 40, 48]) };
            write_label_map(&cohort.label("case00"), &half).unwrap();
        },
    );
}

#[test]
fn labels_that_are_no_ids() {
    let message = |found: &str| {
        format!(
            "{LABEL}: expected label ids: whole numbers from 0 to 255, found {found}; \
             remap the ids, or check that this is the label file and not the CT"
        )
    };
    refused(&message("300 in 15360 voxels"), label(Voxels::I16(Array3::from_elem(SHAPE, 300))));
    refused(
        &message("-2, -1 in 3840 voxels"),
        label(Voxels::I16(Array3::from_shape_fn(SHAPE, |(z, _, _)| z as i16 - 2))),
    );
    refused(
        &message("0.5, 1.5, 2.5, 3.5 in 7680 voxels"),
        label(Voxels::F32(Array3::from_shape_fn(SHAPE, |(z, _, _)| z as f32 / 2.0))),
    );
    accepted(
        &[
            "case00: label ids without a name in the label table: 50, 100; add --labels or --remove-label-ids",
            DONE,
        ],
        label(Voxels::U8(lesions() * 50)),
    );
    assert_eq!(
        lines(3, label(Voxels::U8(Array3::zeros(SHAPE)))),
        [
            &format!(
                "case00: skipped: {LABEL}: no label left without components under 20 voxels or 5 pixels in a slice"
            ),
            "error: nothing was made of any case, for the reasons above; give labels that hold something, or lower what drops it"
        ]
    );
}

#[test]
fn voxels_that_are_no_hounsfield_units() {
    refused(
        &format!(
            "{CT}: expected finite values, found 15360 voxels that are NaN or infinite; \
             replace them by what they stand for (outside the scanner's field of view: -1024 HU)"
        ),
        ct(Voxels::F32(Array3::from_elem(SHAPE, f32::NAN))),
    );
    accepted(
        &["case00: every voxel of the CT is 7: nothing to see", "case00: 4 of 8 slices"],
        ct(Voxels::I16(Array3::from_elem(SHAPE, 7))),
    );
    accepted(
        &[
            "case00: the CT's lowest value is 0: no air near -1000, so these are hardly Hounsfield units",
            "case00: 4 of 8 slices",
        ],
        ct(Voxels::I16(Array3::from_shape_fn(SHAPE, |(_, y, _)| 20 * y as i16))),
    );
}

#[test]
fn folders_without_pairs() {
    let message = |labels: &str, cts: &str| {
        format!(
            "error: DATA/labelsTr: expected label files `<case>.nii.gz` with a CT `DATA/imagesTr/<case>_0000.nii.gz`, found no pair; \
             labels: {labels}; CTs: {cts}; set --img-name-suffix and --gt-name-suffix to what follows the case name"
        )
    };
    let empty = "none, the folder is empty";
    let one = "1 (case00_0000.nii.gz)";
    assert_eq!(
        lines(3, |cohort| fs::remove_file(cohort.label("case00")).unwrap()),
        [message(empty, one)]
    );
    let neither = |cohort: &Cohort| {
        fs::remove_file(cohort.label("case00")).unwrap();
        fs::remove_file(cohort.image("case00")).unwrap();
    };
    assert_eq!(lines(3, neither), [message(empty, empty)]);
    assert_eq!(
        lines(3, |cohort| fs::remove_dir_all(cohort.path("labelsTr")).unwrap()),
        ["error: DATA/labelsTr: expected a folder, found nothing at this path; check the spelling"]
    );
}

#[test]
fn outputs_that_cannot_be() {
    assert_eq!(
        lines(1, |cohort| fs::write(cohort.path("npz"), "a file where a folder should be")
            .unwrap()),
        ["error: DATA/npz: could not be written", "  because: File exists (os error 17)"]
    );
    let cohort = Cohort::of(1);
    let _held = ild_cli::FolderLock::hold(&cohort.path("npz")).unwrap();
    assert_eq!(
        stage_1(&cohort, 1),
        [
            "error: DATA/npz: could not be written",
            "  because: another run is writing into this folder; wait for it, or give another --output"
        ]
    );
}

#[test]
fn a_file_name_outside_utf8() {
    let cohort = Cohort::of(1);
    fs::copy(
        cohort.label("case00"),
        cohort.path("labelsTr").join(OsStr::from_bytes(b"caf\xe9.nii.gz")),
    )
    .unwrap();
    let name = "caf\u{fffd}.nii.gz";
    assert_eq!(
        stage_1(&cohort, 3),
        [
            DONE,
            &format!(
                "{name}: DATA/labelsTr/{name}: expected a UTF-8 file name, found other bytes; rename the file"
            ),
            "error: 1 input was rejected; all others are done"
        ]
    );
}
