//! Byte parity with the reference's own outputs, where its fixtures are at hand
//! (`../shared/fixtures` beside the workspace).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use ild_preprocess::{LabelRuns, Neighbours, keep_large, nearest_indices, resize_nearest};
use ndarray::{Array1, Array2, Array3, Axis};
use ndarray_npy::NpzReader;

fn fixtures() -> Option<PathBuf> {
    ild_test_support::shared("fixtures")
}

fn run(args: &[&str], paths: &[(&str, &Path)]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ild-preprocess"));
    command.args(args).arg("--quiet");
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The bytes of one array inside an NPZ, numpy's header included.
fn member(npz: &Path, name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(npz).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_npz_of_the_reference_is_reproduced_to_the_byte() {
    let Some(fixtures) = fixtures() else { return };
    let preproc = fixtures.join("preproc");
    let output = tempfile::tempdir().unwrap();
    let sets = [
        (
            "lung",
            vec!["--anatomy", "ILD", "--window-level", "-600", "--window-width", "1500"],
            "CT_ILD",
        ),
        ("abd", vec!["--anatomy", "Abd"], "CT_Abd"),
        ("mr", vec!["--modality", "MR", "--anatomy", "X"], "MR_X"),
    ];
    let mut compared = 0;
    for (set, flags, group) in sets {
        let out = output.path().join(set);
        let args: Vec<&str> =
            ["nii-to-npz", "--parity", "--name-prefix"].into_iter().chain(flags).collect();
        run(
            &args,
            &[
                ("--img-path", &preproc.join("nii/imgs")),
                ("--gt-path", &preproc.join("nii/gts")),
                ("--output", &out),
            ],
        );
        for entry in std::fs::read_dir(preproc.join(set)).unwrap() {
            let golden = entry.unwrap().path();
            let ours = out.join("npz_train").join(group).join(golden.file_name().unwrap());
            for key in ["imgs.npy", "gts.npy", "spacing.npy"] {
                assert_eq!(
                    member(&ours, key),
                    member(&golden, key),
                    "{set}: {} {key}",
                    golden.display()
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 3 * (8 + 3 + 3));
}

#[test]
fn npy_slices_of_the_reference_are_reproduced_to_the_byte() {
    let Some(fixtures) = fixtures() else { return };
    let preproc = fixtures.join("preproc");
    let output = tempfile::tempdir().unwrap();
    run(
        &["npz-to-npy"],
        &[("--npz-train-dir", &preproc.join("lung")), ("--npy-dir", output.path())],
    );
    let train = output.path().join("train");
    let names: Vec<String> = serde_json::from_value(
        serde_json::from_slice::<serde_json::Value>(
            &std::fs::read(preproc.join("meta.json")).unwrap(),
        )
        .unwrap()["npy_files"]
            .clone(),
    )
    .unwrap();
    for folder in ["imgs", "gts"] {
        let mut ours: Vec<String> = std::fs::read_dir(train.join(folder))
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect();
        ours.sort();
        assert_eq!(ours, names, "{folder}");
    }
    let same = |ours: &str, golden: &str| {
        assert_eq!(
            std::fs::read(train.join(ours)).unwrap(),
            std::fs::read(preproc.join(golden)).unwrap()
        )
    };
    same("imgs/CT_ILD_case01-000.npy", "CT_ILD_case01-000_img.npy");
    same("gts/CT_ILD_case01-000.npy", "CT_ILD_case01-000.npy");
}

#[test]
fn dust_of_the_reference_is_reproduced() {
    let Some(fixtures) = fixtures() else { return };
    let mut npz =
        NpzReader::new(std::fs::File::open(fixtures.join("misc/dust.npz")).unwrap()).unwrap();
    let names: Vec<String> =
        npz.names().unwrap().iter().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
    let mut compared = 0;
    for name in names.iter().filter(|name| name.ends_with("_out")) {
        // `v3_0_thr20_out` goes with `v3_0_thr20_in`, `edge3_thr4_out` with `edge3_in`.
        let stem = name.trim_end_matches("_out");
        let (volume, threshold) = stem.rsplit_once("_thr").unwrap();
        let input =
            if volume.starts_with("edge") { format!("{volume}_in") } else { format!("{stem}_in") };
        let flat = name.starts_with("v2") || name.starts_with("edge2");
        let read = |npz: &mut NpzReader<_>, name: &str| -> Array3<u8> {
            if flat {
                npz.by_name::<_, ndarray::Ix2>(name)
                    .map(|a: Array2<u8>| a.insert_axis(Axis(0)))
                    .unwrap()
            } else {
                npz.by_name(name).unwrap()
            }
        };
        let (labels, expected) = (read(&mut npz, &input), read(&mut npz, name));
        let neighbours = if flat { Neighbours::Slice8 } else { Neighbours::Volume26 };
        let kept =
            keep_large(&LabelRuns::new(labels.view(), &[]), neighbours, threshold.parse().unwrap());
        let mut ours = Array3::zeros(labels.dim());
        ours.outer_iter_mut().enumerate().for_each(|(z, slice)| kept.paint(z, slice));
        assert_eq!(ours, expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 15);
}

#[test]
fn nearest_resize_of_the_reference_is_reproduced() {
    let Some(fixtures) = fixtures() else { return };
    let mut npz =
        NpzReader::new(std::fs::File::open(fixtures.join("misc/cv2_nearest.npz")).unwrap())
            .unwrap();
    let names: Vec<String> =
        npz.names().unwrap().iter().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
    for name in names.iter().filter(|name| name.starts_with("xs_") || name.starts_with("ys_")) {
        let (axis, sizes) = name.split_once('_').unwrap();
        let (from, to) = sizes.split_once("_to_").unwrap();
        // Sizes are written width x height or height x width; both of a pair are tried where they
        // differ.
        let pick =
            |text: &str| text.split('x').map(|n| n.parse::<usize>().unwrap()).collect::<Vec<_>>();
        let expected: Array1<u16> = npz.by_name(name).unwrap();
        let (from, to) = (pick(from), pick(to));
        let which = usize::from(axis == "xs");
        let ours: Vec<u16> =
            nearest_indices(from[which], to[which]).into_iter().map(|i| i as u16).collect();
        assert_eq!(ours, expected.to_vec(), "{name}");
    }
    let source: Array2<u8> = npz.by_name("small_src").unwrap();
    for name in names.iter().filter(|name| name.starts_with("small_to_")) {
        let expected: Array2<u8> = npz.by_name(name).unwrap();
        assert_eq!(
            resize_nearest(source.view(), expected.nrows(), expected.ncols()),
            expected,
            "{name}"
        );
    }
}

/// The sizes whose pixels depend on rounding, as measured with OpenCV: ours differ from exact
/// arithmetic there and nowhere else.
#[test]
fn rounding_matters_exactly_where_opencv_was_seen_to_round() {
    let Some(fixtures) = fixtures() else { return };
    let versions: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixtures.join("misc/versions.json")).unwrap())
            .unwrap();
    let listed = versions["nearest_exceptions"].as_object().unwrap();
    let mut differing = 0;
    for target in [256usize, 1024] {
        for source in 1..=1500usize {
            let differs = nearest_indices(source, target)
                .iter()
                .enumerate()
                .any(|(i, &index)| index != i * source / target);
            assert_eq!(
                differs,
                listed.contains_key(&format!("{target}<-{source}")),
                "{source} -> {target}"
            );
            differing += usize::from(differs);
        }
    }
    assert_eq!(differing, listed.len());
}
