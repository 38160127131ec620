//! What a user reads when a checkpoint is odd, word for word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ild_model::{Sam2Config, Weights};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint").join(name)
}

/// Exit code 3 and the message of `ild-model <words>`, the checkpoint's path written as `FILE`.
fn refusal(words: &[&str], file: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ild-model")).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).replace(&file.display().to_string(), "FILE");
    assert_eq!(output.status.code(), Some(3), "{said}");
    said
}

fn inspect(file: &Path) -> String {
    refusal(&["inspect", file.to_str().unwrap()], file)
}

#[test]
fn files_that_are_no_state_dict() {
    let save = "save it in Python with torch.save({\"model\": model.state_dict()}, …)";
    let dict = "expected a dict of tensors, alone or under the key `model`";
    for (name, message) in [
        ("complex.pt", "expected tensors of f16, bf16, f32, f64, bool or integers, found torch.ComplexFloatStorage".to_owned()),
        ("no_tensors.pt", format!("{dict}, found a dict without tensors; {save}")),
        // Saved with its class: loading it in Python runs the code of that class, here it is only
        // named.
        ("whole_module.pt", format!("{dict}, found an object of torch.nn.modules.linear.Linear; {save}")),
        (
            "export.py",
            "expected a .safetensors, .pt or .pth checkpoint, found bytes that begin as none of them do; is the download complete?"
                .to_owned(),
        ),
        ("absent.pt", "expected a file, found nothing at this path; check the spelling".to_owned()),
        ("", "expected a regular file, found a folder; name the file itself".to_owned()),
    ] {
        assert_eq!(inspect(&golden(name)), format!("error: FILE: {message}\n"), "{name}");
    }
}

#[test]
fn a_file_cut_short_and_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pt");
    fs::write(&cut, &fs::read(golden("model.pt")).unwrap()[..500]).unwrap();
    assert_eq!(
        inspect(&cut),
        "error: FILE: expected a whole PyTorch archive, found invalid Zip archive: Could not find EOCD (cut short?)\n"
    );
    let pipe = folder.path().join("pipe.pt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(
        inspect(&pipe),
        "error: FILE: expected a regular file, found a pipe, socket or device; name the file itself\n"
    );
}

#[test]
fn weights_of_another_size() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nano.safetensors");
    Weights::random(&Sam2Config::from_name_or_file("nano").unwrap(), 5)
        .unwrap()
        .write_safetensors(&file, &Default::default())
        .unwrap();
    let slice = folder.path().join("slice.npy");
    Array2::<u8>::zeros((8, 8)).write_npy(fs::File::create(&slice).unwrap()).unwrap();
    let output = folder.path().join("o");
    let [weights, image, output] = [&file, &slice, &output].map(|path| path.to_str().unwrap());
    let words = [
        "segment",
        "--checkpoint",
        weights,
        "--model",
        "t",
        "--image",
        image,
        "--box",
        "1,2,3,4",
        "--output",
        output,
        "--device",
        "cpu",
    ];
    let said = refusal(&words, &file);
    let mut lines = said.lines();
    assert_eq!(
        lines.next().unwrap(),
        "error: FILE: the weights do not fit the model: asked for embed_dim 96, stages [1, 2, 7, 2], d_model 256; \
         the weights look like SAM 2 `nano` (embed_dim 32, stages [1, 2, 3, 1], d_model 64): pass `--model nano`"
    );
    let counts: Vec<&str> = lines.map(|line| line.split(':').next().unwrap().trim()).collect();
    assert_eq!(counts, ["62 missing", "2 unused", "233 of another shape"]);
}
