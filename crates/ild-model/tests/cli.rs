//! The program as a user meets it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use ild_model::{Sam2Config, Weights};
use ndarray::{Array2, Array3};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};

fn ild_model(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ild-model")).current_dir(folder).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with nano weights and a grey and a colour slice of 90 × 120 pixels.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let nano = Sam2Config::from_name_or_file("nano").unwrap();
    Weights::random(&nano, 5)
        .unwrap()
        .write_safetensors(&folder.path().join("nano.safetensors"), &Default::default())
        .unwrap();
    let grey = Array2::from_shape_fn((90, 120), |(y, x)| (2 * y + x) as u8);
    let colour = Array3::from_shape_fn((90, 120, 3), |(y, x, _)| grey[(y, x)]);
    grey.write_npy(File::create(folder.path().join("grey.npy")).unwrap()).unwrap();
    colour.write_npy(File::create(folder.path().join("colour.npy")).unwrap()).unwrap();
    folder
}

const SEGMENT: [&str; 5] = ["segment", "--checkpoint", "nano.safetensors", "--model", "nano"];

#[test]
fn a_box_on_a_slice_becomes_three_files_and_grey_is_three_equal_channels() {
    let folder = folder();
    for image in ["grey", "colour"] {
        let output = ild_model(
            folder.path(),
            &[
                &SEGMENT[..],
                &["--image", &format!("{image}.npy"), "--box", "10,20,70,80", "--output", image],
            ]
            .concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let read = |name: &str| File::open(folder.path().join(name)).unwrap();
    let logits =
        |image: &str| Array2::<f32>::read_npy(read(&format!("{image}/logits.npy"))).unwrap();
    assert_eq!(logits("grey").dim(), (64, 64));
    assert_eq!(logits("grey"), logits("colour"));
    assert_eq!(Array2::<u8>::read_npy(read("grey/mask.npy")).unwrap().dim(), (90, 120));
    assert_eq!(ndarray::Array1::<f32>::read_npy(read("grey/iou.npy")).unwrap().len(), 1);
}

#[test]
fn inspect_says_which_model_it_is_and_convert_names_it() {
    let folder = folder();
    let output = ild_model(folder.path(), &["inspect", "nano.safetensors"]);
    let said = text(&output.stdout);
    assert!(
        output.status.success() && said.contains("SAM 2 `nano`") && said.contains("missing      0"),
        "{said}"
    );
    let output = ild_model(folder.path(), &["convert", "nano.safetensors", "out/copy.safetensors"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        Weights::read(&folder.path().join("out/copy.safetensors")).unwrap().metadata["model"],
        "nano"
    );
}

#[test]
fn inspect_lists_what_is_missing_and_what_is_unused() {
    let folder = folder();
    let mut weights = Weights::read(&folder.path().join("nano.safetensors")).unwrap();
    let tensor = weights.remove("sam_mask_decoder.iou_token.weight").unwrap();
    weights.insert("stranger", tensor);
    weights.write_safetensors(&folder.path().join("odd.safetensors"), &Default::default()).unwrap();
    let said = text(&ild_model(folder.path(), &["inspect", "odd.safetensors"]).stdout);
    assert!(
        said.contains("missing      1\n  sam_mask_decoder.iou_token.weight\n")
            && said.contains("unused       1\n  stranger\n"),
        "{said}"
    );
}

#[test]
fn a_model_from_a_file_is_the_model_of_that_name() {
    let folder = folder();
    std::fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/configs/nano.toml"),
        folder.path().join("mine.toml"),
    )
    .unwrap();
    let args = [
        "segment",
        "--checkpoint",
        "nano.safetensors",
        "--model",
        "mine.toml",
        "--image",
        "grey.npy",
        "--box",
        "1,2,30,40",
        "--output",
        "o",
    ];
    let output = ild_model(folder.path(), &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn bad_input_is_refused_with_the_place_and_what_to_do() {
    let folder = folder();
    std::fs::write(folder.path().join("text.npy"), "not an array").unwrap();
    Array2::<f32>::zeros((4, 4))
        .write_npy(File::create(folder.path().join("float.npy")).unwrap())
        .unwrap();
    Array2::<u8>::zeros((0, 4))
        .write_npy(File::create(folder.path().join("empty.npy")).unwrap())
        .unwrap();
    std::fs::write(folder.path().join("bad.toml"), "embed_dim = 7\nnum_heads = 2\n").unwrap();
    let run = |model: &str, image: &str, pixels: &str| {
        let args = [
            "segment",
            "--checkpoint",
            "nano.safetensors",
            "--model",
            model,
            "--image",
            image,
            "--box",
            pixels,
            "--output",
            "o",
        ];
        let output = ild_model(folder.path(), &args);
        (output.status.code(), text(&output.stderr))
    };
    for (model, image, pixels, code, words) in [
        ("nano", "text.npy", "1,2,30,40", 3, "text.npy: expected a slice"),
        ("nano", "float.npy", "1,2,30,40", 3, "float.npy: expected a slice"),
        ("nano", "empty.npy", "1,2,30,40", 3, "shape [0, 4]"),
        ("nano", "grey.npy", "30,2,30,40", 3, "x0 < x1"),
        ("nano", "grey.npy", "200,2,300,40", 3, "120 × 90 pixels"),
        ("nano", "grey.npy", "nan,2,300,40", 3, "x0 < x1"),
        ("nano", "grey.npy", "1,2,3", 2, "four numbers"),
        (
            "tiny",
            "grey.npy",
            "1,2,30,40",
            2,
            "t, s, b+, l, nano, t512 or a .toml file, found `tiny`",
        ),
        ("t", "grey.npy", "1,2,30,40", 3, "pass `--model nano`"),
        ("bad.toml", "grey.npy", "1,2,30,40", 3, "num_heads"),
    ] {
        let (found, stderr) = run(model, image, pixels);
        assert_eq!(found, Some(code), "{model} {image} {pixels}: {stderr}");
        assert!(stderr.contains(words), "expected `{words}` in: {stderr}");
    }
    assert!(!folder.path().join("o").exists(), "nothing is written");
}

#[test]
fn a_gpu_that_is_absent_is_named() {
    let folder = folder();
    let args = [
        &SEGMENT[..],
        &["--image", "grey.npy", "--box", "1,2,30,40", "--output", "o", "--device", "cuda:7"],
    ]
    .concat();
    let output = ild_model(folder.path(), &args);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--device cuda:7"), "{}", text(&output.stderr));
}
