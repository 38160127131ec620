//! The program as a user meets it.

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use ild_model::{Sam2Config, Weights};
use ndarray::{Array2, Array3};
use support::{toy, write_slice};

fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ild-train"));
    command.current_dir(folder).args([
        "--npy-dir",
        "npy",
        "--model",
        "mini.toml",
        "--batch-size",
        "4",
        "--epochs",
        "2",
        "--lr",
        "1e-3",
    ]);
    command.args(["--device", "cpu", "-j", "1"]).args(more);
    command
}

fn run(folder: &Path, more: &[&str]) -> Output {
    command(folder, more).output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}

#[test]
fn a_run_leaves_its_files_and_a_second_one_has_nothing_to_do() {
    let folder = toy();
    let first = run(folder.path(), &["--run-dir", "run", "--report", "run/report.json"]);
    assert_code(&first, 0);
    assert!(text(&first).contains("validation Dice, mean of classes"), "{}", text(&first));
    assert!(
        text(&first).contains("label 2 (Reticulation) is on no training slice"),
        "{}",
        text(&first)
    );
    let run_dir = folder.path().join("run");
    for name in [
        "best.safetensors",
        "latest.safetensors",
        "initial.safetensors",
        "state.safetensors",
        "config.toml",
        "history.csv",
    ] {
        assert!(run_dir.join(name).is_file(), "{name}");
    }
    for name in ["steps.csv", "loss.png", "data_sanitycheck.png", "tensorboard", "report.json"] {
        assert!(run_dir.join(name).exists(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(run_dir.join("history.csv")).unwrap().lines().count(), 3);
    let second = run(folder.path(), &["--run-dir", "run"]);
    assert_code(&second, 0);
    assert!(text(&second).contains("already trained for 2 epochs"), "{}", text(&second));
    let changed = run(folder.path(), &["--run-dir", "run", "--weight-decay", "0.5"]);
    assert_code(&changed, 3);
    assert!(text(&changed).contains("--force starts over"), "{}", text(&changed));
    let again = Command::new(env!("CARGO_BIN_EXE_ild-train"))
        .current_dir(folder.path())
        .args(["--config", "run/config.toml"])
        .output()
        .unwrap();
    assert!(
        text(&again).contains("already trained for 2 epochs"),
        "the saved settings are those of the run: {}",
        text(&again)
    );
}

#[test]
fn a_timestamped_folder_is_made_in_the_work_dir() {
    let folder = toy();
    assert_code(
        &run(folder.path(), &["--work-dir", "work", "--task-name", "demo", "--epochs", "1"]),
        0,
    );
    let made: Vec<_> = std::fs::read_dir(folder.path().join("work"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let name = made[0].to_str().unwrap();
    assert!(
        made.len() == 1 && name.starts_with("demo-20") && name.len() == "demo-YYYYMMDD-HHMM".len(),
        "{name}"
    );
}

/// Runs until `steps.csv` has some rows, then asks the process to stop.
fn run_and_terminate(folder: &Path, more: &[&str]) -> i32 {
    let mut child =
        command(folder, more).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let steps = folder.join("stopped/steps.csv");
    let started = Instant::now();
    while std::fs::read_to_string(&steps).map_or(0, |text| text.lines().count()) < 4 {
        assert!(started.elapsed() < Duration::from_secs(120), "no steps");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success()
    );
    child.wait().unwrap().code().unwrap()
}

#[test]
fn sigterm_saves_first_and_the_same_command_ends_with_the_same_numbers() {
    let folder = toy();
    let long = ["--epochs", "12"];
    assert_code(&run(folder.path(), &[&long[..], &["--run-dir", "whole"]].concat()), 0);
    let stopped = [&long[..], &["--run-dir", "stopped"]].concat();
    assert_eq!(run_and_terminate(folder.path(), &stopped), 130);
    // Neither the starting weights nor a seed of the command line matter any more: all is in the
    // state.
    let resume = ["--config", "stopped/config.toml", "--resume", "stopped"];
    let rest = Command::new(env!("CARGO_BIN_EXE_ild-train"))
        .current_dir(folder.path())
        .args(resume)
        .output()
        .unwrap();
    assert_code(&rest, 0);
    assert!(text(&rest).contains("going on in epoch"), "{}", text(&rest));
    let read = |run: &str, name: &str| std::fs::read(folder.path().join(run).join(name)).unwrap();
    assert!(read("whole", "steps.csv") == read("stopped", "steps.csv"), "the steps differ");
    for name in ["latest.safetensors", "best.safetensors"] {
        assert!(read("whole", name) == read("stopped", name), "{name} differs");
    }
}

#[test]
fn a_dry_run_says_what_it_costs_and_writes_nothing() {
    let folder = toy();
    let output = run(folder.path(), &["--run-dir", "run", "--dry-run"]);
    assert_code(&output, 0);
    assert!(
        text(&output).contains("minutes per epoch") && text(&output).contains("peak memory"),
        "{}",
        text(&output)
    );
    assert!(!folder.path().join("run").exists() && !folder.path().join("work_dir").exists());
}

#[test]
fn a_config_table_sets_flags_and_an_unknown_key_is_refused() {
    let folder = toy();
    std::fs::write(folder.path().join("lab.toml"), "[train]\nepochs = 1\nweigth-decay = 0.1\n")
        .unwrap();
    let output = run(folder.path(), &["--config", "lab.toml"]);
    assert_code(&output, 2);
    assert!(
        text(&output).contains("no key `weigth-decay`; did you mean `weight-decay`?"),
        "{}",
        text(&output)
    );
    let nonsense = run(folder.path(), &["--lr", "0"]);
    assert_code(&nonsense, 2);
    assert!(text(&nonsense).contains("--lr: expected above 0, found 0"), "{}", text(&nonsense));
}

#[test]
fn without_validation_slices_the_training_loss_decides_and_it_is_said() {
    let folder = toy();
    std::fs::remove_dir_all(folder.path().join("npy/valid")).unwrap();
    let output = run(folder.path(), &["--run-dir", "run", "--epochs", "1"]);
    assert_code(&output, 0);
    assert!(
        text(&output).contains("the best epoch is chosen by the training loss"),
        "{}",
        text(&output)
    );
    assert!(folder.path().join("run/best.safetensors").is_file());
}

#[test]
fn nothing_to_train_on_is_refused_with_the_reason() {
    let folder = toy();
    std::fs::remove_dir_all(folder.path().join("npy")).unwrap();
    let output = run(folder.path(), &[]);
    assert_code(&output, 3);
    assert!(text(&output).contains("found no gts/*.npy"), "{}", text(&output));
    write_slice(
        &folder.path().join("npy"),
        "train",
        "empty",
        &Array3::zeros((8, 8, 3)),
        &Array2::zeros((256, 256)),
    );
    let output = run(folder.path(), &[]);
    assert_code(&output, 3);
    assert!(text(&output).contains("1 slices, all without a label at 256²"), "{}", text(&output));
}

#[test]
fn weights_with_nan_or_of_another_model_are_refused() {
    let folder = toy();
    let config =
        Sam2Config::from_name_or_file(folder.path().join("mini.toml").to_str().unwrap()).unwrap();
    let mut weights = Weights::random(&config, 1).unwrap();
    let name = "sam_mask_decoder.mask_tokens.weight";
    let broken = weights.get(name).unwrap().affine(f64::NAN, 0.0).unwrap();
    weights.insert(name, broken);
    weights.write_safetensors(&folder.path().join("nan.safetensors"), &Default::default()).unwrap();
    let output = run(folder.path(), &["--pretrained", "nan.safetensors"]);
    assert_code(&output, 3);
    assert!(
        text(&output).contains("NaN or infinity in `sam_mask_decoder.mask_tokens.weight`"),
        "{}",
        text(&output)
    );

    weights.insert(name, Tensor::zeros((4, 99), candle_core::DType::F32, &Device::Cpu).unwrap());
    weights
        .write_safetensors(&folder.path().join("other.safetensors"), &Default::default())
        .unwrap();
    let output = run(folder.path(), &["--pretrained", "other.safetensors"]);
    assert_code(&output, 3);
    assert!(
        text(&output).contains("mask_tokens.weight") && text(&output).contains("99"),
        "{}",
        text(&output)
    );
}

#[test]
fn bf16_on_the_cpu_is_refused_with_what_to_do() {
    let folder = toy();
    let output = run(folder.path(), &["--precision", "bf16"]);
    assert_code(&output, 2);
    assert!(text(&output).contains("--precision bf16: expected a GPU"), "{}", text(&output));
}

#[test]
fn help_teaches() {
    let output = Command::new(env!("CARGO_BIN_EXE_ild-train")).arg("--help").output().unwrap();
    assert_code(&output, 0);
    for word in ["--npy-dir", "--bbox-shift", "--augment-flip", "Examples:", "state.safetensors"] {
        assert!(text(&output).contains(word), "{word}");
    }
}
