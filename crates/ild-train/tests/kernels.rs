//! Training on the GPU's kernels, which run on the CPU here, compiled as C++: AdamW, and bf16
//! beside f32.

#[path = "../../ild-ops/tests/kernels/emulator.rs"]
mod emulator;
mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor, Var};
use ild_model::Precision;
use ild_train::{
    AdamW, AdamWConfig, Callback, Position, Recipe, Result, RunFolder, Setup, SliceDataset,
    StepRecord, Trainer,
};
use support::{largest_difference, toy};

/// A step rounds each number a few times; f32 has 24 bits.
const ADAMW: f64 = 1e-6;

/// bf16 rounds the gradients' parts at 2⁻⁹, and Adam makes steps of their signs. Measured 0.002 at
/// most.
const CURVE: f64 = 0.02;

#[derive(Clone, Default)]
struct Losses(Arc<Mutex<Vec<f64>>>);

impl Callback for Losses {
    fn stepped(&mut self, step: &StepRecord, _: Position) -> Result<()> {
        self.0.lock().unwrap().push(step.loss);
        Ok(())
    }
}

/// The loss of every step.
fn curve(npy: &Path, model: &str, recipe: Recipe) -> Vec<f64> {
    let train = SliceDataset::open(&npy.join("train")).unwrap();
    let mut setup = Setup::new(model, train, recipe).unwrap();
    setup.loader_threads = 1;
    let folder = tempfile::tempdir().unwrap();
    let losses = Losses::default();
    Trainer::new(setup, RunFolder::open(folder.path()).unwrap())
        .unwrap()
        .watched_by(losses.clone())
        .fit()
        .unwrap();
    let losses = losses.0.lock().unwrap();
    losses.clone()
}

#[test]
fn training_in_bf16_follows_training_in_f32() {
    if !emulator::start() {
        return;
    }
    let folder = toy();
    let recipe = |precision| Recipe {
        epochs: 4,
        batch_size: 4,
        lr: 2e-3,
        recompute_activations: true,
        precision,
        ..Recipe::reference()
    };
    let model = folder.path().join("mini.toml");
    let run =
        |precision| curve(&folder.path().join("npy"), model.to_str().unwrap(), recipe(precision));
    let (single, half) = (run(Precision::F32), run(Precision::Bf16));
    println!("f32  {single:.4?}\nbf16 {half:.4?}");
    assert!(single != half, "bf16 rounds");
    assert!(single[single.len() - 1] < 0.9 * single[0], "f32 learns: {single:.4?}");
    for (step, (s, h)) in single.iter().zip(&half).enumerate() {
        assert!((s / h - 1.0).abs() < CURVE, "step {}: {h} in bf16, {s} in f32", step + 1);
    }
}

#[test]
fn a_step_of_adamw_on_the_gpu_is_pytorchs() {
    if !emulator::start() {
        return;
    }
    // By hand, as `torch.optim.AdamW` computes it, in f64.
    let (lr, config) = (1e-2, AdamWConfig::default());
    let start: Vec<f64> = (0..300).map(|i| (f64::from(i) * 0.37).sin()).collect();
    let gradient = |step: i32, i: usize| (i as f64 * 0.11 + f64::from(step)).cos() * 0.3;
    let (mut p, mut m, mut v) = (start.clone(), vec![0.0; 300], vec![0.0; 300]);
    let tensor = |values: Vec<f64>| {
        Tensor::from_vec(
            values.into_iter().map(|x| x as f32).collect::<Vec<_>>(),
            300,
            &Device::Cpu,
        )
        .unwrap()
    };
    let var = Var::from_tensor(&tensor(start)).unwrap();
    let mut optimizer = AdamW::new(vec![var.clone()], config);
    for step in 1..=5 {
        for i in 0..300 {
            let g = gradient(step, i);
            p[i] *= 1.0 - lr * config.weight_decay;
            m[i] = config.beta1 * m[i] + (1.0 - config.beta1) * g;
            v[i] = config.beta2 * v[i] + (1.0 - config.beta2) * g * g;
            let (mean, square) =
                (m[i] / (1.0 - config.beta1.powi(step)), v[i] / (1.0 - config.beta2.powi(step)));
            p[i] -= lr * mean / (f64::sqrt(square) + config.eps);
        }
        optimizer.step(lr, &[Some(tensor((0..300).map(|i| gradient(step, i)).collect()))]).unwrap();
    }
    let error = largest_difference(var.as_tensor(), &tensor(p));
    assert!(error < ADAMW, "{error:.2e}");
}

/// `ILD_NPY=runs/sample/npy cargo test --release --workspace --test kernels -- --ignored
/// --nocapture sample`
#[test]
#[ignore = "an hour: prints the loss curves of the sample in f32 and bf16"]
fn the_sample_in_bf16_beside_f32() {
    let npy = std::env::var_os("ILD_NPY").expect("ILD_NPY: a folder of ild-preprocess npz-to-npy");
    assert!(emulator::start());
    let recipe =
        |precision| Recipe { epochs: 1, batch_size: 4, lr: 1e-3, precision, ..Recipe::reference() };
    let [single, half] = [Precision::F32, Precision::Bf16]
        .map(|precision| curve(Path::new(&npy), "nano", recipe(precision)));
    println!("step,f32,bf16");
    for (step, (s, h)) in single.iter().zip(&half).enumerate() {
        println!("{},{s:.4},{h:.4}", step + 1);
    }
}
