//! `ild-infer` as its users run it: a small model with random weights on made-up cases, every
//! output opened again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ild_io::{
    Affine, Geometry, Images, LabelMap, LabelTable, NpzFile, Placement, SliceStack, StorageOrder,
    Volume, Voxels, Window, read_label_map, read_label_map_as_stored, read_volume,
    read_volume_as_stored, write_label_map, write_npz, write_volume,
};
use ild_model::{Sam2Config, Weights};
use ndarray::{Array3, Axis, s};
use serde_json::Value;

const SHAPE: [usize; 3] = [12, 48, 56];

/// An oblique grid, so that a lost or changed affine shows.
fn geometry() -> Geometry {
    Geometry::new(SHAPE, oblique())
}

fn labels() -> Array3<u8> {
    let mut labels = Array3::zeros(SHAPE);
    labels.slice_mut(s![2..8, 10..24, 8..22]).fill(2);
    labels.slice_mut(s![5..10, 20..40, 30..50]).fill(5);
    labels
}

fn hu() -> Array3<i16> {
    let labels = labels();
    Array3::from_shape_fn(SHAPE, |(z, y, x)| match labels[[z, y, x]] {
        0 => -850 + ((z * 7 + y * 3 + x * 5) % 60) as i16,
        2 => -500,
        _ => -300,
    })
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A nano checkpoint that knows its window, and one case as CT, label and NPZ.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let window: ild_preprocess::Windowing = "lung".parse().unwrap();
        let metadata = [
            ("model".to_owned(), "nano".to_owned()),
            ("window".to_owned(), serde_json::to_string(&window).unwrap()),
            ("label_table".to_owned(), serde_json::to_string(&LabelTable::default()).unwrap()),
        ];
        Weights::random(&config, 3)
            .unwrap()
            .write_safetensors(&bench.path("nano.safetensors"), &metadata.into())
            .unwrap();
        write_volume(
            &bench.path("ct/a_0000.nii.gz"),
            &Volume { voxels: Voxels::I16(hu()), geometry: geometry() },
        )
        .unwrap();
        write_label_map(
            &bench.path("gt/a.nii.gz"),
            &LabelMap { labels: labels(), geometry: geometry() },
        )
        .unwrap();
        bench.write_npz(
            "npz/a.npz",
            &[2, 3, 4, 5, 6, 8, 9],
            Window { level_hu: -600.0, width_hu: 1500.0 },
        );
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write_npz(&self, name: &str, slices: &[usize], window: Window) {
        let stack = SliceStack {
            images: Images::Grey(
                hu().mapv(|v| ((f64::from(v) + 1350.0) / 1500.0 * 255.0) as u8)
                    .select(Axis(0), slices),
            ),
            labels: Some(labels().select(Axis(0), slices)),
            placement: Placement::new(geometry(), slices.to_vec()).unwrap(),
            window: Some(window),
            label_table: Some(LabelTable::default()),
            is_2d: false,
        };
        write_npz(&self.path(name), &stack).unwrap();
    }

    fn run(&self, input: &str, prompt: &str, more: &[&str]) -> Output {
        let is_file = prompt.contains('.') || prompt.ends_with('/');
        let prompt = if is_file { self.path(prompt) } else { prompt.into() };
        Command::new(env!("CARGO_BIN_EXE_ild-infer"))
            .arg("--input")
            .arg(self.path(input))
            .arg("--prompt")
            .arg(prompt)
            .arg("--checkpoint")
            .arg(self.path("nano.safetensors"))
            .arg("--output")
            .arg(self.path("out"))
            .args(["--device", "cpu"])
            .args(more)
            .output()
            .unwrap()
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.out(name)).unwrap()).unwrap()
    }
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wrong_usage(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn same_header(a: &Path, b: &Path) {
    let (a, b) = (read_volume(a).unwrap().geometry, read_label_map(b).unwrap().geometry);
    assert_eq!(a, b, "shape, spacing and affine to the last bit");
}

#[test]
fn every_output_of_an_npz_lies_on_the_cts_grid() {
    let bench = Bench::new();
    let text = ok(&bench.run("npz", "gt", &["--save-nii", "--save-probabilities"]));
    assert!(text.contains("ground truth"), "{text}");
    same_header(&bench.path("ct/a_0000.nii.gz"), &bench.out("a.nii.gz"));
    same_header(&bench.path("ct/a_0000.nii.gz"), &bench.out("labels/a_Reticulation.nii.gz"));
    let probability = read_volume(&bench.out("probabilities/a_Honeycombing.nii.gz")).unwrap();
    assert_eq!(
        probability.geometry,
        read_volume(&bench.path("ct/a_0000.nii.gz")).unwrap().geometry
    );

    let whole = read_label_map(&bench.out("a.nii.gz")).unwrap().labels;
    assert!(whole.index_axis(Axis(0), 7).iter().all(|&id| id == 0), "slice 7 is not in the NPZ");
    let mut npz = NpzFile::open(&bench.out("npz/a.npz")).unwrap();
    assert_eq!(npz.keys(), ["Honeycombing", "Reticulation"]);
    assert_eq!(npz.require("Reticulation").unwrap().shape(), [7, 48, 56]);
    assert!(image::open(bench.out("pictures/a.png")).unwrap().width() > 3 * 384);

    let about = bench.json("a.json");
    assert_eq!(about["prompt"]["stamp"], "prompt from ground truth");
    assert_eq!(about["prompt"]["kind"], "ground-truth");
    assert_eq!(about["prompt"]["ground_truth_used"], true);
    assert_eq!(about["slices_encoded"], 7, "one encoding per slice, shared by both labels");
    assert_eq!(about["gaps"]["count"], 1);
    assert!(std::fs::read_to_string(bench.out("a.ctbl")).unwrap().contains("5 Honeycombing"));
    assert!(
        std::fs::read_to_string(bench.out("a.itksnap.txt")).unwrap().contains("\"Honeycombing\"")
    );
}

#[test]
fn a_finished_case_is_skipped_until_something_changes() {
    let bench = Bench::new();
    ok(&bench.run("npz", "gt", &[]));
    assert!(ok(&bench.run("npz", "gt", &[])).contains("done before"));
    assert!(!ok(&bench.run("npz", "gt", &["--force"])).contains("done before"));
    assert!(!ok(&bench.run("npz", "gt", &["--bbox-shift", "2"])).contains("done before"));
    std::fs::remove_file(bench.out("a.nii.gz")).unwrap();
    assert!(!ok(&bench.run("npz", "gt", &["--bbox-shift", "2"])).contains("done before"));
}

#[test]
fn a_ct_is_segmented_from_drawn_boxes_without_any_ground_truth() {
    let bench = Bench::new();
    let prompts = r#"{"prompts": [
        {"label": 5, "box": [28, 18, 5, 50, 40, 9]},
        {"label": "reticulation", "slice": 4, "box": [8, 10, 22, 24], "span": [2, 7]},
        {"label": 2, "slice": 3, "points": [{"x": 15, "y": 15, "inside": true}, {"x": 45, "y": 5, "inside": false}], "span": [3, 4]}]}"#;
    std::fs::write(bench.path("boxes.json"), prompts).unwrap();
    ok(&bench.run("ct", "boxes.json", &[]));
    same_header(&bench.path("ct/a_0000.nii.gz"), &bench.out("a.nii.gz"));
    let about = bench.json("a.json");
    assert_eq!(about["prompt"]["journeys"].as_array().unwrap().len(), 3);
    assert_eq!(about["prompt"]["stamp"], "prompt from a file of boxes or points");
    assert_eq!(about["prompt"]["ground_truth_used"], false);
    assert_eq!(about["slices_encoded"], 8, "slices 2 to 9");
}

#[test]
fn a_mask_on_one_slice_is_followed_through_the_ct() {
    let bench = Bench::new();
    let mut mask = Array3::<u8>::zeros(SHAPE);
    mask.slice_mut(s![6, 20..40, 30..50]).fill(5);
    write_label_map(
        &bench.path("mask.nii.gz"),
        &LabelMap { labels: mask.clone(), geometry: geometry() },
    )
    .unwrap();
    ok(&bench.run("ct", "mask.nii.gz", &["--stop-after", "0"]));
    assert_eq!(bench.json("a.json")["labels"][0]["slices_visited"], 12);

    let mut moved = geometry();
    moved.affine.0[2][3] += 5.0;
    write_label_map(&bench.path("mask.nii.gz"), &LabelMap { labels: mask, geometry: moved })
        .unwrap();
    let text = refused(&bench.run("ct", "mask.nii.gz", &["--force"]));
    assert!(text.contains("5.00 mm"), "{text}");
}

#[test]
fn a_window_that_the_model_was_not_trained_with_is_refused() {
    let bench = Bench::new();
    bench.write_npz("soft/a.npz", &[2, 3, 4], Window { level_hu: 40.0, width_hu: 400.0 });
    let text = refused(&bench.run("soft", "gt", &[]));
    assert!(text.contains("-600/1500") && text.contains("40/400"), "{text}");
}

#[test]
fn a_broken_case_is_reported_and_the_others_go_on() {
    let bench = Bench::new();
    std::fs::write(bench.path("npz/broken.npz"), b"PK nothing").unwrap();
    let output = bench.run("npz", "gt", &[]);
    let text = refused(&output);
    assert!(text.contains("broken.npz") && text.contains("1 of 2 cases"), "{text}");
    assert!(bench.out("a.nii.gz").exists());
}

#[test]
fn prompts_that_cannot_be_meant_are_refused_with_their_number() {
    let bench = Bench::new();
    for (entry, words) in [
        (r#"{"label": "Emphysema", "box": [1, 1, 1, 5, 5, 5]}"#, "Honeycombing"),
        (r#"{"label": 9, "box": [1, 1, 1, 5, 5, 5]}"#, "found 9"),
        (r#"{"label": 0, "box": [1, 1, 1, 5, 5, 5]}"#, "background"),
        (r#"{"label": 2, "box": [1, 1, 1, 5, 5, 12]}"#, "0..=11"),
        (r#"{"label": 2, "box": [1, 1, 1, 5, 5, 1.9]}"#, "whole slices"),
        (r#"{"label": 2, "box": [1, 1, 1, 56, 5, 5]}"#, "0..=55"),
        (r#"{"label": 2, "box": [9, 1, 1, 5, 5, 5]}"#, "x0 <= x1"),
        (r#"{"label": 2, "box": [1, 1, 5, 5]}"#, "6 numbers"),
        (r#"{"label": 2, "slice": 40, "box": [1, 1, 5, 5]}"#, "slice 40"),
        (r#"{"label": 2, "slice": 4, "points": [{"x": 1, "y": 1, "inside": false}]}"#, "outside"),
        (r#"{"label": 2, "slice": 4, "bocks": [1, 1, 5, 5]}"#, "bocks"),
    ] {
        std::fs::write(bench.path("p.json"), format!(r#"{{"prompts": [{entry}]}}"#)).unwrap();
        let text = refused(&bench.run("ct", "p.json", &[]));
        assert!(text.contains("p.json") && text.contains(words), "{entry}: {text}");
    }
}

#[test]
fn ground_truth_that_is_not_there_is_asked_for() {
    let bench = Bench::new();
    assert!(refused(&bench.run("ct", "gt", &[])).contains("--gt-path"));
    let gt = bench.path("gt");
    ok(&bench.run("ct", "gt", &["--gt-path", gt.to_str().unwrap()]));
    assert!(refused(&bench.run("npz", "heuristic", &[])).contains("the CT itself"));
}

#[test]
fn an_npz_of_the_older_scripts_gets_its_own_grid_and_says_so() {
    let bench = Bench::new();
    let (imgs, gts) = (
        Array3::<u8>::from_elem((4, 20, 20), 90),
        labels().slice(s![4..8, 10..30, 8..28]).to_owned(),
    );
    ild_io::write_npz_with(&bench.path("old/old.npz"), |npz| {
        npz.add("imgs", &imgs.view().into_dyn())?;
        npz.add("gts", &gts.view().into_dyn())?;
        npz.add("spacing", &ndarray::arr1(&[0.7, 0.7, 5.0]).view().into_dyn())
    })
    .unwrap();
    let output = bench.run("old", "gt", &["--parity"]);
    ok(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("own grid"));
    assert_eq!(read_label_map(&bench.out("old.nii.gz")).unwrap().geometry.shape_zyx, [4, 20, 20]);
    assert_eq!(bench.json("old.json")["gaps"]["rule"], "carry");
}

#[test]
fn the_box_fill_baseline_is_the_filled_tight_box_of_each_slice() {
    let bench = Bench::new();
    ok(&bench.run("npz", "gt", &["--baseline", "box-fill"]));
    let found = read_label_map(&bench.out("a.nii.gz")).unwrap().labels;
    let mut expected = labels();
    expected.slice_mut(s![7, .., ..]).fill(0);
    assert_eq!(found, expected, "the labels are boxes, so the baseline is perfect here");
    let about = bench.json("a.json");
    assert_eq!(about["prompt"]["stamp"], "box-fill baseline, prompt from ground truth");
    assert_eq!(about["prompt"]["ground_truth_used"], true);
    assert!(about["labels"][0]["mean_predicted_iou"].is_null(), "no model, no estimate");
}

#[test]
fn a_baseline_of_ground_truth_boxes_is_never_stamped_as_anything_else() {
    let bench = Bench::new();
    for prompt in ["auto", "heuristic", "boxes.json"] {
        let text = wrong_usage(&bench.run("npz", prompt, &["--baseline", "box-fill"]));
        assert!(text.contains("--prompt gt only"), "{text}");
    }
    assert!(!bench.out("a.nii.gz").exists());
}

#[test]
fn weights_without_classes_of_their_own_are_told_of_the_heuristic() {
    let bench = Bench::new();
    let text = refused(&bench.run("ct", "auto", &[]));
    assert!(text.contains("nano.safetensors") && text.contains("--prompt heuristic"), "{text}");
}

#[test]
fn a_damaged_label_table_or_window_in_a_checkpoint_is_an_error() {
    let bench = Bench::new();
    let file = bench.path("nano.safetensors");
    let whole = Weights::read(&file).unwrap();
    for key in ["label_table", "window"] {
        let mut metadata = whole.metadata.clone();
        let text = metadata[key].clone();
        metadata.insert(key.to_owned(), text[..text.len() / 2].to_owned());
        whole.write_safetensors(&file, &metadata).unwrap();
        let text = refused(&bench.run("npz", "gt", &[]));
        assert!(text.contains("nano.safetensors") && text.contains(key), "{text}");
    }
}

#[test]
fn each_piece_of_a_label_is_prompted_by_itself_and_by_class_with_parity() {
    let bench = Bench::new();
    let mut two = labels();
    two.slice_mut(s![2..6, 30..44, 6..20]).fill(2);
    let map = LabelMap { labels: two, geometry: geometry() };
    write_label_map(&bench.path("two/a.nii.gz"), &map).unwrap();
    let two = bench.path("two");
    let gt = ["--gt-path", two.to_str().unwrap()];
    let journeys = |more: &[&str]| {
        ok(&bench.run("ct", "gt", &[&gt[..], more].concat()));
        bench.json("a.json")["prompt"]["journeys"].as_array().unwrap().len()
    };
    assert_eq!(journeys(&[]), 3);
    assert_eq!(journeys(&["--parity"]), 2);
}

#[test]
fn prompts_that_are_wrong_on_purpose_say_so_in_every_output() {
    let bench = Bench::new();
    let gt = bench.path("gt");
    let gt = ["--gt-path", gt.to_str().unwrap()];
    for (prompt, kind) in [("gt-other", "another-lesion"), ("gt-empty", "empty-box")] {
        let text = ok(&bench.run("ct", prompt, &gt));
        assert!(text.contains("no prediction for a new patient"), "{text}");
        let about = bench.json("a.json");
        assert_eq!(about["prompt"]["kind"], kind);
        assert_eq!(about["prompt"]["ground_truth_used"], true);
        assert!(about["prompt"]["stamp"].as_str().unwrap().contains("on purpose"));
        for journey in about["prompt"]["journeys"].as_array().unwrap() {
            let corner = |i: usize| journey["box"][i].as_f64().unwrap() as usize;
            let slice = journey["slice"].as_u64().unwrap() as usize;
            let id = u64::from(
                labels()[[slice, (corner(1) + corner(3)) / 2, (corner(0) + corner(2)) / 2]],
            );
            let asked = journey["label"].as_u64().unwrap();
            assert!(
                if prompt == "gt-empty" { id == 0 } else { id != 0 && id != asked },
                "{journey}"
            );
        }
    }
}

#[test]
fn shards_share_the_cases() {
    let bench = Bench::new();
    for name in ["b", "c"] {
        std::fs::copy(bench.path("npz/a.npz"), bench.path(&format!("npz/{name}.npz"))).unwrap();
    }
    ok(&bench.run("npz", "gt", &["--shard", "1/2"]));
    assert!(
        bench.out("b.nii.gz").exists()
            && !bench.out("a.nii.gz").exists()
            && !bench.out("c.nii.gz").exists()
    );
}

#[test]
fn only_the_cases_of_another_folder_are_taken_when_asked() {
    let bench = Bench::new();
    std::fs::copy(bench.path("ct/a_0000.nii.gz"), bench.path("ct/b_0000.nii.gz")).unwrap();
    std::fs::write(
        bench.path("boxes.json"),
        r#"{"prompts": [{"label": 5, "box": [28, 18, 5, 50, 40, 9]}]}"#,
    )
    .unwrap();
    let split = bench.path("npz");
    ok(&bench.run("ct", "boxes.json", &["--cases-of", split.to_str().unwrap()]));
    assert!(bench.out("a.nii.gz").exists() && !bench.out("b.nii.gz").exists());
    std::fs::rename(bench.path("npz/a.npz"), bench.path("npz/z.npz")).unwrap();
    assert!(
        refused(&bench.run("ct", "boxes.json", &["--cases-of", split.to_str().unwrap()]))
            .contains("not one name matches")
    );
}

#[test]
fn a_volume_that_is_not_in_hounsfield_units_is_remarked_upon() {
    let bench = Bench::new();
    let grey = Volume { voxels: Voxels::I16(hu().mapv(|v| v + 1024)), geometry: geometry() };
    write_volume(&bench.path("grey/a_0000.nii.gz"), &grey).unwrap();
    std::fs::write(
        bench.path("boxes.json"),
        r#"{"prompts": [{"label": 5, "box": [28, 18, 5, 50, 40, 9]}]}"#,
    )
    .unwrap();
    let output = bench.run("grey", "boxes.json", &[]);
    ok(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("hardly Hounsfield units"));
    assert!(bench.json("a.json")["notes"][0].as_str().unwrap().contains("hardly Hounsfield units"));
}

/// Rotated about two axes, stored about LPS.
fn oblique() -> Affine {
    let ([sa, ca], [sb, cb]) = ([0.2_f64.sin(), 0.2_f64.cos()], [0.35_f64.sin(), 0.35_f64.cos()]);
    let rotation = [[-cb, sb * ca, sb * sa], [-sb, -cb * ca, -cb * sa], [0.0, -sa, ca]];
    let spacing = [0.7, 0.69, 2.5];
    let row = |i: usize, origin: f64| {
        [0, 1, 2]
            .map(|j| rotation[i][j] * spacing[j])
            .into_iter()
            .chain([origin])
            .collect::<Vec<_>>()
    };
    let rows = [row(0, 31.5), row(1, -12.25), row(2, 400.125), vec![0.0, 0.0, 0.0, 1.0]];
    Affine(rows.map(|row| std::array::from_fn(|j| row[j])))
}

/// Stored as sagittal slices: the first axis runs backwards, the second up, the third to the left.
fn sagittal() -> Affine {
    Affine([
        [0.0, 0.0, -2.5, 40.0],
        [-0.7, 0.0, 0.0, 9.5],
        [0.0, 0.69, 0.0, -300.25],
        [0.0, 0.0, 0.0, 1.0],
    ])
}

#[test]
fn simpleitk_and_nibabel_see_the_label_map_on_the_cts_grid() {
    let Some(python) = ild_test_support::python_with("SimpleITK, nibabel") else { return };
    let bench = Bench::new();
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/infer/same_geometry.py");
    std::fs::write(
        bench.path("boxes.json"),
        r#"{"prompts": [{"label": 5, "box": [28, 18, 5, 50, 40, 9]}]}"#,
    )
    .unwrap();
    for affine in [oblique(), sagittal()] {
        let ct = Volume { voxels: Voxels::I16(hu()), geometry: Geometry::new(SHAPE, affine) };
        write_volume(&bench.path("turned/t_0000.nii.gz"), &ct).unwrap();
        ok(&bench.run("turned", "boxes.json", &["--force", "--save-nii", "--save-probabilities"]));
        for (file, kind) in [
            ("t.nii.gz", "labels"),
            ("labels/t_Honeycombing.nii.gz", "labels"),
            ("probabilities/t_Honeycombing.nii.gz", "values"),
        ] {
            let seen = Command::new(&python)
                .arg(&script)
                .arg(bench.path("turned/t_0000.nii.gz"))
                .arg(bench.out(file))
                .arg(kind)
                .output()
                .unwrap();
            assert!(seen.status.success(), "{file}: {}", String::from_utf8_lossy(&seen.stderr));
            assert_eq!(
                String::from_utf8_lossy(&seen.stdout).trim(),
                "ild: prompt from a file of boxes or points"
            );
        }
    }
}

/// A chest with two lungs and a dense region in one of them, in Hounsfield units, 50 slices.
fn chest() -> Volume {
    let shape = [50, 90, 120];
    let within = |c: [f64; 3], r: [f64; 3], p: [f64; 3]| {
        (0..3).map(|i| ((p[i] - c[i]) / r[i]).powi(2)).sum::<f64>() < 1.0
    };
    let array = Array3::from_shape_fn(shape, |(z, y, x)| {
        let p = [z as f64, y as f64, x as f64];
        let lung = within([25.0, 45.0, 37.0], [23.0, 26.0, 18.0], p)
            || within([25.0, 45.0, 83.0], [23.0, 26.0, 18.0], p);
        match () {
            () if lung && within([25.0, 50.0, 36.0], [9.0, 10.0, 10.0], p) => -520,
            () if lung => -860 + ((z * 31 + y * 17 + x * 7) % 50) as i16,
            () if within([25.0, 45.0, 60.0], [400.0, 40.0, 55.0], p) => 40,
            () => -1000,
        }
    });
    Volume {
        voxels: Voxels::I16(array),
        geometry: Geometry::new(shape, Affine::from_spacing_xyz_mm([3.0, 3.0, 5.0])),
    }
}

#[test]
fn the_heuristic_prompts_what_is_dense_inside_the_lung_and_tells_what_it_did() {
    let bench = Bench::new();
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    let text = ok(&bench.run(
        "chest",
        "heuristic",
        &[
            "--heuristic-min-iou",
            "0",
            "--heuristic-min-object-score=-1000",
            "--heuristic-min-stability",
            "0",
        ],
    ));
    assert!(text.contains("automatic prompt") && !text.contains("ground truth"), "{text}");
    let about = bench.json("c.json");
    assert_eq!(about["prompt"]["source"], "heuristic");
    let checks = about["prompt"]["lung"]["checks"].as_array().unwrap();
    assert!(checks.len() >= 4 && checks.iter().all(|check| check["passed"] == true), "{checks:?}");
    let candidates = about["prompt"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    assert_eq!(candidates[0]["texture"], "ground-glass");
    assert!(
        candidates[0]["predicted_iou"].is_number() && candidates[0]["object_score"].is_number()
    );
    let (lung, found) = (
        read_label_map(&bench.out("lung/c.nii.gz")).unwrap().labels,
        read_label_map(&bench.out("c.nii.gz")).unwrap().labels,
    );
    assert!(
        found.iter().zip(&lung).all(|(&id, &inside)| id == 0 || inside == 1),
        "nothing outside the lung"
    );

    let text = ok(&bench.run("chest", "heuristic", &["--heuristic-min-iou", "1"]));
    assert!(text.contains("none"), "{text}");
    assert!(read_label_map(&bench.out("c.nii.gz")).unwrap().labels.iter().all(|&id| id == 0));
    assert!(
        bench.json("c.json")["notes"][0]
            .as_str()
            .unwrap()
            .contains("1 candidates in the lung, none kept")
    );
}

#[test]
fn scores_that_nothing_has_taught_do_not_decide_about_candidates() {
    let bench = Bench::new();
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    let weights = Weights::random(&Sam2Config::from_name_or_file("nano").unwrap(), 3).unwrap();
    let mut metadata = Weights::read(&bench.path("nano.safetensors")).unwrap().metadata;
    metadata.extend(weights.metadata.clone());
    weights.write_safetensors(&bench.path("nano.safetensors"), &metadata).unwrap();
    let never = ["--heuristic-min-iou", "1", "--heuristic-min-stability", "0"];
    ok(&bench.run("chest", "heuristic", &never));
    let about = bench.json("c.json");
    assert_eq!(about["prompt"]["candidates"][0]["kept"], true);
    assert!(about["notes"][0].as_str().unwrap().contains("began at random"), "{}", about["notes"]);
}

/// The bench's weights with a lesion head, untrained, for labels 2 and 5.
fn with_classes(bench: &Bench) {
    let file = bench.path("nano.safetensors");
    let mut weights = Weights::read(&file).unwrap();
    weights.add_lesion_head(&Sam2Config::from_name_or_file("nano").unwrap(), &[2, 5], 1).unwrap();
    let metadata = weights.metadata.clone();
    weights.write_safetensors(&file, &metadata).unwrap();
}

#[test]
fn auto_answers_with_every_class_and_without_any_prompt() {
    let bench = Bench::new();
    with_classes(&bench);
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    for mask in ["head", "decoder", "both"] {
        let low = ["--auto-low", "0", "--auto-high", "0", "--auto-mask", mask, "--force"];
        let text = ok(&bench.run("chest", "auto", &[&low[..], &["--save-probabilities"]].concat()));
        assert!(text.contains("automatic") && !text.contains("ground truth"), "{text}");
        let about = bench.json("c.json");
        assert_eq!(about["prompt"]["kind"], "automatic");
        assert_eq!(about["prompt"]["ground_truth_used"], false);
        assert_eq!(about["prompt"]["mask"], mask);
        let presence = about["prompt"]["presence"].as_array().unwrap();
        let names: Vec<&str> = presence.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Reticulation", "Honeycombing"]);
        let lesions = about["prompt"]["lesions"].as_array().unwrap();
        assert!(!lesions.is_empty() && lesions.iter().all(|row| row["confidence"].is_number()));
        assert_eq!(about["slices_encoded"], slices_with_lung(&bench), "one encoding a slice");
    }
    let sum: f64 = ["Reticulation", "Honeycombing"]
        .map(|name| read_volume(&bench.out(&format!("probabilities/c_{name}.nii.gz"))).unwrap())
        .iter()
        .map(|volume| match &volume.voxels {
            Voxels::F32(p) => f64::from(p[[25, 45, 37]]),
            _ => panic!("float32"),
        })
        .sum();
    assert!(sum > 0.0 && sum < 1.0, "{sum}");
}

fn slices_with_lung(bench: &Bench) -> usize {
    let lung = read_label_map(&bench.out("lung/c.nii.gz")).unwrap().labels;
    lung.outer_iter().filter(|slice| slice.iter().any(|&id| id == 1)).count()
}

#[test]
fn a_ct_without_lung_is_answered_in_words() {
    let bench = Bench::new();
    with_classes(&bench);
    let solid = Volume { voxels: Voxels::I16(Array3::from_elem(SHAPE, 40)), geometry: geometry() };
    write_volume(&bench.path("solid/s_0000.nii.gz"), &solid).unwrap();
    let output = bench.run("solid", "auto", &["--save-probabilities"]);
    ok(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no lung in this CT"));
    assert!(read_label_map(&bench.out("s.nii.gz")).unwrap().labels.iter().all(|&id| id == 0));
    assert_eq!(bench.json("s.json")["slices_encoded"], 0);
}

#[test]
fn whatever_order_a_ct_is_stored_in_its_axial_slices_are_segmented_and_the_result_has_its_order() {
    let bench = Bench::new();
    let mut affine = Affine::from_spacing_xyz_mm([0.75, 0.75, 2.5]);
    (affine.0[0][0], affine.0[1][1]) = (-0.75, -0.75);
    let orders = ["LPS", "RAS", "LPI", "SPL", "LSP", "AIR"];
    for codes in orders {
        let mut geometry = Geometry::new(SHAPE, affine);
        geometry.stored.order = StorageOrder::from_codes(codes, &affine).unwrap();
        write_volume(
            &bench.path(&format!("stored/{codes}_0000.nii.gz")),
            &Volume { voxels: Voxels::I16(hu()), geometry: geometry.clone() },
        )
        .unwrap();
        let map = LabelMap { labels: labels(), geometry };
        write_label_map(&bench.path(&format!("truth/{codes}.nii.gz")), &map).unwrap();
    }
    let truth = bench.path("truth");
    ok(&bench.run("stored", "gt", &["--gt-path", truth.to_str().unwrap()]));
    let found = |codes: &str| read_label_map(&bench.out(&format!("{codes}.nii.gz"))).unwrap();
    let wanted = found("LPS");
    assert!(wanted.labels.iter().any(|&id| id != 0), "the model segments something");
    for codes in orders {
        assert_eq!(found(codes).labels, wanted.labels, "{codes}");
        let file = bench.out(&format!("{codes}.nii.gz"));
        let stored = read_label_map_as_stored(&file).unwrap().geometry;
        assert_eq!(stored.affine.axis_codes(), codes);
        let ct = bench.path(&format!("stored/{codes}_0000.nii.gz"));
        assert_eq!(stored, read_volume_as_stored(&ct).unwrap().geometry, "{codes}: the CT's grid");
        assert_eq!(bench.json(&format!("{codes}.json"))["grid"]["stored"], codes);
    }
}
