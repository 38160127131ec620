//! Segmentations of 3D Slicer: names and layers.

use std::fs;
use std::path::Path;
use std::process::Command;

use ild_io::cohort::{LabelNames, read_mask};
use ild_io::{Label, LabelTable, read_label_map, read_volume};
use ild_test_support::SegNrrd;

/// Two rows of three voxels.
fn of<'a>(segments: &[(&'a str, usize, u8)], layers: &[[u8; 6]]) -> SegNrrd<'a> {
    SegNrrd {
        sizes_xyz: [3, 2, 1],
        spacing_xyz_mm: [0.5, 0.5, 2.0],
        segments: segments.to_vec(),
        layers: layers.iter().map(|layer| layer.to_vec()).collect(),
    }
}

fn ids(path: &Path) -> Vec<u8> {
    read_label_map(path).unwrap().labels.into_iter().collect()
}

fn table(rows: &[(u8, &str)]) -> LabelTable {
    let label =
        |&(id, name): &(u8, &str)| (id, Label { name: name.to_owned(), color: [0; 3], code: None });
    LabelTable::new(rows.iter().map(label).collect())
}

#[test]
fn what_a_segment_is_called_decides_and_not_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.seg.nrrd");
    of(&[("Honeycombing", 0, 1), ("Reticulation", 0, 2)], &[[0, 1, 1, 2, 0, 2]]).write(&path);
    assert_eq!(ids(&path), [0, 1, 1, 2, 0, 2]);
    let own = LabelNames::own(&path).unwrap().table.unwrap();
    assert_eq!((own.name(1).as_str(), own.color(1)), ("Honeycombing", [255, 128, 0]));
    let mask = read_mask(&path, &LabelTable::default()).unwrap();
    assert_eq!(mask.labels.into_iter().collect::<Vec<u8>>(), [0, 5, 5, 2, 0, 2]);
    let error = read_mask(&path, &table(&[(1, "Emphysema")])).unwrap_err().to_string();
    assert!(error.contains("label 1 is called `Honeycombing`"), "{error}");
    assert!(error.contains("1 Emphysema") && error.contains("--labels"), "{error}");
}

#[test]
fn layers_become_one_map_whose_segments_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.seg.nrrd");
    // Both have the value 1, each in its own layer.
    let layers = [[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 2]];
    of(&[("GGO", 0, 1), ("Honeycombing", 1, 1), ("Reticulation", 1, 2)], &layers).write(&path);
    assert_eq!(ids(&path), [0, 1, 1, 2, 0, 3]);
    let named = table(&[(7, "honeycombing"), (8, "GGO"), (9, "Reticulation")]);
    let mask = read_mask(&path, &named).unwrap();
    assert_eq!(mask.labels.into_iter().collect::<Vec<u8>>(), [0, 8, 8, 7, 0, 9]);
    assert_eq!(mask.geometry.spacing_xyz_mm, [0.5, 0.5, 2.0]);
    // Values that differ are ids as they are.
    of(&[("GGO", 0, 4), ("Honeycombing", 1, 9)], &[[0, 4, 4, 0, 0, 0], [0, 0, 0, 9, 9, 0]])
        .write(&path);
    assert_eq!(ids(&path), [0, 4, 4, 9, 9, 0]);
    let error = read_volume(&path).unwrap_err().to_string();
    assert!(error.contains("expected dimension 3"), "no CT has layers: {error}");
}

#[test]
fn what_one_map_cannot_hold_or_nobody_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.seg.nrrd");
    let two = [("GGO", 0, 1), ("Honeycombing", 1, 1)];
    let one = &two[..1];
    for (made, expected) in [
        (of(&two, &[[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0]]), "2 voxels in `GGO` and in `Honey"),
        (of(one, &[[1, 1, 7, 0, 0, 0]]), "1 with a value of none of them"),
        (of(&[("GGO", 0, 1), ("ggo", 0, 2)], &[[1, 2, 0, 0, 0, 0]]), "the name `ggo` for 1"),
        (of(&[("GGO", 0, 1), ("Honey", 0, 1)], &[[1, 1, 0, 0, 0, 0]]), "two with the same"),
        (of(&[("GGO", 3, 1)], &[[1, 1, 0, 0, 0, 0]]), "a Segment0_Layer below 1"),
        (of(&[("GGO", 0, 0)], &[[0, 0, 0, 0, 0, 0]]), "a Segment0_LabelValue of 1 to 255"),
    ] {
        made.write(&path);
        let error = read_label_map(&path).unwrap_err();
        let text = error.to_string();
        assert!(error.is_rejection() && text.contains(expected), "{expected}: {text}");
        assert!(text.contains("a.seg.nrrd") && text.contains(";"), "{text}");
    }
}

#[test]
fn convert_and_info_keep_the_names() {
    let folder = tempfile::tempdir().unwrap();
    of(&[("Honeycombing", 0, 1), ("Reticulation", 0, 2)], &[[0, 1, 1, 2, 0, 2]])
        .write(&folder.path().join("a.seg.nrrd"));
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ild-io"));
        let output = command.current_dir(folder.path()).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, said) = run(&["info", "a.seg.nrrd"]);
    assert!(code == Some(0) && said.contains("Honeycombing"), "{said}");
    let (code, said) = run(&["convert", "a.seg.nrrd", "b.nii.gz"]);
    assert!(code == Some(0) && said.contains("b.json"), "{said}");
    let mask = read_mask(&folder.path().join("b.nii.gz"), &LabelTable::default()).unwrap();
    assert_eq!(mask.labels.into_iter().collect::<Vec<u8>>(), [0, 5, 5, 2, 0, 2]);
    let (_, said) = run(&["info", "b.nii.gz"]);
    assert!(said.contains("Honeycombing") && said.contains("b.json"), "{said}");
    // A mask beside which another one's names lie would be called by them.
    fs::write(folder.path().join("c.json"), r#"{"label_table": {}}"#).unwrap();
    let (code, said) = run(&["convert", "a.seg.nrrd", "c.nii.gz"]);
    assert!(code == Some(3) && said.contains("c.json") && said.contains("--force"), "{said}");
}
