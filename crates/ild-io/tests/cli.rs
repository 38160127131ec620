//! `ild-io info` and `ild-io convert` as a user runs them.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::NiftiBytes;
use ild_io::{
    Geometry, Images, LabelTable, Placement, SliceStack, Volume, Voxels, Window,
    read_label_map_as_stored, read_volume, read_volume_as_stored, write_npz, write_volume,
};
use ndarray::Array3;

fn ild_io(args: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ild-io")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A CT of air, lung and water, 1.5 mm × 1.5 mm × 3 mm.
fn ct(shape: [usize; 3]) -> Volume {
    let geometry = Geometry::new(shape, common::oblique([1.5, 1.5, 3.0], [-90.0, -80.0, 12.0]));
    Volume {
        voxels: Voxels::I16(Array3::from_shape_fn(shape, |(z, y, x)| match (z + y + x) % 6 {
            0 | 3 => -1000,
            1 => -850,
            _ => (y * x % 91) as i16,
        })),
        geometry,
    }
}

fn case() -> SliceStack {
    let mut labels = Array3::zeros((3, 6, 5));
    labels[[1, 2, 3]] = 2;
    SliceStack {
        images: Images::Grey(Array3::from_shape_fn((3, 6, 5), |(z, y, x)| {
            (100 * z + 10 * y + x) as u8
        })),
        labels: Some(labels),
        placement: Placement::new(
            Geometry::new([9, 6, 5], common::oblique([1.5, 1.5, 3.0], [-90.0, -80.0, 12.0])),
            vec![2, 3, 7],
        )
        .unwrap(),
        window: Some(Window { level_hu: 40.0, width_hu: 400.0 }),
        label_table: Some(LabelTable::default()),
        is_2d: false,
    }
}

#[test]
fn info_says_what_is_there_and_what_is_odd() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ct.nii.gz");
    write_volume(&path, &ct([4, 20, 20])).unwrap();
    let out = ild_io(&["info".as_ref(), &path]);
    assert_eq!(out.status.code(), Some(0));
    let said = text(&out.stdout);
    for expected in [
        "4 × 20 × 20 (z, y, x), int16",
        "1.5 × 1.5 × 3 mm (x, y, z)",
        "RAS",
        "-1000 to 90",
        "air 33.",
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
    assert!(!said.contains("warning"), "{said}");

    let mut file = NiftiBytes::new([1, 2, 2], 2);
    file.i16(252, 1).f32(268, &[0.0, 0.0, 5.0]).voxels(&[0, 60, 70, 80]);
    fs::write(&path, &file.0).unwrap();
    let said = text(&ild_io(&["info".as_ref(), &path]).stdout);
    for expected in [
        "sform and qform disagree by up to 5.00 mm; the sform is used",
        "a header that was probably never filled in",
        "a single slice along z",
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
}

#[test]
fn info_warns_of_a_scan_that_is_not_in_hounsfield_units() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ct.nii.gz");
    let warning = |map: fn(i16) -> i16| {
        let mut scan = ct([4, 20, 20]);
        if let Voxels::I16(hu) = &mut scan.voxels {
            hu.mapv_inplace(map);
        }
        write_volume(&path, &scan).unwrap();
        text(&ild_io(&["info".as_ref(), &path]).stdout)
    };
    assert!(warning(|hu| hu + 1024).contains(
        "the CT's lowest value is 24: no air near -1000, so these are hardly Hounsfield units"
    ));
    assert!(
        warning(|hu| hu.max(-200)).contains("the CT's lowest value is -200: no air near -1000")
    );
    assert!(
        warning(|hu| if hu == -1000 { -3024 } else { hu })
            .contains("of the values lie below -1100 HU (padding outside the field of view)")
    );
}

#[test]
fn info_of_a_case_names_labels_and_gaps_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.npz");
    write_npz(&path, &case()).unwrap();
    let out = ild_io(&["info".as_ref(), "--json".as_ref(), &path]);
    let list: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(list[0]["shape"], serde_json::json!([3, 6, 5]));
    let label = &list[0]["labels"][0];
    assert_eq!(
        (&label["id"], &label["name"], &label["voxels"]),
        (&2.into(), &"Reticulation".into(), &1.into())
    );
    // The volume is the determinant of the affine.
    assert!((label["volume_ml"].as_f64().unwrap() - 0.00675).abs() < 1e-12, "{label}");
    assert_eq!(list[0]["window"]["level_hu"], 40.0);
    let warnings = list[0]["warnings"].to_string();
    assert!(
        warnings
            .contains("neighbouring slices are not neighbours in the patient at 1 places (z 3→7)"),
        "{warnings}"
    );
}

#[test]
fn info_tells_of_all_files_even_if_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("ct.nii"), folder.path().join("bad.nii"));
    write_volume(&good, &ct([2, 3, 4])).unwrap();
    fs::write(&bad, "no volume").unwrap();
    let out = ild_io(&["info".as_ref(), &bad, &good]);
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stdout).contains("2 × 3 × 4"));
    assert!(text(&out.stderr).contains("bad.nii: expected a NIfTI file"));
}

#[test]
fn packing_and_unpacking_keeps_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, packed, again] =
        ["a.nii", "b.nii.gz", "c.nii"].map(|name| folder.path().join(name));
    let mut file = NiftiBytes::new([2, 2, 2], 4);
    file.put(148, b"a description that a rewrite would lose")
        .f32(112, &[0.5, -3.0])
        .voxels(&[1; 16]);
    fs::write(&plain, &file.0).unwrap();
    assert_eq!(ild_io(&["convert".as_ref(), &plain, &packed]).status.code(), Some(0));
    assert_eq!(ild_io(&["convert".as_ref(), &packed, &again]).status.code(), Some(0));
    assert_eq!(fs::read(&again).unwrap(), file.0);
    assert!(fs::read(&packed).unwrap().starts_with(&[0x1f, 0x8b]));
}

#[test]
fn an_existing_output_is_kept_without_force() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.nii"), folder.path().join("b.nii.gz"));
    write_volume(&from, &ct([2, 3, 4])).unwrap();
    fs::write(&to, "precious").unwrap();
    let out = ild_io(&["convert".as_ref(), &from, &to]);
    assert_eq!(out.status.code(), Some(3));
    assert!(
        text(&out.stderr)
            .contains("b.nii.gz: expected a new file, found an existing one; name another output, or overwrite it with --force")
    );
    let with = |word: &str| ild_io(&["convert".as_ref(), word.as_ref(), &from, &to]).status.code();
    assert_eq!(with("--force"), Some(3), "it is not ours");
    assert_eq!(fs::read(&to).unwrap(), b"precious");
    assert_eq!(with("--overwrite-foreign"), Some(0));
    assert_eq!(with("--force"), Some(0), "now it is");
    assert_eq!(read_volume(&to).unwrap(), read_volume(&from).unwrap());
}

#[test]
fn the_slices_of_a_case_go_to_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let (npz, out) = (folder.path().join("case.npz"), folder.path().join("look.nii.gz"));
    let case = case();
    write_npz(&npz, &case).unwrap();
    assert_eq!(ild_io(&["convert".as_ref(), &npz, &out]).status.code(), Some(0));
    let (volume, labels) = (
        read_volume_as_stored(&out).unwrap(),
        read_label_map_as_stored(&folder.path().join("look_gts.nii.gz")).unwrap(),
    );
    let Voxels::U8(voxels) = &volume.voxels else { panic!("uint8 expected") };
    assert_eq!(voxels.dim(), (9, 6, 5));
    assert_eq!((voxels[[7, 4, 1]], voxels[[5, 4, 1]], labels.labels[[3, 2, 3]]), (241, 0, 2));
    // What 32-bit header fields keep.
    const HEADER_MM: f64 = 1e-4;
    let grid = case.placement.geometry();
    assert!(
        volume.geometry.corner_distance_mm(grid) < HEADER_MM
            && labels.geometry.corner_distance_mm(grid) < HEADER_MM
    );
}

/// Steps at which a run is killed; at the start, in the middle and near the end of a second's work.
const KILL_AFTER_MS: [u64; 8] = [1, 5, 20, 40, 80, 160, 320, 640];

#[test]
fn a_killed_run_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.nii"), folder.path().join("b.nii.gz"));
    let volume = ct([60, 256, 256]);
    write_volume(&from, &volume).unwrap();
    let mut killed = 0;
    for after in KILL_AFTER_MS {
        let mut run = Command::new(env!("CARGO_BIN_EXE_ild-io"))
            .arg("convert")
            .args([&from, &to])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after));
        killed += usize::from(run.try_wait().unwrap().is_none());
        run.kill().unwrap();
        run.wait().unwrap();
        if to.exists() {
            let read = read_volume_as_stored(&to).unwrap();
            assert_eq!(read.voxels, volume.voxels, "killed after {after} ms");
            fs::remove_file(&to).unwrap();
        }
    }
    assert!(killed >= 3, "only {killed} runs were killed while they worked");
    assert_eq!(ild_io(&["convert".as_ref(), &from, &to]).status.code(), Some(0));
    assert_eq!(read_volume_as_stored(&to).unwrap().voxels, volume.voxels);
}

/// A file-size limit stands for a full disk: the write fails in the middle.
#[test]
fn a_full_disk_is_an_error_that_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.nii"), folder.path().join("b.nii"));
    write_volume(&from, &ct([20, 100, 100])).unwrap();
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" convert \"$1\" \"$2\"";
    let out = Command::new("bash")
        .args(["-c", limited, env!("CARGO_BIN_EXE_ild-io")])
        .args([&from, &to])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("b.nii: could not be written"), "{}", text(&out.stderr));
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| !name.as_encoded_bytes().starts_with(b".ild-files")).count(), 1);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    assert_eq!(ild_io(&["info".as_ref()]).status.code(), Some(2));
    assert_eq!(ild_io(&["convert".as_ref(), "only-one".as_ref()]).status.code(), Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_leaves_is_no_fault_and_a_full_disk_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ct.nii.gz");
    write_volume(&path, &ct([4, 20, 20])).unwrap();
    let program = env!("CARGO_BIN_EXE_ild-io");
    for args in [vec!["info".as_ref(), path.as_os_str(), path.as_os_str()], vec!["--help".as_ref()]]
    {
        let mut child = Command::new(program).args(&args).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let out = Command::new(program).args(&args).stdout(full).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", text(&out.stderr));
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let out = Command::new(program).args(["info", "absent.nii"]).stderr(full).output().unwrap();
    assert_eq!(
        out.status.code(),
        Some(3),
        "words that stderr cannot take are lost, the code is not"
    );
}

#[test]
fn a_table_that_no_program_reads_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("a.toml");
    fs::write(&config, "[training]\nlr = 3e-4\n").unwrap();
    let out = ild_io(&["info".as_ref(), "--config".as_ref(), &config, "x".as_ref()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("did you mean [train]?"), "{}", text(&out.stderr));
}
