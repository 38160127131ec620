//! One CT in the forms hospitals hand it out: a folder, a zip archive, a multi-frame object, slices of a
//! tilted gantry, several reconstructions.

mod common;

use std::path::Path;
use std::process::Command;

use common::dicom::{DEFLATED, EXPLICIT_LITTLE_ENDIAN, FRAMES, Series, zip};
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTableBuilder, open_file};
use ild_io::{
    DicomOptions, Format, LabelMap, LabelTable, SegAlgorithm, SegFrames, SegMaker, SegSettings,
    SegType, SourceSeries, Volume, Voxels, dicom_cases, read_dicom_ct, read_volume,
    write_dicom_seg,
};
use ild_test_support::python_with;
use ndarray::Array3;

/// A slope through the patient that tells every voxel from its neighbours.
fn slope([x, y, z]: [f64; 3]) -> f64 {
    2.0 * x - 3.0 * y + 5.0 * z
}

fn leaning() -> Series {
    Series { hu: slope, ..Series::default() }
}

fn ct(path: &Path) -> Volume {
    read_dicom_ct(path, DicomOptions::default()).unwrap().0
}

fn refusal(path: &Path) -> String {
    let error = read_dicom_ct(path, DicomOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.is_rejection(), "{error}");
    error.to_string()
}

fn seg_of(source: &SourceSeries, labels: Array3<u8>, path: &Path) {
    let maker = SegMaker::unknown(SegAlgorithm::Manual);
    let settings = SegSettings {
        kind: SegType::Binary,
        frames: SegFrames::Held,
        table: &LabelTable::default(),
        maker: &maker,
        writer: ["ild-io", "0"],
    };
    let map = LabelMap { labels, geometry: source.geometry.clone() };
    write_dicom_seg(path, map, Path::new("mask"), source, settings).unwrap();
}

#[test]
fn a_zipped_study_is_the_folder() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("study");
    leaning().save(&folder.join("series"));
    std::fs::write(folder.join("readme.txt"), "from the hospital").unwrap();
    for deflated in [true, false] {
        let archive = work.path().join(format!("{deflated}.zip"));
        zip(&folder, &archive, deflated);
        assert_eq!(Format::of(&archive).unwrap(), Format::Dicom);
        assert_eq!(ct(&archive), ct(&folder));
        assert_eq!(read_volume(&archive).unwrap(), ct(&folder));
        let source = SourceSeries::read(&archive, DicomOptions::default()).unwrap();
        assert_eq!(
            source.geometry,
            SourceSeries::read(&folder, Default::default()).unwrap().geometry
        );
    }
}

#[test]
fn a_folder_of_archives_is_a_folder_of_cases() {
    let work = tempfile::tempdir().unwrap();
    for name in ["b", "a"] {
        let series = tempfile::tempdir().unwrap();
        leaning().save(series.path());
        zip(series.path(), &work.path().join(format!("{name}.zip")), true);
    }
    std::fs::write(work.path().join("c.zip"), b"PK\x03\x04 nothing").unwrap();
    let ids: Vec<String> =
        dicom_cases(work.path()).unwrap().into_iter().map(|case| case.id).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn an_archive_that_lies_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let (folder, archive) = (work.path().join("study"), work.path().join("study.zip"));
    leaning().save(&folder);
    zip(&folder, &archive, false);
    let good = std::fs::read(&archive).unwrap();
    let damaged = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&archive, bad).unwrap();
        refusal(&archive)
    };
    // A pixel of the first file: its checksum differs.
    let pixel = good.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let first = good.windows(4).position(|w| w == b"DICM").unwrap();
    let said = damaged(first + 700, &[0x55]);
    assert!(said.contains("CRC-32"), "{said}");
    // The directory promises 4 GiB of what is stored in some hundred bytes.
    let said = damaged(pixel + 24, &[0xff, 0xff, 0xff, 0x7f]);
    assert!(said.contains("made to do harm"), "{said}");
    std::fs::write(&archive, &good[..good.len() / 2]).unwrap();
    assert!(read_dicom_ct(&archive, DicomOptions::default()).is_err());
}

/// Files that nobody can read belong to no series: one at its end would be missed by nobody.
#[test]
fn a_damaged_last_slice_is_not_passed_over() {
    let work = tempfile::tempdir().unwrap();
    leaning().save(work.path());
    let last = work.path().join("IM001.dcm");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 9]).unwrap();
    let said = refusal(work.path());
    assert!(said.contains("IM001.dcm") && said.contains("a slice may be among them"), "{said}");
    // In another folder it is no slice of this series.
    let beside = work.path().join("beside");
    leaning().save(&beside.join("ct"));
    std::fs::create_dir(beside.join("other")).unwrap();
    std::fs::rename(&last, beside.join("other/IM9")).unwrap();
    assert_eq!(ct(&beside).geometry.shape_zyx[0], 5);
}

#[test]
fn a_multi_frame_object_is_the_series_that_it_holds() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("classic");
    leaning().save(&folder);
    for syntax in [EXPLICIT_LITTLE_ENDIAN, DEFLATED, "1.2.840.10008.1.2.2"] {
        let path = work.path().join("enhanced.dcm");
        leaning().save_enhanced(&path, syntax);
        let (volume, facts) = read_dicom_ct(&path, DicomOptions::default()).unwrap();
        assert_eq!(volume, ct(&folder), "{syntax}");
        assert_eq!((facts.slices, facts.thickness_mm), (5, Some(3.0)));
        let archive = work.path().join("enhanced.zip");
        let inside = work.path().join("inside");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::copy(&path, inside.join("IM1")).unwrap();
        zip(&inside, &archive, true);
        assert_eq!(ct(&archive), ct(&folder));
    }
}

#[test]
fn a_multi_frame_object_counts_by_its_frames_among_series() {
    let work = tempfile::tempdir().unwrap();
    // Same thickness and kernel, fewer slices.
    let short = Series { slices: 3, number: 8, ..leaning() };
    short.save(&work.path().join("short"));
    std::fs::create_dir(work.path().join("enhanced")).unwrap();
    leaning().save_enhanced(&work.path().join("enhanced/a"), EXPLICIT_LITTLE_ENDIAN);
    let (volume, facts) = read_dicom_ct(work.path(), DicomOptions::default()).unwrap();
    assert_eq!(volume.geometry.shape_zyx[0], 5);
    assert!(
        facts.notes[0].contains("series 8") && facts.notes[0].contains("3 slices"),
        "{facts:?}"
    );
}

#[test]
fn a_frame_without_a_description_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("a.dcm");
    let mut object = leaning().enhanced();
    object.put(DataElement::new(FRAMES, VR::IS, PrimitiveValue::from("6")));
    let meta = FileMetaTableBuilder::new().transfer_syntax(EXPLICIT_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(&path).unwrap();
    let said = refusal(&path);
    assert!(said.contains("6 frames, as NumberOfFrames says, found 5"), "{said}");
}

#[test]
fn a_segmentation_of_a_multi_frame_object_names_its_frames() {
    let work = tempfile::tempdir().unwrap();
    let (ct, seg) = (work.path().join("ct.dcm"), work.path().join("seg.dcm"));
    leaning().save_enhanced(&ct, EXPLICIT_LITTLE_ENDIAN);
    let source = SourceSeries::read(&ct, DicomOptions::default()).unwrap();
    let mut labels = Array3::zeros((5, 6, 7));
    labels[[1, 2, 3]] = 2;
    seg_of(&source, labels, &seg);
    let object = open_file(&seg).unwrap();
    let frame = object.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap();
    let item = |object: &dicom_object::InMemDicomObject, tag| {
        object.get(tag).unwrap().items().unwrap()[0].clone()
    };
    let source =
        item(&item(&frame[0], tags::DERIVATION_IMAGE_SEQUENCE), tags::SOURCE_IMAGE_SEQUENCE);
    let text =
        |tag| source.get(tag).unwrap().to_str().unwrap().trim_end_matches(['\0', ' ']).to_owned();
    // Frames run from head to foot: slice 1 is the fourth.
    assert_eq!(
        (text(tags::REFERENCED_FRAME_NUMBER), text(tags::REFERENCED_SOP_INSTANCE_UID)),
        ("4".into(), "1.2.3.9".into())
    );
    let series = item(&object, tags::REFERENCED_SERIES_SEQUENCE);
    let instances = series.get(tags::REFERENCED_INSTANCE_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(instances.len(), 1);
}

/// A series as highdicom makes one multi-frame object of it, uncompressed, in RLE and in JPEG-LS.
const CONVERT: &str = r#"
import sys
import highdicom as hd, pydicom
from pathlib import Path
from pydicom.uid import JPEGLSLossless, RLELossless
series, out = map(Path, sys.argv[1:])
slices = [pydicom.dcmread(path) for path in series.iterdir()]
for s in slices:
    s.AcquisitionNumber = 1
    for name in ("PatientBirthDate", "StudyID", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
        setattr(s, name, getattr(s, name, ""))
    s.InstanceNumber, s.Manufacturer = 1, "test"
image = hd.legacy.LegacyConvertedEnhancedCTImage(slices, hd.UID(), 9, hd.UID(), 1)
image.save_as(out / "plain.dcm")
image.compress(RLELossless)
image.save_as(out / "rle.dcm")
image.decompress()
image.compress(JPEGLSLossless)
image.save_as(out / "jpeg_ls.dcm")
"#;

#[test]
fn a_series_that_highdicom_made_one_object_of_is_the_series() {
    let Some(python) = python_with("highdicom") else { return };
    let work = tempfile::tempdir().unwrap();
    let series = work.path().join("series");
    leaning().save(&series);
    let mut command = Command::new(python);
    let output = command.args(["-c", CONVERT]).arg(&series).arg(work.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["plain.dcm", "rle.dcm", "jpeg_ls.dcm"] {
        assert_eq!(ct(&work.path().join(name)), ct(&series), "{name}");
    }
}

/// Slices as CharLS writes them (inside pyjpegls): large, signed and not, with few bits and with all,
/// lossless and nearly so; beside each, uncompressed, what CharLS itself reads of it.
const JPEG_LS: &str = r#"
import sys
import jpeg_ls, numpy as np, pydicom
from pathlib import Path
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless
source, out = map(Path, sys.argv[1:])
side = 200
y, x = np.mgrid[:side, :side]
random = np.random.default_rng(1)
slope = (x - 100.0) ** 2 / 300 + 8 * np.sin(y / 9.0) + random.normal(0, 3, (side, side)) * (x > y)
for bits, signed, near in [(16, 1, 0), (12, 0, 0), (12, 0, 3), (16, 0, 5), (8, 0, 0), (8, 0, 1)]:
    allocated = 8 if bits == 8 else 16
    values = slope * (2.0 ** bits / 200) + (0 if signed else 2.0 ** (bits - 3))
    low, high = (-(2 ** 15), 2 ** 15 - 1) if signed else (0, 2 ** bits - 1)
    words = np.clip(values, low, high).astype("<i8").astype("<u1" if allocated == 8 else "<u2")
    stream = bytes(jpeg_ls.encode(words, lossy_error=near))
    ds = pydicom.dcmread(source)
    ds.Rows = ds.Columns = side
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = allocated, bits, bits - 1, signed
    ds.RescaleIntercept = 0
    name = f"{bits}-{signed}-{near}"
    ds.PixelData = np.asarray(jpeg_ls.decode(np.frombuffer(stream, "u1"))).astype(words.dtype).tobytes()
    ds.save_as(out / f"{name}.plain")
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGLSNearLossless if near else JPEGLSLossless
    ds.save_as(out / f"{name}.jls")
"#;

#[test]
fn jpeg_ls_is_read_as_charls_reads_it() {
    let Some(python) = python_with("jpeg_ls, numpy, pydicom") else { return };
    let work = tempfile::tempdir().unwrap();
    let series = work.path().join("series");
    leaning().save(&series);
    let mut command = Command::new(python);
    let (one, out) = (series.join("IM001.dcm"), work.path());
    let output = command.args(["-c", JPEG_LS]).arg(one).arg(out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = common::files_below(out).into_iter();
    let streams: Vec<_> = files.filter(|file| file.extension() == Some("jls".as_ref())).collect();
    assert_eq!(streams.len(), 6);
    for file in streams {
        assert!(ct(&file) == ct(&file.with_extension("plain")), "{}", file.display());
    }
}

/// A gantry tilted by 15 degrees: the planes lean, the table moves along the patient.
fn tilted() -> Series {
    let (sin, cos) = 15f64.to_radians().sin_cos();
    // Along the table 5 mm: 5·cos along the normal and 5·sin beside it.
    Series {
        slices: 9,
        rows: 24,
        columns: 16,
        orientation: [1.0, 0.0, 0.0, 0.0, cos, sin],
        step_mm: 5.0 * cos,
        lean_mm: [0.0, 5.0 * sin * cos, 5.0 * sin * sin],
        hu: slope,
        ..Series::default()
    }
}

#[test]
fn a_tilted_gantry_is_shifted_on_request_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    tilted().save(folder.path());
    let said = refusal(folder.path());
    assert!(said.contains("15.0° off the normal") && said.contains("--upright"), "{said}");
    let options = DicomOptions { upright: true, series: None };
    let (volume, facts) = read_dicom_ct(folder.path(), options).unwrap();
    let note = facts.notes.iter().find(|note| note.contains("tilted by 15.0°"));
    assert!(note.is_some_and(|note| note.contains("by up to 10.4 mm")), "{facts:?}");
    let Voxels::I16(hu) = &volume.voxels else { panic!() };
    assert!(volume.geometry.affine.shear() < 1e-9);
    // The slope is where it was in the patient; mixing keeps it to the rounding of both files.
    let (mut inside, mut air) = (0, 0);
    for ((z, y, x), &v) in hu.indexed_iter() {
        let [r, a, s] = volume.geometry.affine.world_mm([x as f64, y as f64, z as f64]);
        let expected = slope([-r, -a, s]);
        match v {
            -1000 => air += 1,
            // The outermost row stands for half a pixel beside it.
            v if (f64::from(v) - expected).abs() <= 1.0 => inside += 1,
            v => {
                assert!((f64::from(v) - expected).abs() <= 3.0, "{v} for {expected} at {z} {y} {x}")
            }
        }
    }
    assert!(inside >= 9 * 22 * 16 && air > 0, "{inside} {air}");
}

#[test]
fn a_mask_of_an_upright_ct_goes_back_to_the_slices() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("ct");
    tilted().save(&folder);
    let options = DicomOptions { upright: true, series: None };
    let source = SourceSeries::read(&folder, options).unwrap();
    let [z, y, x] = source.geometry.shape_zyx;
    // Everything in front of a plane of the patient.
    let front = |[_, y, _]: [f64; 3]| y < -46.0;
    let labels = Array3::from_shape_fn((z, y, x), |(z, y, x)| {
        let [r, a, s] = source.geometry.affine.world_mm([x as f64, y as f64, z as f64]);
        u8::from(front([-r, -a, s]))
    });
    let seg = work.path().join("seg.dcm");
    seg_of(&source, labels, &seg);
    let object = open_file(&seg).unwrap();
    let bits = object.get(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
    let frames = object.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(frames.len(), 9);
    let of = tilted();
    for (slice, row, column) in (0..9 * 24 * 16).map(|i| (i / 384, i / 16 % 24, i % 16)) {
        let place = of.place(slice, row, column);
        let bit = slice * 384 + row * 16 + column;
        let held = bits[bit / 8] >> (bit % 8) & 1 == 1;
        // Labels move to the nearest pixel: half of one.
        let near = (place[1] + 46.0).abs() <= 0.51 * of.pixel_mm[0];
        assert!(near || held == front(place), "slice {slice} row {row}: {held} at {place:?}");
    }
}

#[test]
fn of_thick_and_thin_slices_and_two_kernels_the_thin_sharp_ones_are_read() {
    let work = tempfile::tempdir().unwrap();
    for (number, kernel, thickness_mm, slices) in
        [(3, "B30f", 5.0, 4), (4, "B70f", 5.0, 4), (5, "B30f", 1.0, 6), (6, "B70f", 1.0, 6)]
    {
        let series = Series { number, kernel, thickness_mm, slices, ..leaning() };
        // All in one folder, as some exports have it.
        for (k, slice) in series.slices().into_iter().enumerate() {
            let path = work.path().join(format!("{}-{k}", number * 7 % 5));
            common::dicom::save_as(&path, slice, EXPLICIT_LITTLE_ENDIAN);
        }
    }
    let (_, facts) = read_dicom_ct(work.path(), DicomOptions::default()).unwrap();
    assert_eq!((facts.kernel.as_str(), facts.thickness_mm, facts.slices), ("B70f", Some(1.0), 6));
    let options = DicomOptions { series: Some("4"), upright: false };
    let (_, facts) = read_dicom_ct(work.path(), options).unwrap();
    assert_eq!((facts.kernel.as_str(), facts.thickness_mm), ("B70f", Some(5.0)));
}
