//! Arrays equal those of numpy, connected-components-3d, OpenCV and SimpleITK, byte for byte.
//!
//! `tests/golden/preproc` holds small inputs and what the Python packages made of them (`export.py`
//! remakes it).

use std::fs::File;
use std::path::{Path, PathBuf};

use ild_io::{Images, Voxels};
use ild_preprocess::{
    LabelRuns, Neighbours, Scaling, Windowing, keep_large, nearest_indices, spread_mr, window_ct,
};
use ndarray::{Array1, Array3};
use ndarray_npy::NpzReader;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/preproc")
}

fn open(name: &str) -> (NpzReader<File>, Vec<String>) {
    let path = golden().join(name);
    let mut npz = NpzReader::new(
        File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap();
    let names = npz
        .names()
        .unwrap()
        .into_iter()
        .map(|name| name.trim_end_matches(".npy").to_owned())
        .collect();
    (npz, names)
}

fn painted(runs: &LabelRuns) -> Array3<u8> {
    let mut out = Array3::zeros(runs.shape_zyx());
    for (z, slice) in out.outer_iter_mut().enumerate() {
        runs.paint(z, slice);
    }
    out
}

#[test]
fn dust_is_that_of_connected_components_3d() {
    let (mut npz, names) = open("dust.npz");
    let mut compared = 0;
    for input in names.iter().filter(|name| name.ends_with("_in")) {
        let stem = input.trim_end_matches("_in");
        let threshold: u64 = stem.split_once('_').unwrap().1.parse().unwrap();
        let labels: Array3<u8> = npz.by_name(input).unwrap();
        let runs = LabelRuns::new(labels.view(), &[]);
        for (ending, neighbours) in [("3d", Neighbours::Volume26), ("2d", Neighbours::Slice8)] {
            let expected: Array3<u8> = npz.by_name(&format!("{stem}_{ending}")).unwrap();
            assert!(expected != labels, "{stem}: the golden removes nothing and proves nothing");
            assert_eq!(
                painted(&keep_large(&runs, neighbours, threshold)),
                expected,
                "{stem}_{ending}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
}

#[test]
fn nearest_takes_the_pixels_that_opencv_takes() {
    let (mut npz, names) = open("nearest.npz");
    let mut unlike_exact = 0;
    for name in &names {
        let (source, target) = name.split_once('_').unwrap();
        let (source, target): (usize, usize) = (source.parse().unwrap(), target.parse().unwrap());
        let expected: Array1<u16> = npz.by_name(name).unwrap();
        let ours = nearest_indices(source, target);
        assert!(
            ours.iter().zip(&expected).all(|(&a, &b)| a == usize::from(b)),
            "{source} -> {target}"
        );
        unlike_exact +=
            usize::from(ours.iter().enumerate().any(|(i, &index)| index != i * source / target));
    }
    assert!(unlike_exact >= 60, "only {unlike_exact} sizes test the rounding");
}

/// The volume under `name`, in its own type.
fn voxels(npz: &mut NpzReader<File>, name: &str) -> Voxels {
    match name.trim_end_matches("_in") {
        "u8" => Voxels::U8(npz.by_name(name).unwrap()),
        "u16" => Voxels::U16(npz.by_name(name).unwrap()),
        "i16" | "narrow" => Voxels::I16(npz.by_name(name).unwrap()),
        "i32" => Voxels::I32(npz.by_name(name).unwrap()),
        "f32" => Voxels::F32(npz.by_name(name).unwrap()),
        "f64" => Voxels::F64(npz.by_name(name).unwrap()),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn grey_levels_are_numpys_for_every_type_and_window() {
    let (mut npz, names) = open("window.npz");
    let mut compared = 0;
    for input in names.iter().filter(|name| name.ends_with("_in")) {
        let volume = voxels(&mut npz, input);
        let kind = input.trim_end_matches("_in");
        let slices: Vec<usize> = (0..volume.shape_zyx()[0]).collect();
        for name in names
            .iter()
            .filter(|name| name.starts_with(&format!("{kind}_")) && !name.ends_with("_in"))
        {
            let expected: Array3<u8> = npz.by_name(name).unwrap();
            let parts: Vec<&str> = name.split('_').collect();
            let ours = match parts[1..] {
                ["mr"] => spread_mr(&volume, &slices).unwrap(),
                ["ct", level, width] => {
                    let window = ild_io::Window {
                        level_hu: level.parse().unwrap(),
                        width_hu: width.parse().unwrap(),
                    };
                    window_ct(&volume, &slices, &Windowing::Grey(window), Scaling::ImageRange)
                        .images
                }
                _ => panic!("{name}"),
            };
            assert_eq!(ours, Images::Grey(expected), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 35);
}

#[test]
fn a_hounsfield_unit_has_one_grey_whatever_else_is_in_the_scan() {
    let lung: Windowing = "lung".parse().unwrap();
    let grey = |values: Vec<i16>| {
        let n = values.len();
        let volume = Voxels::I16(Array3::from_shape_vec((1, 1, n), values).unwrap());
        match window_ct(&volume, &[0], &lung, Scaling::WindowBounds).images {
            Images::Grey(grey) => grey.into_raw_vec_and_offset().0,
            Images::Rgb(_) => unreachable!(),
        }
    };
    // (v + 1350) / 1500 * 255, cut off.
    assert_eq!(grey(vec![-3024, -1350, -600, 0, 150, 3071]), [0, 0, 127, 229, 255, 255]);
    assert_eq!(grey(vec![-600, -600]), [127, 127]);
}

#[test]
fn the_soft_window_flattens_the_lung_and_the_lung_window_does_not() {
    let ramp: Vec<i16> = (-1000..200).collect();
    let volume = Voxels::I16(Array3::from_shape_vec((1, 30, 40), ramp).unwrap());
    let share = |name: &str| {
        window_ct(&volume, &[0], &name.parse().unwrap(), Scaling::WindowBounds)
            .flattened
            .share()
            .unwrap()
    };
    assert_eq!(share("soft"), 1.0);
    assert_eq!(share("lung"), 0.0);
    assert_eq!(share("rgb"), 0.0);
    // -910 HU is the lower bound: -950..=-909 is black, 42 of the 751 values; -908 is the first to
    // reach grey level 1 + ...
    let flattened =
        window_ct(&volume, &[0], &"medsam-lung".parse().unwrap(), Scaling::WindowBounds).flattened;
    assert_eq!(flattened.lung_voxels, 751);
    let black =
        (-950..=-200).filter(|hu| (f64::from(hu + 910) / 1500.0 * 255.0) < 1.0).count() as u64;
    assert_eq!(flattened.flattened_voxels, black);
}

/// Runs `nii-to-npz` over the golden cases and returns the arrays of `case`.
fn stage1(output: &Path, flags: &[&str], case: &str) -> ild_io::SliceStack {
    let cases = golden().join("cases");
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_ild-preprocess"))
        .args([
            "nii-to-npz",
            "--parity",
            "--min-voxels-3d",
            "200",
            "--min-pixels-2d",
            "25",
            "--quiet",
        ])
        .arg("--img-path")
        .arg(cases.join("imgs"))
        .arg("--gt-path")
        .arg(cases.join("gts"))
        .arg("--output")
        .arg(output)
        .args(flags)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let modality = if flags.contains(&"MR") { "MR" } else { "CT" };
    ild_io::read_npz(&output.join(format!("npz_train/{modality}_ILD/{case}.npz"))).unwrap()
}

fn assert_golden(ours: &ild_io::SliceStack, golden_npz: &str) {
    let (mut npz, _) = open(golden_npz);
    assert_eq!(ours.images, Images::Grey(npz.by_name("imgs").unwrap()), "{golden_npz}: images");
    assert_eq!(ours.labels, Some(npz.by_name("gts").unwrap()), "{golden_npz}: labels");
    assert_eq!(
        ours.placement.geometry().spacing_xyz_mm.to_vec(),
        npz.by_name::<_, ndarray::Ix1>("spacing").map(|a: Array1<f64>| a.to_vec()).unwrap()
    );
    assert_eq!(
        ours.placement.z_index().iter().map(|&z| z as i64).collect::<Vec<_>>(),
        npz.by_name("kept").map(|a: Array1<i64>| a.to_vec()).unwrap(),
        "{golden_npz}: kept slices"
    );
}

#[test]
fn whole_cases_equal_the_python_packages_in_every_voxel_type() {
    let output = tempfile::tempdir().unwrap();
    for case in ["plain", "scaled", "big", "f64", "i32"] {
        let ours = stage1(output.path(), &["--window", "lung"], case);
        assert_golden(&ours, &format!("cases/ct/{case}.npz"));
    }
}

#[test]
fn mr_and_tumour_instances_equal_the_python_packages() {
    let output = tempfile::tempdir().unwrap();
    for case in ["plain", "scaled"] {
        assert_golden(
            &stage1(&output.path().join("mr"), &["--modality", "MR"], case),
            &format!("cases/mr/{case}.npz"),
        );
    }
    assert_golden(
        &stage1(&output.path().join("tumor"), &["--window", "lung", "--tumor-id", "3"], "plain"),
        "cases/tumor/plain.npz",
    );
}
