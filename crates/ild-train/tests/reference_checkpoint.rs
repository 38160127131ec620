//! Going on from a `.pth` of the reference's script, made by PyTorch
//! (`tests/golden/train/export.py`).

mod support;

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use ild_train::{Recipe, RunFolder, Setup, SliceDataset, Trainer};
use support::{golden, parameters_of_mini, toy};

fn trainer(folder: &Path) -> Trainer {
    let train = SliceDataset::open(&folder.join("npy/train")).unwrap();
    let setup = Setup::new(
        folder.join("mini.toml").to_str().unwrap(),
        train,
        Recipe { epochs: 9, ..Recipe::reference() },
    )
    .unwrap();
    Trainer::new(setup, RunFolder::open(&folder.join("run")).unwrap()).unwrap()
}

fn unpacked(folder: &Path) -> PathBuf {
    let path = folder.join("medsam_model_latest.pth");
    let packed = std::fs::File::open(golden("reference.pth.gz")).unwrap();
    std::io::copy(
        &mut flate2::read::GzDecoder::new(packed),
        &mut std::fs::File::create(&path).unwrap(),
    )
    .unwrap();
    path
}

#[test]
fn parameters_moments_and_epoch_are_those_of_the_file() {
    /// f32 rounding over three steps.
    const TOLERANCE: f32 = 1e-6;
    let folder = toy();
    let mut trainer = trainer(folder.path());
    trainer.resume_reference(&unpacked(folder.path())).unwrap();
    assert_eq!((trainer.progress().epochs_done, trainer.progress().steps_done), (7, 3));
    let one =
        |tensor: &Tensor| tensor.flatten_all().unwrap().get(0).unwrap().to_scalar::<f32>().unwrap();
    let weights = trainer.snapshot().unwrap();
    for (i, ((name, _), moments)) in
        trainer.parameters().iter().zip(trainer.optimizer().moments()).enumerate()
    {
        let (start, gradient) = ((0.01 * (i + 1) as f64) as f32, (1e-3 * (i + 1) as f64) as f32);
        let value = one(weights.get(name).unwrap());
        let Some(moments) = moments else {
            assert!(
                name.contains("iou_prediction_head") || name.contains("pred_obj_score_head"),
                "{name} lost its moments"
            );
            assert_eq!(value, start, "{name}");
            continue;
        };
        // A constant gradient moves a parameter by about lr per step, whatever its size.
        assert!(
            (value - (start * (1.0 - 3e-5) - 3e-3)).abs() < 2e-6 * (1.0 + start),
            "{name}: {value} from {start}"
        );
        assert_eq!(moments.step, 3);
        assert!(
            (one(&moments.exp_avg) / (gradient * (1.0 - 0.9f32.powi(3))) - 1.0).abs()
                < TOLERANCE * 4.0,
            "{name}"
        );
        assert!(
            (one(&moments.exp_avg_sq) / (gradient * gradient * (1.0 - 0.999f32.powi(3))) - 1.0)
                .abs()
                < 1e-3,
            "{name}"
        );
    }
}

#[test]
fn a_file_without_an_optimiser_is_refused_with_what_to_do() {
    let folder = toy();
    let bytes = std::fs::read(unpacked(folder.path())).unwrap();
    let at = bytes.windows(9).position(|w| w == b"optimizer").unwrap();
    let mut other = bytes.clone();
    other[at..at + 9].copy_from_slice(b"optimiser");
    let path = folder.path().join("other.pth");
    std::fs::write(&path, other).unwrap();
    let error = trainer(folder.path()).resume_reference(&path).unwrap_err();
    assert!(error.is_rejection(), "{error}");
}

#[test]
fn the_references_checkpoint_was_made_from_this_models_parameters() {
    let listed = std::fs::read_to_string(golden("mini_parameters.json")).unwrap();
    assert_eq!(listed, parameters_of_mini(), "see examples/mini_parameters.rs");
}
