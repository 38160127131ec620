//! The whole journey with a real SAM 2 graph against PyTorch: the masks that
//! tests/golden/infer/journey.py made with the `sam2` package.

use std::path::Path;
use std::process::Command;

use ild_io::read_npz_u8;

/// Demanded by the specification. Logits agree to some 1e-5, so at most a few pixels at the
/// threshold may differ.
const LEAST_DICE: f64 = 0.999;

#[test]
fn masks_of_the_journey_are_pytorchs() {
    let weights = "fixtures/small/small.safetensors";
    let Some(weights) = ild_test_support::shared(weights) else { return };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/infer");
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("labels.json"), r#"{"1": "1", "3": "3", "13": "13"}"#).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_ild-infer"))
        .args(["--parity", "--prompt", "gt", "--device", "cpu", "--input"])
        .arg(golden.join("vol.npz"))
        .arg("--checkpoint")
        .arg(weights)
        .arg("--model")
        .arg(golden.join("small.toml"))
        .arg("--output")
        .arg(out.path())
        .arg("--labels")
        .arg(out.path().join("labels.json"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for label in ["1", "3", "13"] {
        let ours = read_npz_u8(&out.path().join("npz/vol.npz"), label).unwrap();
        let pytorchs = read_npz_u8(&golden.join("small_pred.npz"), label).unwrap();
        assert_eq!(ours.shape(), pytorchs.shape());
        let both = ours.iter().zip(&pytorchs).filter(|&(&a, &b)| a != 0 && b != 0).count();
        let sum = ours.iter().chain(&pytorchs).filter(|&&v| v != 0).count();
        let dice = 2.0 * both as f64 / sum as f64;
        assert!(sum > 0 && dice >= LEAST_DICE, "label {label}: Dice {dice}");
    }
}
