//! `--propagate memory` and `--preset` as users run them: a small model with a made-up memory.

use std::path::PathBuf;
use std::process::{Command, Output};

use candle_core::{Device, Tensor};
use ild_io::{
    Affine, Geometry, Images, LabelTable, Placement, SliceStack, Volume, Voxels, Window,
    read_label_map, read_volume, write_npz, write_volume,
};
use ild_model::memory::{MemoryConfig, Version};
use ild_model::{Sam2Config, Weights};
use ndarray::{Array3, Axis};
use serde_json::Value;

const SHAPE: [usize; 3] = [11, 40, 48];
/// With this bias of its score every object is there.
const PRESENT: f32 = 30.0;
const TWO_LESIONS: &str = r#"{"prompts": [
    {"label": 2, "slice": 3, "box": [6, 8, 24, 26]},
    {"label": 5, "slice": 7, "box": [20, 12, 42, 34]}]}"#;

struct Bench {
    folder: tempfile::TempDir,
}

fn geometry() -> Geometry {
    Geometry::new(SHAPE, Affine::from_spacing_xyz_mm([0.75, 0.75, 2.5]))
}

fn hu() -> Array3<i16> {
    Array3::from_shape_fn(SHAPE, |(z, y, x)| {
        let inside = y.abs_diff(18 + z).pow(2) + x.abs_diff(24).pow(2) < 90;
        if inside { -120 } else { -860 + ((z * 7 + y * 3 + x * 5) % 60) as i16 }
    })
}

/// Weights of the image path, with or without a memory.
fn weights(object_score: Option<f32>) -> Weights {
    let config = Sam2Config::from_name_or_file("nano").unwrap();
    let weights = Weights::random(&config, 5).unwrap();
    let Some(bias) = object_score else { return weights };
    let sizes = MemoryConfig {
        mem_dim: config.d_model / 4,
        layers: 1,
        dim_feedforward: 64,
        fuser_layers: 1,
        ..MemoryConfig::published(Version::Sam2_1)
    };
    let mut weights = weights.with_random_memory(&config, &sizes, 5).unwrap();
    let bias = Tensor::new(&[bias], &Device::Cpu).unwrap();
    weights.insert("sam_mask_decoder.pred_obj_score_head.layers.2.bias", bias);
    weights
}

impl Bench {
    /// A checkpoint that says as little as MedSAM2's do, and one CT.
    fn new(object_score: Option<f32>) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let file = bench.path("nano.safetensors");
        weights(object_score).write_safetensors(&file, &Default::default()).unwrap();
        let ct = Volume { voxels: Voxels::I16(hu()), geometry: geometry() };
        write_volume(&bench.path("a_0000.nii.gz"), &ct).unwrap();
        std::fs::write(bench.path("boxes.json"), TWO_LESIONS).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, input: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ild-infer"))
            .arg("--input")
            .arg(self.path(input))
            .arg("--prompt")
            .arg(self.path("boxes.json"))
            .arg("--checkpoint")
            .arg(self.path("nano.safetensors"))
            .arg("--output")
            .arg(self.path("out"))
            .args(["--device", "cpu", "--model", "nano", "--smallest-ml", "0"])
            .args(more)
            .output()
            .unwrap()
    }

    fn by_memory(&self, more: &[&str]) -> Output {
        let words = [&["--window", "lung", "--propagate", "memory"], more].concat();
        self.run("a_0000.nii.gz", &words)
    }

    fn sidecar(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("out/a.json")).unwrap()).unwrap()
    }

    fn labels(&self) -> Array3<u8> {
        let map = read_label_map(&self.path("out/a.nii.gz")).unwrap();
        let ct = read_volume(&self.path("a_0000.nii.gz")).unwrap();
        assert_eq!(map.geometry, ct.geometry, "shape, spacing and affine to the last bit");
        map.labels
    }
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn two_lesions_go_both_ways_from_one_encoding_of_each_slice() {
    let bench = Bench::new(Some(PRESENT));
    ok(&bench.by_memory(&[]));
    let about = bench.sidecar();
    assert_eq!(about["propagate"], "memory");
    assert_eq!(about["slices_encoded"], SHAPE[0]);
    for lesion in about["labels"].as_array().unwrap() {
        assert_eq!(lesion["slices_visited"], SHAPE[0], "{lesion}");
        assert!(lesion["mean_object_score"].as_f64().unwrap() > 0.0, "{lesion}");
    }
    assert!(bench.labels().iter().any(|&id| id != 0));
}

#[test]
fn the_way_is_part_of_what_a_rerun_looks_at_and_box_is_the_default() {
    let bench = Bench::new(Some(PRESENT));
    let by_box =
        |words: &[&str]| ok(&bench.run("a_0000.nii.gz", &[&["--window", "lung"], words].concat()));
    by_box(&[]);
    let (boxes, said) = (bench.labels(), bench.sidecar());
    assert_eq!(said["propagate"], "box");
    assert!(by_box(&["--propagate", "box"]).contains("done before"));
    assert!(!ok(&bench.by_memory(&[])).contains("done before"));
    assert_ne!(bench.labels(), boxes);
    assert!(ok(&bench.by_memory(&[])).contains("done before"));
    by_box(&[]);
    assert_eq!(bench.labels(), boxes);
}

#[test]
fn a_lesion_that_is_not_there_ends_both_ways() {
    let bench = Bench::new(Some(-PRESENT));
    let said = String::from_utf8(bench.by_memory(&["--stop-after", "2"]).stderr).unwrap();
    assert!(said.contains("found nothing at the start prompt"), "{said}");
    for lesion in bench.sidecar()["labels"].as_array().unwrap() {
        // The start slice, one more up and one more down.
        assert_eq!(lesion["slices_visited"], 3, "{lesion}");
        assert_eq!(lesion["voxels"], 0, "{lesion}");
    }
    ok(&bench.by_memory(&["--stop-after", "0"]));
    assert_eq!(bench.sidecar()["labels"][0]["slices_visited"], SHAPE[0]);
}

#[test]
fn the_gaps_of_an_npz_are_known() {
    let bench = Bench::new(Some(PRESENT));
    let on = |name: &str, slices: &[usize]| {
        let stack = SliceStack {
            images: Images::Grey(
                hu().mapv(|v| ((f64::from(v) + 1350.0) / 1500.0 * 255.0) as u8)
                    .select(Axis(0), &[2, 3, 4, 5]),
            ),
            labels: None,
            placement: Placement::new(geometry(), slices.to_vec()).unwrap(),
            window: Some(Window { level_hu: -600.0, width_hu: 1500.0 }),
            label_table: Some(LabelTable::default()),
            is_2d: false,
        };
        write_npz(&bench.path(name), &stack).unwrap();
        std::fs::write(
            bench.path("boxes.json"),
            r#"{"prompts": [{"label": 2, "slice": 2, "box": [6, 8, 24, 26]}]}"#,
        )
        .unwrap();
        ok(&bench.run(name, &["--propagate", "memory", "--force"]));
        bench.labels().select(Axis(0), slices)
    };
    // The same pictures in the same order: only where they lie differs.
    let (near, far) = (on("a.npz", &[2, 3, 4, 5]), on("a.npz", &[2, 3, 9, 10]));
    let slice = |labels: &Array3<u8>, i: usize| labels.index_axis(Axis(0), i).to_owned();
    assert_eq!(slice(&near, 0), slice(&far, 0));
    assert_eq!(slice(&near, 1), slice(&far, 1));
    assert_ne!(near, far, "behind the gap the last slices are farther away");
}

#[test]
fn weights_without_a_memory_are_refused_with_what_to_do() {
    let bench = Bench::new(None);
    let said = refused(&bench.by_memory(&[]), 3);
    for words in ["nano.safetensors", "expected tensors of SAM 2's memory", "began as Meta's"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = refused(&bench.by_memory(&["--parity"]), 2);
    assert!(said.contains("--propagate memory"), "{said}");
}

#[test]
fn a_preset_says_what_neither_the_user_nor_the_checkpoint_does() {
    let bench = Bench::new(Some(PRESENT));
    let preset = |name: &str, more: &[&str]| {
        let words = [&["--preset", name, "--propagate", "memory"], more].concat();
        ok(&bench.run("a_0000.nii.gz", &words));
        (bench.sidecar(), bench.labels())
    };
    let window = |about: &Value| about["window"]["grey"].clone();
    let (about, wide) = preset("medsam2-lung", &[]);
    assert_eq!(about["preset"], "medsam2-lung");
    assert_eq!(window(&about), serde_json::json!({"level_hu": -750.0, "width_hu": 1500.0}));
    let (about, _) = preset("medsam2", &[]);
    assert_eq!(window(&about), serde_json::json!({"level_hu": 50.0, "width_hu": 400.0}));
    let (about, _) = preset("medsam2", &["--window", "lung"]);
    assert_eq!(window(&about), serde_json::json!({"level_hu": -600.0, "width_hu": 1500.0}));
    // Without the preset the same window gives other greys and another resizing.
    let plain = ["--window-level=-750", "--window-width", "1500", "--propagate", "memory"];
    ok(&bench.run("a_0000.nii.gz", &plain));
    assert_eq!(bench.sidecar()["preset"], Value::Null);
    assert_ne!(bench.labels(), wide);
}
