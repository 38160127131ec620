//! Processes started by `mpirun`: `cargo test --release --workspace --features ild-train/mpi --test
//! mpi`.
#![cfg(feature = "mpi")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::toy;

const BINARY: &str = env!("CARGO_BIN_EXE_ild-train");

fn training(command: &mut Command, folder: &Path, batch_size: &str, run: &str) {
    command
        .current_dir(folder)
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.args([
        "--npy-dir",
        "npy",
        "--model",
        "mini.toml",
        "--epochs",
        "4",
        "--lr",
        "1e-3",
        "--device",
        "cpu",
    ]);
    command.args(["--batch-size", batch_size, "--run-dir", run, "--save-every-steps", "1"]);
}

fn two_processes(folder: &Path, run: &str) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", "2", BINARY]);
    training(&mut command, folder, "2", run);
    command
}

/// Step → loss and gradient norm as written.
fn steps(folder: &Path, run: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join(run).join("steps.csv")).unwrap_or_default();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    text.lines()
        .skip(1)
        .map(cells)
        .filter(|row| row.len() == 5)
        .map(|row| (row[2].clone(), row[4].clone()))
        .collect()
}

#[test]
fn two_processes_with_half_the_batch_follow_one_with_the_whole() {
    /// Gradients are summed in another order.
    const TOLERANCE: f64 = 1e-5;
    let folder = toy();
    let mut one = Command::new(BINARY);
    training(&mut one, folder.path(), "4", "one");
    assert!(one.status().unwrap().success());
    assert!(two_processes(folder.path(), "two").status().unwrap().success());
    let (one, two) = (steps(folder.path(), "one"), steps(folder.path(), "two"));
    assert_eq!((one.len(), two.len()), (12, 12));
    for (a, b) in one.iter().zip(&two) {
        let (a, b): (f64, f64) = (a.0.parse().unwrap(), b.0.parse().unwrap());
        assert!((a - b).abs() < TOLERANCE, "{a} {b}");
    }
}

#[test]
fn two_killed_processes_go_on_bit_for_bit() {
    let folder = toy();
    assert!(two_processes(folder.path(), "whole").status().unwrap().success());
    let mut child = two_processes(folder.path(), "killed").spawn().unwrap();
    let started = Instant::now();
    while steps(folder.path(), "killed").len() < 5 {
        assert!(started.elapsed() < Duration::from_secs(120), "no steps");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(
        Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap().success()
    );
    child.wait().unwrap();
    // The processes notice that their launcher is gone a moment later, and give the folder free.
    let finished = |_: &u32| two_processes(folder.path(), "killed").status().unwrap().success();
    assert!(
        (0..20).inspect(|_| std::thread::sleep(Duration::from_millis(500))).any(|i| finished(&i))
    );
    assert_eq!(steps(folder.path(), "killed"), steps(folder.path(), "whole"));
}
