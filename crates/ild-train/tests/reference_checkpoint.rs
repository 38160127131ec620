//! Going on from a `.pth` of the reference's script, made by PyTorch
//! (`tests/golden/train/export.py`).

mod support;

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ild_model::{Sam2Config, Weights};
use ild_train::{Recipe, RunFolder, Setup, SliceDataset, Trainer};
use support::{golden, toy};

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
#[ignore = "rewrites the list that export.py makes its checkpoint from"]
fn write_the_list_of_parameters() {
    let folder = toy();
    let config =
        Sam2Config::from_name_or_file(folder.path().join("mini.toml").to_str().unwrap()).unwrap();
    let weights = Weights::random(&config, 1).unwrap();
    let (_, parameters, _) = ild_model::Sam2::trainable(&config, &weights, &Device::Cpu).unwrap();
    let list: Vec<(&str, &[usize])> =
        parameters.iter().map(|(name, var)| (name, var.dims())).collect();
    let frozen: Vec<(&str, &[usize])> = weights
        .iter()
        .filter(|(name, _)| parameters.get(name).is_none())
        .map(|(name, tensor)| (name, tensor.dims()))
        .collect();
    let text = serde_json::json!({ "trained": list, "frozen": frozen }).to_string();
    std::fs::write(golden("mini_parameters.json"), text + "\n").unwrap();
}
