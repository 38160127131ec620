//! DICOM series: sorted by position, rescaled, placed; and what is refused with which words.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use ild_io::{Voxels, read_dicom_series, read_volume};
use tempfile::TempDir;

const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

const SERIES_UID: Tag = Tag(0x0020, 0x000e);
const POSITION: Tag = Tag(0x0020, 0x0032);
const ORIENTATION: Tag = Tag(0x0020, 0x0037);
const SLOPE: Tag = Tag(0x0028, 0x1053);
const INTERCEPT: Tag = Tag(0x0028, 0x1052);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const SAMPLES: Tag = Tag(0x0028, 0x0002);

/// A CT slice of 2 rows × 3 columns at `z` whose stored pixels are `10·k + index`.
fn slice(z: f64, k: u16) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    let mut text = |tag, vr, value: &str| {
        object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    };
    text(Tag(0x0008, 0x0016), VR::UI, CT_IMAGE);
    text(Tag(0x0008, 0x0018), VR::UI, &format!("1.2.3.{k}"));
    text(Tag(0x0008, 0x0060), VR::CS, "CT");
    text(Tag(0x0008, 0x103e), VR::LO, "Chest");
    text(SERIES_UID, VR::UI, "1.2.3");
    text(POSITION, VR::DS, &format!("-100\\-50\\{z}"));
    text(ORIENTATION, VR::DS, "1\\0\\0\\0\\1\\0");
    text(Tag(0x0028, 0x0030), VR::DS, "0.5\\0.75");
    text(Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2");
    text(SLOPE, VR::DS, "1");
    text(INTERCEPT, VR::DS, "-1024");
    let whole = [(SAMPLES, 1), (Tag(0x0028, 0x0010), 2), (Tag(0x0028, 0x0011), 3)];
    let bits = [
        (Tag(0x0028, 0x0100), 16),
        (Tag(0x0028, 0x0101), 12),
        (Tag(0x0028, 0x0102), 11),
        (Tag(0x0028, 0x0103), 0),
    ];
    for (tag, value) in whole.into_iter().chain(bits) {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16)));
    }
    let pixels: Vec<u16> = (0..6).map(|i| 10 * k + i).collect();
    object.put(DataElement::new(Tag(0x7fe0, 0x0010), VR::OW, PrimitiveValue::U16(pixels.into())));
    object
}

fn text(object: &mut InMemDicomObject, tag: Tag, value: &str) {
    object.put(DataElement::new(tag, VR::DS, PrimitiveValue::from(value)));
}

fn save(path: &Path, object: InMemDicomObject) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(EXPLICIT_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

/// A folder of these slices, whose names are in the opposite order of their positions.
fn series(slices: Vec<InMemDicomObject>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let n = slices.len();
    for (i, object) in slices.into_iter().enumerate() {
        save(&folder.path().join(format!("IM{:03}.dcm", n - i)), object);
    }
    folder
}

fn refusal(folder: &TempDir) -> String {
    let error = read_dicom_series(folder.path()).map(|_| ()).unwrap_err();
    assert!(error.is_rejection(), "{error}");
    error.to_string()
}

#[test]
fn slices_are_sorted_by_position_rescaled_and_placed_in_ras() {
    let folder = series(vec![slice(10.0, 0), slice(12.5, 1), slice(15.0, 2)]);
    let (volume, facts) = read_dicom_series(folder.path()).unwrap();
    let expected =
        ndarray::Array3::from_shape_fn((3, 2, 3), |(z, y, x)| (10 * z + 3 * y + x) as i16 - 1024);
    assert_eq!(volume.voxels, Voxels::I16(expected));
    assert_eq!(volume.geometry.spacing_xyz_mm, [0.75, 0.5, 2.5]);
    assert_eq!(
        volume.geometry.affine.0,
        [
            [-0.75, 0.0, 0.0, 100.0],
            [0.0, -0.5, 0.0, 50.0],
            [0.0, 0.0, 2.5, 10.0],
            [0.0, 0.0, 0.0, 1.0]
        ]
    );
    assert_eq!((facts.slices, facts.modality.as_str(), facts.notes.len()), (3, "CT", 0));
}

#[test]
fn signed_pixels_with_overlay_bits_are_masked_and_extended() {
    let mut object = slice(0.0, 0);
    object.put(DataElement::new(Tag(0x0028, 0x0103), VR::US, PrimitiveValue::from(1u16)));
    let pixels: Vec<u16> = vec![0x0fff, 0xf001, 0x0800, 0x07ff, 0, 1];
    object.put(DataElement::new(Tag(0x7fe0, 0x0010), VR::OW, PrimitiveValue::U16(pixels.into())));
    text(&mut object, INTERCEPT, "0");
    let (volume, _) = read_dicom_series(series(vec![object]).path()).unwrap();
    assert_eq!(volume.voxels, Voxels::I16(ndarray::arr3(&[[[-1, 1, -2048], [2047, 0, 1]]])));
}

#[test]
fn a_fractional_slope_gives_floats() {
    let mut object = slice(0.0, 0);
    text(&mut object, SLOPE, "0.5");
    let (volume, facts) = read_dicom_series(series(vec![object]).path()).unwrap();
    assert_eq!(
        volume.voxels,
        Voxels::F32(ndarray::arr3(&[[[-1024.0, -1023.5, -1023.0], [-1022.5, -1022.0, -1021.5]]]))
    );
    assert_eq!(facts.notes, ["a single slice without thickness; 1 mm is assumed"]);
}

#[test]
fn a_missing_slice_is_named_by_its_neighbours() {
    let folder = series(
        [0.0, 1.0, 2.0, 4.0, 5.0]
            .into_iter()
            .enumerate()
            .map(|(k, z)| slice(z, k as u16))
            .collect(),
    );
    let expected = "expected evenly spaced slices, found a step of 2.000 mm where the others are 1.000 mm: 1 slice is missing between IM003.dcm and IM002.dcm";
    assert!(refusal(&folder).contains(expected));
}

#[test]
fn uneven_and_doubled_slices_are_refused() {
    let folder = series([0.0, 1.0, 2.0, 3.3].into_iter().map(|z| slice(z, 0)).collect());
    assert!(refusal(&folder).contains(
        "a step of 1.300 mm between IM002.dcm and IM001.dcm where the others are 1.000 mm"
    ));
    let folder = series([0.0, 1.0, 1.0, 2.0].into_iter().map(|z| slice(z, 0)).collect());
    assert!(refusal(&folder).contains(
        "expected one slice at each position, found IM002.dcm and IM003.dcm at the same one"
    ));
}

#[test]
fn two_series_in_one_folder_are_listed() {
    let mut other = slice(1.0, 1);
    other.put(DataElement::new(SERIES_UID, VR::UI, PrimitiveValue::from("1.2.4")));
    let message = refusal(&series(vec![slice(0.0, 0), other]));
    assert!(
        message.contains("expected one series, found 2 series: `Chest` (SeriesInstanceUID 1.2.3, 1 files, e.g. IM002.dcm), `Chest` (SeriesInstanceUID 1.2.4, 1 files, e.g. IM001.dcm); their SeriesInstanceUID differs; put each into a folder of its own"),
        "{message}"
    );
}

#[test]
fn a_localizer_among_the_slices_is_named() {
    let mut localizer = slice(1.0, 1);
    text(&mut localizer, ORIENTATION, "1\\0\\0\\0\\0\\-1");
    let message = refusal(&series(vec![slice(0.0, 0), localizer]));
    assert!(message.contains("expected slices of one orientation"), "{message}");
    assert!(message.contains("in IM001.dcm and") && message.contains("in IM002.dcm"), "{message}");
}

#[test]
fn a_tilted_gantry_is_refused() {
    let mut tilted = slice(1.0, 1);
    text(&mut tilted, POSITION, "-100\\-49\\1");
    assert!(
        refusal(&series(vec![slice(0.0, 0), tilted]))
            .contains("displaced sideways by 1.00 mm (a tilted gantry?)")
    );
}

#[test]
fn a_ct_without_intercept_is_refused_and_not_guessed() {
    let mut object = slice(0.0, 0);
    object.remove_element(INTERCEPT);
    assert!(refusal(&series(vec![object])).contains(
        "expected RescaleSlope and RescaleIntercept, which turn stored values into Hounsfield units, found slope 1, intercept none"
    ));
}

#[test]
fn colour_and_frames_are_refused() {
    let mut colour = slice(0.0, 0);
    colour.put(DataElement::new(SAMPLES, VR::US, PrimitiveValue::from(3u16)));
    assert!(
        refusal(&series(vec![colour]))
            .contains("expected one MONOCHROME2 value per pixel, found 3 × MONOCHROME2")
    );
    let mut frames = slice(0.0, 0);
    text(&mut frames, FRAMES, "20");
    assert!(
        refusal(&series(vec![frames])).contains("expected one slice per file, found 20 frames")
    );
}

#[test]
fn files_that_are_no_slices_are_passed_over_aloud() {
    let folder = series(vec![slice(0.0, 0), slice(1.0, 1)]);
    fs::write(folder.path().join("notes.txt"), "no DICOM").unwrap();
    let (_, facts) = read_dicom_series(folder.path()).unwrap();
    assert_eq!(facts.notes, ["passed over 1 files that are no slices: notes.txt (not DICOM)"]);
}

#[test]
fn a_folder_without_slices_says_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("series-1")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no DICOM").unwrap();
    assert!(
        refusal(&folder).contains("expected DICOM image slices, found notes.txt (not DICOM); folders inside: series-1; name the folder")
    );
}

#[test]
fn a_slice_that_is_cut_short_is_named() {
    let folder = series(vec![slice(0.0, 0), slice(1.0, 1)]);
    let path = folder.path().join("IM001.dcm");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
    let message = refusal(&folder);
    assert!(message.ends_with("IM001.dcm: expected a value of 12 bytes, as its element promises, found 8 bytes to the end of the file; the file is damaged or cut short: copy it again"), "{message}");
}

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/dicom")).join(name)
}

fn golden_hu(name: &str) -> ndarray::Array3<i16> {
    hu(&golden(name))
}

fn hu(path: &Path) -> ndarray::Array3<i16> {
    let Voxels::I16(hu) = read_dicom_series(path).unwrap().0.voxels else {
        panic!("int16 expected")
    };
    hu
}

/// The same 16 × 12 slice in every compression; made by `make_dicom.py`.
#[test]
fn compressed_slices_hold_the_same_values() {
    let plain = golden_hu("plain.dcm");
    // The formula of the script, so that the file is not compared with itself.
    assert!(
        plain.indexed_iter().all(|((_, y, x), &v)| v == ((37 * y + 101 * x) % 4096) as i16 - 1024)
    );
    for name in ["jpeg_lossless", "jpeg_lossless_sv1", "jpeg_ls", "jpeg2000", "htj2k", "rle"] {
        assert_eq!(golden_hu(&format!("{name}.dcm")), plain, "{name}");
    }
}

/// `NEAR` of `make_dicom.py`.
#[test]
fn near_lossless_slices_are_off_by_as_much_as_they_were_allowed() {
    let (plain, near) = (golden_hu("plain.dcm"), golden_hu("jpeg_ls_near.dcm"));
    let off = (&plain - &near).mapv(i16::abs);
    assert_eq!(off.iter().max(), Some(&2));
}

#[test]
fn what_no_decoder_here_knows_is_refused_by_name_with_a_way_out() {
    for (file, name, way_out) in [
        (
            "jpeg_xl.dcm",
            "found JPEG XL Lossless (1.2.840.10008.1.2.4.110)",
            "send the series uncomp",
        ),
        ("jpeg_12_bits.dcm", "found lossy JPEG of more than 8 bits", "`dcmdjpeg IN OUT`"),
    ] {
        let error = read_dicom_series(&golden(file)).map(|_| ()).unwrap_err();
        let message = error.to_string();
        assert!(error.is_rejection() && message.contains(name), "{message}");
        assert!(message.contains(way_out), "{message}");
    }
}

#[test]
fn jpeg_ls_filled_to_an_even_length_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dcm");
    let mut bytes = fs::read(golden("jpeg_ls_near.dcm")).unwrap();
    // A zero behind the end, as pydicom has it; a fill byte before it, as DCMTK has it.
    let end = bytes.windows(3).rposition(|bytes| bytes == [0xff, 0xd9, 0]).unwrap();
    bytes[end..end + 3].copy_from_slice(&[0xff, 0xff, 0xd9]);
    fs::write(&path, bytes).unwrap();
    assert_eq!(hu(&path), golden_hu("jpeg_ls_near.dcm"));
}

#[test]
fn jpeg_ls_that_breaks_off_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dcm");
    let good = fs::read(golden("jpeg_ls.dcm")).unwrap();
    let start = good.windows(4).position(|bytes| bytes == [0xff, 0xd8, 0xff, 0xf7]).unwrap();
    for at in [start + 5, start + 40, start + 90] {
        let mut bad = good.clone();
        bad[at..].iter_mut().take(12).for_each(|byte| *byte ^= 0xff);
        fs::write(&path, bad).unwrap();
        // Damaged pixels may still decode; what may not happen is anything else.
        if let Err(error) = read_dicom_series(&path) {
            assert!(error.is_rejection() && error.to_string().contains("damaged"), "{error}");
        }
    }
}

/// Positions and spacings went through 32-bit header fields and six printed digits.
const TWIN_MM: f64 = 1e-3;

#[test]
fn real_series_equal_their_nifti_twins() {
    let Some(data) = ild_test_support::shared("data") else { return };
    let twins = [
        ("cip/Testing/Data/Input/ct-64Dicom", "cip/nifti/ct-64.nii.gz"),
        (
            "totalsegmentator/tests/reference_files/example_ct_dicom",
            "totalsegmentator/derived/example_ct_dicom.nii.gz",
        ),
    ];
    for (dicom, nifti) in twins {
        let (series, twin) = (
            read_dicom_series(&data.join(dicom)).unwrap().0,
            read_volume(&data.join(nifti)).unwrap(),
        );
        assert_eq!(series.voxels, twin.voxels, "{dicom}");
        let apart = series.geometry.corner_distance_mm(&twin.geometry);
        assert!(apart < TWIN_MM, "{dicom}: {apart} mm");
    }
}

#[test]
fn a_value_longer_than_the_file_is_refused_before_memory_is_taken() {
    let folder = series(vec![slice(0.0, 0)]);
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    // (0009,1000) of type OB: 2 reserved bytes, then a length of nearly 4 GiB, put before the first
    // element of the data set.
    let at = bytes.windows(4).rposition(|tag| tag == [0x08, 0x00, 0x16, 0x00]).unwrap();
    let lie = [&[0x09, 0x00, 0x00, 0x10][..], b"OB\0\0", &0xffff_fff0u32.to_le_bytes()].concat();
    bytes.splice(at..at, lie);
    std::fs::write(&file, &bytes).unwrap();
    let left = bytes.len() - at - 12;
    assert_eq!(
        refusal(&folder).split_once(": ").unwrap().1,
        format!(
            "expected a value of 4294967280 bytes, as its element promises, found {left} bytes to the end of the file; \
             the file is damaged or cut short: copy it again"
        )
    );
}

/// Files that fuzzing found: they made the parser take up to 4 GiB, or a decoder panic.
#[test]
fn what_fuzzing_found_is_refused() {
    let mut seen = 0;
    for file in common::files_below(&golden("damaged")) {
        let message = read_dicom_series(&file).map(|_| ()).unwrap_err().to_string();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let expected = if name.contains("length") {
            "bytes, as its element promises, found"
        } else {
            "expected RLE segments of"
        };
        assert!(message.contains(expected), "{message}");
        seen += 1;
    }
    assert_eq!(seen, 6);
}
