//! A series is a series: two stacks in one folder, drifting and tilted slices, padding, quantities
//! that are no Hounsfield units; each is read right or refused in words.

mod common;

use common::dicom::{DEFLATED, Slice, save_all, save_as};
use dicom_core::Tag;
use ild_io::{SeriesFacts, Volume, Voxels, read_dicom_series};
use tempfile::TempDir;

const ACQUISITION: Tag = Tag(0x0020, 0x0012);
const SERIES_NUMBER: Tag = Tag(0x0020, 0x0011);
const DESCRIPTION: Tag = Tag(0x0008, 0x103e);
const KERNEL: Tag = Tag(0x0018, 0x1210);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const PATIENT_POSITION: Tag = Tag(0x0018, 0x5100);
const SERIES_UID: Tag = Tag(0x0020, 0x000e);
const FRAME: Tag = Tag(0x0020, 0x0052);
const IMAGE_TYPE: Tag = Tag(0x0008, 0x0008);
const SOP_CLASS: Tag = Tag(0x0008, 0x0016);
const RESCALE_TYPE: Tag = Tag(0x0028, 0x1054);
const POSITION: Tag = Tag(0x0020, 0x0032);
const ORIENTATION: Tag = Tag(0x0020, 0x0037);

fn read(slices: Vec<Slice>) -> ild_io::Result<(Volume, SeriesFacts)> {
    read_dicom_series(folder(slices).path())
}

fn folder(slices: Vec<Slice>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save_all(folder.path(), slices);
    folder
}

#[track_caller]
fn refused(slices: Vec<Slice>, words: &[&str]) {
    let error = read(slices).map(|_| ()).unwrap_err();
    assert!(error.is_rejection(), "{error}");
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

/// Ten slices, 5 mm apart, beginning at `start_mm`.
fn stack(start_mm: f64) -> Vec<Slice> {
    (0..10).map(|k| Slice::at(start_mm + 5.0 * f64::from(k))).collect()
}

/// Two stacks in one folder, of which the second begins at `start_mm`; `tag` tells them apart.
fn two(start_mm: f64, tags: &[(Tag, [&str; 2])]) -> Vec<Slice> {
    let mut all = Vec::new();
    for (which, start) in [0.0, start_mm].into_iter().enumerate() {
        all.extend(stack(start).into_iter().map(|mut slice| {
            for (tag, values) in tags {
                slice.text(*tag, values[which]);
            }
            slice
        }));
    }
    all
}

const INTERLEAVED_MM: f64 = 2.5;
const STACKED_MM: f64 = 50.0;

#[test]
fn two_passes_of_one_series_are_refused_by_their_acquisition() {
    refused(
        two(INTERLEAVED_MM, &[(ACQUISITION, ["1", "2"])]),
        &[
            "expected one stack of slices, found 2 stacks through the same heights",
            "AcquisitionNumber 1, 10 files",
            "their AcquisitionNumber differs",
        ],
    );
    for tag in [Tag(0x0018, 0x0060), Tag(0x0020, 0x0100), Tag(0x0018, 0x0050)] {
        refused(two(INTERLEAVED_MM, &[(tag, ["1", "2"])]), &["2 stacks through the same heights"]);
    }
}

#[test]
fn acquisitions_one_after_the_other_are_one_series() {
    let (volume, _) = read(two(STACKED_MM, &[(ACQUISITION, ["1", "2"])])).unwrap();
    assert_eq!(volume.geometry.shape_zyx[0], 20);
    // A step-and-shoot scan: each slice is an acquisition.
    let mut each = stack(0.0);
    for (k, slice) in each.iter_mut().enumerate() {
        slice.text(ACQUISITION, &k.to_string());
    }
    assert_eq!(read(each).unwrap().0.geometry.shape_zyx[0], 10);
}

#[test]
fn two_kernels_two_patients_and_two_frames_of_reference_are_two_series() {
    for start in [INTERLEAVED_MM, STACKED_MM] {
        refused(
            two(start, &[(KERNEL, ["B30f", "B70f"])]),
            &["expected one series, found 2 series", "ConvolutionKernel B70f, 10 files"],
        );
        refused(two(start, &[(FRAME, ["1.2.51.0", "1.2.51.1"])]), &["FrameOfReferenceUID differs"]);
        let error = read(two(start, &[(PATIENT_ID, ["secret0", "secret1"])])).map(|_| ());
        let message = error.unwrap_err().to_string();
        assert!(message.contains("their PatientID differs") && !message.contains("secret"));
    }
}

#[test]
fn a_removed_series_uid_does_not_make_two_series_one() {
    for start in [INTERLEAVED_MM, STACKED_MM] {
        for tags in [
            (SERIES_NUMBER, ["3", "4"]),
            (DESCRIPTION, ["Thorax 5.0 B70f insp", "Thorax 5.0 B30f exsp"]),
            (PATIENT_POSITION, ["HFS", "HFP"]),
        ] {
            let mut slices = two(start, &[tags]);
            slices.iter_mut().for_each(|slice| slice.remove(SERIES_UID));
            refused(slices, &["found 2 series", tags.1[0], tags.1[1]]);
        }
    }
    let mut one = stack(0.0);
    one.iter_mut().for_each(|slice| slice.remove(SERIES_UID));
    assert!(read(one).is_ok());
}

#[test]
fn dose_pages_and_localizers_are_said_to_be_other_series() {
    let mut dose = Slice::at(0.0);
    dose.text(SOP_CLASS, "1.2.840.10008.5.1.4.1.1.7");
    dose.text(SERIES_UID, "1.2.99");
    for tag in [POSITION, ORIENTATION, Tag(0x0028, 0x0030)] {
        dose.remove(tag);
    }
    let mut localizer = Slice::at(5.0);
    localizer.text(ORIENTATION, "1\\0\\0\\0\\0\\-1");
    localizer.text(IMAGE_TYPE, "ORIGINAL\\PRIMARY\\LOCALIZER");
    for (other, words) in [
        (dose, "a secondary capture such as a dose page, another series"),
        (localizer, "a localizer, another series"),
    ] {
        let mut slices = stack(0.0);
        slices.push(other.clone());
        let (volume, facts) = read(slices).unwrap();
        assert_eq!(volume.geometry.shape_zyx[0], 10);
        assert!(facts.notes[0].contains(words), "{:?}", facts.notes);
        refused(vec![other], &["expected DICOM image slices", words]);
    }
}

#[test]
fn steps_that_drift_are_refused_in_millimetres() {
    let at = |step: &dyn Fn(u32) -> f64| {
        let mut z = 0.0;
        (0..200)
            .map(|k| {
                let slice = Slice::at(z);
                z += step(k);
                slice
            })
            .collect::<Vec<_>>()
    };
    refused(
        at(&|k| if k < 100 { 1.0 } else { 1.04 }),
        &["steps that drift from 1.000 to 1.040 mm", "lies 1.99 mm from its place"],
    );
    refused(at(&|k| 1.04 - 0.08 * f64::from(k) / 199.0), &["drift from 0.960 to 1.040 mm"]);
    // Positions rounded to a tenth of a millimetre.
    let rounded = (0..200).map(|k| Slice::at((6.25 * f64::from(k)).round() / 10.0)).collect();
    let spacing = read(rounded).unwrap().0.geometry.spacing_xyz_mm[2];
    assert!((spacing - 0.625).abs() < 1e-3, "{spacing}");
    // What moves a slice by more than rounding is none, however small the steps are.
    refused(
        at(&|k| [1.0, 1.0, 1.0, 1.09, 1.09, 1.0, 0.91, 0.91][k as usize % 8]),
        &["steps that drift from 0.910 to 1.090 mm", "lies 0.1"],
    );
    refused(
        at(&|k| if k == 90 { 0.2 } else { 0.1 }),
        &["a step of 0.200 mm where the others are 0.100 mm: 1 slice is missing"],
    );
}

/// 400 slices 1 mm apart along the true normal of planes turned by `degrees`, whose cosines are
/// rounded to `decimals`; the last lies `sideways_mm` beside the normal.
fn oblique(degrees: f64, decimals: i32, sideways_mm: f64) -> Vec<Slice> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let scale = 10f64.powi(decimals);
    let round = |v: f64| (v * scale).round() / scale;
    let orientation = [1.0, 0.0, 0.0, 0.0, round(cos), round(sin)];
    (0..400)
        .map(|k| {
            let k = f64::from(k);
            let mut slice = Slice::at(0.0);
            slice.numbers(ORIENTATION, &orientation);
            slice.numbers(POSITION, &[sideways_mm * k / 399.0, -sin * k, cos * k]);
            slice
        })
        .collect()
}

#[test]
fn an_oblique_series_with_rounded_cosines_is_one_volume() {
    for decimals in 3..=6 {
        for degrees in [2.0, 5.0, 8.0, 11.0] {
            let (volume, facts) = read(oblique(degrees, decimals, 0.0)).unwrap();
            let [x, y, z] = volume.geometry.spacing_xyz_mm;
            assert_eq!((x, y), (0.75, 0.5));
            assert!((z - 1.0).abs() < 1e-6, "{decimals} decimals, {degrees} degrees: {z}");
            let lengths = volume.geometry.affine.spacing_xyz_mm();
            assert!((lengths[1] - 0.5).abs() < 1e-12 && volume.geometry.affine.shear() < 1e-12);
            assert_eq!(facts.notes.len(), 0);
        }
    }
}

#[test]
fn a_true_tilt_is_refused_with_its_millimetres() {
    refused(oblique(8.0, 4, 3.0), &["displaced sideways by 3.0", "a tilted gantry?"]);
    refused(oblique(0.0, 6, 1.0), &["displaced sideways by 1.00 mm (a tilted gantry?)"]);
    let mut beside = stack(0.0);
    beside[4].numbers(POSITION, &[-99.7, -50.0, 20.0]);
    refused(beside, &["displaced sideways by 0.30 mm; resample"]);
}

#[test]
fn another_quantity_than_hounsfield_units_is_refused_or_noted() {
    let typed = |kind: &str| {
        let mut slices = stack(0.0);
        slices.iter_mut().for_each(|slice| slice.text(RESCALE_TYPE, kind));
        slices
    };
    refused(typed("MGML"), &["expected Hounsfield units (RescaleType HU), found RescaleType MGML"]);
    assert!(read(typed("HU")).unwrap().1.notes.is_empty());
    let notes = read(typed("US")).unwrap().1.notes;
    assert_eq!(notes, ["RescaleType is US: are these Hounsfield units?"]);
}

/// One slice of six stored values.
fn stored(values: [u16; 6], signed: bool, bits: u16, padding: &[(Tag, u16)]) -> Slice {
    let mut slice = Slice::at(0.0);
    slice.words(Tag(0x0028, 0x0101), bits);
    slice.words(Tag(0x0028, 0x0102), bits - 1);
    slice.words(Tag(0x0028, 0x0103), u16::from(signed));
    for (tag, value) in padding {
        slice.words(*tag, *value);
    }
    slice.pixels(&values);
    slice
}

#[test]
fn padding_becomes_air() {
    const PADDING: Tag = Tag(0x0028, 0x0120);
    const LIMIT: Tag = Tag(0x0028, 0x0121);
    let hu = |slice: Slice| {
        let (volume, facts) = read(vec![slice]).unwrap();
        let Voxels::I16(hu) = volume.voxels else { panic!("int16 expected") };
        (hu.iter().copied().collect::<Vec<_>>(), facts.notes.join("; "))
    };
    // Unsigned, the two's complement of -2000; the intercept is -1024.
    let (values, notes) =
        hu(stored([63536, 24, 1024, 1424, 63536, 0], false, 16, &[(PADDING, 63536)]));
    assert_eq!(values, [-1000, -1000, 0, 400, -1000, -1024]);
    assert!(notes.contains("2 voxels of padding (PixelPaddingValue) became -1000"), "{notes}");
    let (values, _) = hu(stored([63536, 24, 1024, 1424, 63537, 0], true, 16, &[(PADDING, 63536)]));
    assert_eq!(values, [-1000, -1000, 0, 400, -3023, -1024], "signed");
    let (values, _) = hu(stored(
        [63536, 24, 63540, 1424, 63550, 0],
        true,
        16,
        &[(PADDING, 63536), (LIMIT, 63540)],
    ));
    assert_eq!(values, [-1000, -1000, -1000, 400, -3010, -1024], "a range");
    // 12 bits a pixel: 2096, which the low bits of the padding spell, is a measurement.
    let (values, _) = hu(stored([63536, 24, 2096, 1424, 0, 0], false, 12, &[(PADDING, 63536)]));
    assert_eq!(values[..4], [-1000, -1000, 1072, 400]);
    // Padding that is air already stays what it is.
    let (values, notes) = hu(stored([0, 24, 1024, 1424, 0, 0], false, 16, &[(PADDING, 0)]));
    assert_eq!(values[..2], [-1024, -1000]);
    assert!(!notes.contains("padding"), "{notes}");
}

#[test]
fn slopes_of_each_slice_are_its_own() {
    let slices = [(1.0, 0), (2.0, -1024), (0.5, -1000)].into_iter().enumerate();
    let slices = slices.map(|(k, (slope, intercept))| {
        let mut slice = Slice::at(2.0 * k as f64);
        slice.numbers(Tag(0x0028, 0x1053), &[slope]);
        slice.numbers(Tag(0x0028, 0x1052), &[f64::from(intercept)]);
        slice.pixels(&[200; 6]);
        slice
    });
    let (volume, _) = read(slices.collect()).unwrap();
    let Voxels::F32(hu) = volume.voxels else { panic!("float32 expected") };
    assert_eq!([hu[[0, 0, 0]], hu[[1, 0, 0]], hu[[2, 0, 0]]], [200.0, -624.0, -900.0]);
}

#[test]
fn a_deflated_series_is_read_as_the_plain_one() {
    let deflated = tempfile::tempdir().unwrap();
    for (k, slice) in stack(0.0).into_iter().enumerate() {
        save_as(&deflated.path().join(format!("{k}")), slice, DEFLATED);
    }
    let (volume, facts) = read_dicom_series(deflated.path()).unwrap();
    assert_eq!(volume, read(stack(0.0)).unwrap().0);
    assert_eq!(facts.transfer_syntax, DEFLATED);
    let path = deflated.path().join("3");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    let error = read_dicom_series(deflated.path()).map(|_| ()).unwrap_err();
    assert!(error.is_rejection() && error.to_string().contains("/3: "), "{error}");
}
