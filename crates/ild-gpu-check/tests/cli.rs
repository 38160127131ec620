//! `gpu-check` on the CPU: what it compares, times and writes.

use std::process::Command;

#[test]
fn gpu_check_compares_times_and_writes_json() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("check.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-check"));
    command
        .args([
            "--device",
            "cpu",
            "--quick",
            "--models",
            "nano",
            "--batch",
            "1",
            "--rounds",
            "1",
            "--python",
            "no-such-python",
            "--output",
        ])
        .arg(&file);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let comparisons = report["comparisons"].as_array().unwrap();
    for what in ["window_attention, gradient", "mask_sums, value", "model nano, gradients"] {
        assert!(comparisons.iter().any(|c| c["what"] == what), "{what} is compared");
    }
    for (timing, what) in
        report["timings"].as_array().unwrap().iter().zip(["forward", "step", "step, recomputed"])
    {
        assert_eq!(timing["what"], what);
        assert!(timing["median_ms"].as_f64().unwrap() > 0.0 && timing["failed"].is_null());
    }
    let last = report["timings"].as_array().unwrap().last().unwrap();
    assert!(
        last["engine"] == "PyTorch" && last["failed"].as_str().unwrap().contains("no-such-python"),
        "{last}"
    );
}

#[test]
fn a_gpu_that_is_not_there_is_refused_with_what_to_do() {
    if cfg!(feature = "cuda") {
        return ild_test_support::skipped("built with CUDA");
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_gpu-check")).args(["--device", "cuda"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("--features cuda"), "{text}");
}
