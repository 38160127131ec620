//! Logits and gradients of whole models on the device against the CPU path.

use candle_core::{DType, Device, Tensor};
use ild_model::{DecodeMode, Sam2, Sam2Config, Weights};
use ild_train::{Gradients, dice_and_cross_entropy};

use crate::operations::numbers;
use crate::{Cli, Comparison, word};

/// Parts of the largest logit; what CI allows against PyTorch on the CPU.
const LOGITS: f64 = 2e-4;

/// Parts of the largest number of all gradients.
const GRADIENTS: f64 = 2e-4;

/// bf16 rounds at 2⁻⁹, some twenty times one after the other.
const LOGITS_BF16: f64 = 0.05;

/// One minus the cosine of the angle between the gradients as vectors.
const ANGLE_BF16: f64 = 0.005;

/// What a training step works on.
pub struct Data {
    pub images: Tensor,
    pub boxes: Tensor,
    pub masks: Tensor,
}

impl Data {
    /// Smooth pictures, a box in the middle, a square mask.
    pub fn new(batch: usize, side: usize, device: &Device) -> candle_core::Result<Self> {
        let pixel = |i: usize| {
            let (x, y, plane, image) =
                (i % side, i / side % side, i / (side * side) % 3, i / (3 * side * side));
            ((0.05 * x as f64).sin() * (0.03 * y as f64).cos() * (plane + 1) as f64
                + 0.1 * image as f64) as f32
        };
        let images: Vec<f32> = (0..batch * 3 * side * side).map(pixel).collect();
        let corner = |share: f64| (share * side as f64) as f32;
        let boxes = [corner(0.25), corner(0.25), corner(0.75), corner(0.75)].repeat(batch);
        let label = |i: usize| {
            f32::from(u8::from(
                (64..192).contains(&(i % 256)) && (64..192).contains(&(i / 256 % 256)),
            ))
        };
        let masks: Vec<f32> = (0..batch * 256 * 256).map(label).collect();
        Ok(Self {
            images: Tensor::from_vec(images, (batch, 3, side, side), device)?,
            boxes: Tensor::from_vec(boxes, (batch, 4), device)?,
            masks: Tensor::from_vec(masks, (batch, 1, 256, 256), device)?,
        })
    }
}

/// Logits, and the gradients of all trained tensors one after the other.
struct Pass {
    logits: Vec<f64>,
    gradients: Vec<f64>,
}

fn pass(
    config: &Sam2Config,
    weights: &Weights,
    device: &Device,
    dtype: DType,
) -> anyhow::Result<Pass> {
    let (mut model, parameters, _) = Sam2::trainable(config, weights, device)?;
    model.set_precision(crate::precision(dtype))?;
    let data = Data::new(1, config.image_size, device)?;
    let found =
        model.decode_box(&model.encode_image(&data.images)?, &data.boxes, DecodeMode::Train)?;
    let loss = dice_and_cross_entropy(&found.logits, &data.masks)?;
    let mut store = loss.total.backward()?;
    let gradients = Gradients::take(&mut store, parameters.iter())?;
    let mut all = Vec::new();
    for gradient in gradients.as_slice().iter().flatten() {
        all.extend(numbers(gradient)?);
    }
    Ok(Pass { logits: numbers(&found.logits)?, gradients: all })
}

/// Compares `nano`, and the first of the sizes asked for unless that is to be quick.
pub fn compare(device: &Device, types: &[DType], cli: &Cli) -> anyhow::Result<Vec<Comparison>> {
    let mut names = vec!["nano"];
    names.extend(
        cli.models.first().map(String::as_str).filter(|name| !cli.quick && *name != "nano"),
    );
    let mut comparisons = Vec::new();
    for name in names {
        let config = Sam2Config::from_name_or_file(name)?;
        let weights = Weights::random(&config, cli.common.seed)?;
        let expected = pass(&config, &weights, &Device::Cpu, DType::F32)?;
        for &dtype in types {
            let found = pass(&config, &weights, device, dtype)?;
            let (logits, gradients, allowed) = if dtype == DType::BF16 {
                let angle = 1.0 - cosine(&found.gradients, &expected.gradients);
                (
                    relative(&found.logits, &expected.logits),
                    ("angle of the gradients", angle),
                    [LOGITS_BF16, ANGLE_BF16],
                )
            } else {
                let error = relative(&found.gradients, &expected.gradients);
                (
                    relative(&found.logits, &expected.logits),
                    ("gradients", error),
                    [LOGITS, GRADIENTS],
                )
            };
            let comparison = |part: &str, error, allowed| Comparison {
                what: format!("model {name}, {part}"),
                precision: word(dtype),
                error,
                allowed,
            };
            comparisons.push(comparison("logits", logits, allowed[0]));
            comparisons.push(comparison(gradients.0, gradients.1, allowed[1]));
        }
    }
    Ok(comparisons)
}

/// Largest difference, as a fraction of the largest number expected.
fn relative(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |m, e| m.max(e.abs()));
    found.iter().zip(expected).fold(0.0, |m, (f, e)| {
        if (f - e).is_finite() { m.max((f - e).abs() / largest) } else { f64::INFINITY }
    })
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    if a.len() == b.len() { sum(a, b) / (sum(a, a) * sum(b, b)).sqrt() } else { f64::NAN }
}
