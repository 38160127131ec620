//! DICOM Segmentations: what is written of a label map comes back on the same voxels.

mod common;

use std::path::{Path, PathBuf};

use common::dicom::{Series, save_as};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{InMemDicomObject, open_file};
use ild_io::cohort::{LabelNames, read_mask};
use ild_io::{
    CodedTerm, Format, Geometry, Label, LabelMap, LabelTable, SegFrames, SegMaker, SegSettings,
    SegType, SourceSeries, StorageOrder, read_dicom_series, read_label_map, write_dicom_seg,
    write_label_map,
};
use ndarray::{Array3, s};
use tempfile::TempDir;

const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const SEGMENTS: Tag = Tag(0x0062, 0x0002);

fn table() -> LabelTable {
    let label = |(name, color, code): (&str, [u8; 3], Option<[&str; 3]>)| Label {
        name: name.to_owned(),
        color,
        code: code.map(|code| CodedTerm::try_from(code.map(str::to_owned)).unwrap()),
    };
    LabelTable::new(
        [
            (1, ("Ground glass", [241, 214, 145], None)),
            (2, ("Honeycombing", [183, 156, 220], Some(["112106", "DCM", "Honeycomb pattern"]))),
            (9, ("Zyste, groß", [0, 151, 206], Some(["1", "99LAB", "Cyst"]))),
        ]
        .map(|(id, rest)| (id, label(rest)))
        .into(),
    )
}

fn maker() -> SegMaker {
    SegMaker::program("ild-infer 0.1.0", "automatic", "automatic: found", Some("0123456789abcdef"))
}

fn settings<'a>(kind: SegType, table: &'a LabelTable, maker: &'a SegMaker) -> SegSettings<'a> {
    SegSettings { kind, frames: SegFrames::Held, table, maker, writer: ["ild-io", "0.1.0"] }
}

/// Labels without any symmetry; slice 1 holds none, slice 3 not all.
fn labels(shape: [usize; 3]) -> Array3<u8> {
    let mut labels = Array3::from_shape_fn(shape, |(z, y, x)| match (z * 5 + y * 3 + x * 7) % 11 {
        0 | 4 => 1,
        1 => 2,
        7 => 9,
        _ => 0,
    });
    if shape[0] > 3 {
        labels.slice_mut(s![1, .., ..]).fill(0);
        labels.slice_mut(s![3, .., ..]).mapv_inplace(|id| if id == 2 { 0 } else { id });
    }
    labels
}

/// A series on disk, and labels on its grid in the order of its pixels.
fn series(of: &Series) -> (TempDir, LabelMap) {
    let folder = tempfile::tempdir().unwrap();
    of.save(folder.path());
    let geometry = read_dicom_series(folder.path()).unwrap().0.geometry;
    let labels = labels(geometry.shape_zyx);
    (folder, LabelMap { labels, geometry })
}

fn write(folder: &Path, map: &LabelMap, kind: SegType) -> (PathBuf, Vec<String>) {
    let path = folder.join("seg").join("a.dcm");
    let source = SourceSeries::read(folder, Default::default()).unwrap();
    let (table, maker) = (table(), maker());
    let settings = settings(kind, &table, &maker);
    let notes = write_dicom_seg(&path, map.clone(), Path::new("mask"), &source, settings).unwrap();
    (path, notes)
}

/// The mask of a Segmentation on the grid of its series, under our ids.
fn read(path: &Path, geometry: &Geometry) -> Array3<u8> {
    let map = read_mask(path, &table()).unwrap();
    map.on_grid_of(path, "segmentation", "series", geometry).unwrap().labels
}

fn text(object: &InMemDicomObject, tag: Tag) -> String {
    object.get(tag).unwrap().to_str().unwrap().trim_end_matches(['\0', ' ']).to_owned()
}

/// The 24 right-handed ways to lay rows and columns along the axes, and two oblique ones.
fn orientations() -> Vec<[f64; 6]> {
    let axes: Vec<[f64; 3]> = (0..3)
        .flat_map(|axis| {
            [1.0, -1.0].map(|sign| std::array::from_fn(|i| if i == axis { sign } else { 0.0 }))
        })
        .collect();
    let mut out = Vec::new();
    for row in &axes {
        for column in &axes {
            if row.iter().zip(column).all(|(a, b)| a * b == 0.0) {
                out.push(std::array::from_fn(|i| if i < 3 { row[i] } else { column[i - 3] }));
            }
        }
    }
    let (c, s) = (0.96, 0.28);
    out.extend([[c, s, 0.0, -s, c, 0.0], [1.0, 0.0, 0.0, 0.0, c, -s]]);
    out
}

#[test]
fn every_orientation_of_a_series_comes_back_voxel_for_voxel() {
    let all = orientations();
    assert_eq!(all.len(), 26);
    for orientation in all {
        let (folder, map) = series(&Series { orientation, ..Series::default() });
        for kind in [SegType::Binary, SegType::Labelmap] {
            let (path, _) = write(folder.path(), &map, kind);
            assert_eq!(Format::of(&path).unwrap(), Format::DicomSeg);
            assert_eq!(read(&path, &map.geometry), map.labels, "{orientation:?} {kind:?}");
        }
    }
}

#[test]
fn a_mask_stored_in_any_of_48_orders_becomes_the_same_segmentation() {
    let (folder, map) = series(&Series::default());
    // The series is axial already.
    let axial = LabelMap { labels: map.labels.clone(), geometry: map.geometry.axial() };
    let codes = ["L", "R"].map(|x| ["P", "A"].map(|y| ["S", "I"].map(|z| [x, y, z])));
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut seen = 0;
    for letters in codes.into_iter().flatten().flatten() {
        for order in orders {
            let codes: String = order.map(|i: usize| letters[i]).concat();
            let mut stored = axial.clone();
            stored.geometry.stored.order =
                StorageOrder::from_codes(&codes, &stored.geometry.affine).unwrap();
            let mask = folder.path().join("mask").join("a.nii.gz");
            std::fs::create_dir_all(mask.parent().unwrap()).unwrap();
            write_label_map(&mask, &stored).unwrap();
            let back = read_label_map(&mask).unwrap();
            assert_eq!(back.geometry.stored_codes(), codes);
            let (path, _) = write(folder.path(), &back, SegType::Binary);
            assert_eq!(read(&path, &map.geometry), map.labels, "{codes}");
            seen += 1;
        }
    }
    assert_eq!(seen, 48);
}

#[test]
fn only_frames_that_hold_something_are_written_unless_asked() {
    let (folder, mut map) = series(&Series::default());
    map.labels.fill(0);
    map.labels.slice_mut(s![0, 1..3, 1..3]).fill(1);
    map.labels.slice_mut(s![3, 1..3, 1..3]).fill(1);
    map.labels.slice_mut(s![2, 4, 4]).fill(9);
    let frames = |kind, which| {
        let source = SourceSeries::read(folder.path(), Default::default()).unwrap();
        let path = folder.path().join("seg").join("a.dcm");
        let (table, maker) = (table(), maker());
        let settings = SegSettings { frames: which, ..settings(kind, &table, &maker) };
        write_dicom_seg(&path, map.clone(), Path::new("mask"), &source, settings).unwrap();
        assert_eq!(read(&path, &map.geometry), map.labels, "{kind:?} {which:?}");
        text(&open_file(&path).unwrap(), NUMBER_OF_FRAMES).parse::<usize>().unwrap()
    };
    assert_eq!(frames(SegType::Binary, SegFrames::Held), 3);
    assert_eq!(frames(SegType::Binary, SegFrames::Spanned), 4 + 1);
    assert_eq!(frames(SegType::Labelmap, SegFrames::Held), 4);
}

#[test]
fn names_colours_and_codes_come_back() {
    let (folder, map) = series(&Series::default());
    for kind in [SegType::Binary, SegType::Labelmap] {
        let (path, notes) = write(folder.path(), &map, kind);
        assert_eq!(notes, Vec::<String>::new());
        let names = LabelNames::own(&path).unwrap().table.unwrap();
        let found: Vec<_> = names
            .classes
            .values()
            .map(|label| (label.name.as_str(), label.color, label.code.clone().unwrap().value))
            .collect();
        let expected = [
            ("Ground glass", [241, 214, 145], "112120".to_owned()),
            ("Honeycombing", [183, 156, 220], "112106".to_owned()),
            ("Zyste, groß", [0, 151, 206], "1".to_owned()),
        ];
        assert_eq!(found, expected, "{kind:?}");
    }
}

#[test]
fn a_class_without_a_term_gets_the_generic_one_and_is_named() {
    let (folder, map) = series(&Series::default());
    let source = SourceSeries::read(folder.path(), Default::default()).unwrap();
    let path = folder.path().join("seg").join("a.dcm");
    let (empty, maker) = (LabelTable::new(Default::default()), maker());
    let settings = settings(SegType::Binary, &empty, &maker);
    let notes = write_dicom_seg(&path, map, Path::new("mask"), &source, settings).unwrap();
    assert!(notes[0].contains("label 1, label 2, label 9") && notes[0].contains("85756007"));
    assert!(LabelNames::own(&path).unwrap().table.unwrap().classes[&3].code.is_none());
}

#[test]
fn patient_study_and_frame_of_reference_are_those_of_the_series() {
    let (folder, map) = series(&Series::default());
    let (path, _) = write(folder.path(), &map, SegType::Binary);
    let seg = open_file(&path).unwrap();
    for (tag, value) in [
        (Tag(0x0010, 0x0010), "Müller^Jörg"),
        (Tag(0x0010, 0x0020), "ID-77"),
        (Tag(0x0020, 0x000d), "1.2.840.1"),
        (Tag(0x0020, 0x0052), "1.2.840.2"),
        (Tag(0x0020, 0x0011), "107"),
        (Tag(0x0008, 0x0060), "SEG"),
        (Tag(0x0008, 0x0020), "20200102"),
        (Tag(0x0010, 0x0030), ""),
    ] {
        let found = seg.get(tag).unwrap().to_str().unwrap();
        assert_eq!(found.trim_end_matches(['\0', ' ']), value, "{tag}");
    }
    assert_ne!(text(&seg, Tag(0x0020, 0x000e)), "1.2.840.1.7", "a series of its own");
    let series = &seg.get(Tag(0x0008, 0x1115)).unwrap().items().unwrap()[0];
    assert_eq!(text(series, Tag(0x0020, 0x000e)), "1.2.840.1.7");
    assert_eq!(series.get(Tag(0x0008, 0x114a)).unwrap().items().unwrap().len(), 5);
    // Each frame names the one slice that it lies on.
    for frame in seg.get(Tag(0x5200, 0x9230)).unwrap().items().unwrap() {
        let inside =
            |item: &InMemDicomObject, tag| item.get(tag).unwrap().items().unwrap()[0].clone();
        let position = inside(frame, Tag(0x0020, 0x9113));
        let z: f64 =
            text(&position, Tag(0x0020, 0x0032)).rsplit('\\').next().unwrap().parse().unwrap();
        let source = inside(&inside(frame, Tag(0x0008, 0x9124)), Tag(0x0008, 0x2112));
        assert_eq!(text(&source, Tag(0x0008, 0x1155)), Series::uid(((z - 20.0) / 2.5) as usize));
    }
}

#[test]
fn who_made_it_is_said_in_each_segment() {
    let (folder, map) = series(&Series::default());
    for (kind, term) in [("automatic", "AUTOMATIC"), ("drawn", "SEMIAUTOMATIC")] {
        let source = SourceSeries::read(folder.path(), Default::default()).unwrap();
        let path = folder.path().join("seg").join("a.dcm");
        let (table, maker) = (table(), SegMaker::program("ild-infer 0.1.0", kind, "words", None));
        let settings = settings(SegType::Binary, &table, &maker);
        write_dicom_seg(&path, map.clone(), Path::new("mask"), &source, settings).unwrap();
        let seg = open_file(&path).unwrap();
        for segment in seg.get(SEGMENTS).unwrap().items().unwrap() {
            assert_eq!(text(segment, Tag(0x0062, 0x0008)), term);
            assert_eq!(text(segment, Tag(0x0062, 0x0009)), "ild-infer");
        }
        assert_eq!(text(&seg, Tag(0x0070, 0x0081)), "research use; words");
    }
}

#[test]
fn the_same_mask_of_the_same_series_has_the_same_identifiers() {
    let (folder, map) = series(&Series::default());
    let uid = |map: &LabelMap, kind| {
        let (path, _) = write(folder.path(), map, kind);
        text(&open_file(&path).unwrap(), Tag(0x0008, 0x0018))
    };
    let first = uid(&map, SegType::Binary);
    assert_eq!(first, uid(&map, SegType::Binary));
    assert_ne!(first, uid(&map, SegType::Labelmap));
    let mut other = map.clone();
    other.labels[[2, 2, 2]] ^= 1;
    assert_ne!(first, uid(&other, SegType::Binary));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let (folder, map) = series(&Series::default());
    let (table, maker) = (table(), maker());
    let source = SourceSeries::read(folder.path(), Default::default()).unwrap();
    let refusal = |map: LabelMap| {
        let settings = settings(SegType::Binary, &table, &maker);
        let path = folder.path().join("seg.dcm");
        let error = write_dicom_seg(&path, map, Path::new("m.nii"), &source, settings).unwrap_err();
        assert!(error.is_rejection() && !path.exists());
        error.to_string()
    };
    let mut empty = map.clone();
    empty.labels.fill(0);
    assert!(refusal(empty).contains("no empty segmentation"));
    let mut moved = map.clone();
    moved.geometry.affine.0[0][3] += 1.0;
    assert!(refusal(moved).contains("1.00 mm away"));
}

#[test]
fn a_series_that_cannot_be_referred_to_is_refused() {
    for (tag, words) in
        [(Tag(0x0020, 0x000d), "StudyInstanceUID"), (Tag(0x0008, 0x0018), "2 UIDs for 3 slices")]
    {
        let folder = tempfile::tempdir().unwrap();
        Series { slices: 3, ..Series::default() }.save(folder.path());
        for name in ["IM001.dcm", "IM002.dcm", "IM003.dcm"] {
            let path = folder.path().join(name);
            let mut object = open_file(&path).unwrap().into_inner();
            if tag == Tag(0x0020, 0x000d) {
                object.remove_element(tag);
            } else if name != "IM003.dcm" {
                object.put(DataElement::new(tag, VR::UI, PrimitiveValue::from("1.2.9")));
            }
            save_as(&path, common::dicom::Slice(object), common::dicom::EXPLICIT_LITTLE_ENDIAN);
        }
        let error = SourceSeries::read(folder.path(), Default::default()).unwrap_err();
        assert!(error.is_rejection() && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn overlaps_fractions_and_damage_are_refused_by_name() {
    let (folder, map) = series(&Series::default());
    let (path, _) = write(folder.path(), &map, SegType::Binary);
    let refusal = |change: &dyn Fn(&mut InMemDicomObject)| {
        let mut object = open_file(&path).unwrap().into_inner();
        change(&mut object);
        let other = path.with_file_name("other.dcm");
        save_as(&other, common::dicom::Slice(object), common::dicom::EXPLICIT_LITTLE_ENDIAN);
        let error = read_label_map(&other).unwrap_err();
        assert!(error.is_rejection(), "{error}");
        error.to_string()
    };
    let put = |object: &mut InMemDicomObject, tag, vr, value: &str| {
        object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    };
    let kind = Tag(0x0062, 0x0001);
    assert!(refusal(&|o| put(o, kind, VR::CS, "FRACTIONAL")).contains("FRACTIONAL of 1 bits"));
    let frames = refusal(&|o| put(o, NUMBER_OF_FRAMES, VR::IS, "2"));
    assert!(frames.contains("2 frames, as NumberOfFrames says"), "{frames}");
    let pixels = |bytes: Vec<u8>| {
        DataElement::new(Tag(0x7fe0, 0x0010), VR::OB, PrimitiveValue::U8(bytes.into()))
    };
    let short = refusal(&|o| drop(o.put(pixels(vec![0; 4]))));
    assert!(short.contains("bytes of pixels"), "{short}");
    let all = refusal(&|o| drop(o.put(pixels(vec![255; 400]))));
    assert!(all.contains("do not overlap"), "{all}");
}

#[test]
fn segment_numbers_are_never_taken_for_label_ids() {
    let (folder, map) = series(&Series::default());
    let (path, _) = write(folder.path(), &map, SegType::Binary);
    let error = read_mask(&path, &LabelTable::new(Default::default())).unwrap_err();
    assert!(error.is_rejection() && error.to_string().contains("numbers are no ids"), "{error}");
}

#[test]
fn the_commands_go_there_and_back() {
    let (folder, map) = series(&Series::default());
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ild-io"));
        let output = command.current_dir(work.path()).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said + &String::from_utf8_lossy(&output.stderr))
    };
    let like = folder.path().to_str().unwrap();
    write_label_map(&at("a.nii.gz"), &map).unwrap();
    std::fs::write(at("labels.json"), serde_json::to_string(&table()).unwrap()).unwrap();
    let (code, said) = run(&["convert", "a.nii.gz", "a.seg.dcm"]);
    assert!(code == Some(2) && said.contains("--like"), "{said}");
    let (code, said) = run(&["convert", "a.nii.gz", "--like", like, "a.seg.dcm"]);
    assert!(code == Some(0) && said.contains("nothing says how this mask was made"), "{said}");
    let (code, said) = run(&["convert", "a.nii.gz", "--like", like, "a.seg.dcm"]);
    assert!(code == Some(3) && said.contains("--force"), "{said}");
    let (code, said) = run(&["convert", "a.seg.dcm", "--like", like, "b.nii.gz"]);
    assert!(code == Some(0) && said.contains("b.json"), "{said}");
    let back = read_mask(&at("b.nii.gz"), &table()).unwrap();
    let back = back.on_grid_of(&at("b.nii.gz"), "mask", "series", &map.geometry).unwrap();
    assert_eq!(back.labels, map.labels);
    let (code, said) = run(&["convert", "a.seg.dcm", "c.nii.gz"]);
    assert!(code == Some(0) && said.contains("5 slices from its first frame"), "{said}");
    let (code, said) = run(&["info", "a.seg.dcm"]);
    assert!(code == Some(0) && said.contains("Honeycombing"), "{said}");
    assert!(!said.contains("Müller") && !said.contains("ID-77"), "{said}");
    let (code, said) = run(&[
        "convert",
        "b.nii.gz",
        "--like",
        like,
        "--made-by",
        "manual",
        "--seg-type",
        "labelmap",
        "d.dcm",
    ]);
    assert!(code == Some(0), "{said}");
    let seg = open_file(at("d.dcm")).unwrap();
    let segments = seg.get(SEGMENTS).unwrap().items().unwrap();
    assert_eq!(text(&segments[1], Tag(0x0062, 0x0008)), "MANUAL");
}
