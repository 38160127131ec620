//! Every operation of the shared table on the device against the plain one in f64 on the CPU.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cases::{Case, Path, large, small};
use crate::{Comparison, word};

/// f32 against f64, sums of thousands of terms.
const F32: f64 = 2e-5;

/// bf16 keeps 8 bits, and several numbers are rounded one after the other.
const BF16: f64 = 1.5e-2;

/// Operations whose activations may be bf16 on a GPU; the others serve the decoder, which is f32.
const IN_BF16: [&str; 7] = [
    "layer_norm",
    "gelu",
    "linear",
    "mlp_residual",
    "attention",
    "window_attention",
    "patch_embed",
];

/// The largest error of each operation, values and gradients apart.
pub fn compare(device: &Device, types: &[DType], quick: bool) -> anyhow::Result<Vec<Comparison>> {
    let mut cases = small();
    if !quick {
        cases.extend(large());
    }
    let mut worst: BTreeMap<(String, &'static str), [f64; 2]> = BTreeMap::new();
    for case in &cases {
        let operation = case.name.split(' ').next().unwrap_or_default().to_owned();
        // Equal numbers are frequent in bf16, and of those the plain pool gives each the whole
        // gradient.
        let ties = case.name.contains("pool");
        for &dtype in types
            .iter()
            .filter(|t| **t == DType::F32 || (IN_BF16.contains(&operation.as_str()) && !ties))
        {
            let errors = errors(case, dtype, device)?;
            let so_far = worst.entry((operation.clone(), word(dtype))).or_default();
            for (so_far, error) in so_far.iter_mut().zip(errors) {
                *so_far = if error.is_nan() { f64::INFINITY } else { so_far.max(error) };
            }
        }
    }
    let both = worst.into_iter().flat_map(|((operation, precision), errors)| {
        let allowed = if precision == "f32" { F32 } else { BF16 };
        let comparison = move |(part, error)| Comparison {
            what: format!("{operation}, {part}"),
            precision,
            error,
            allowed,
        };
        ["value", "gradient"].into_iter().zip(errors).map(comparison)
    });
    Ok(both.collect())
}

/// Of the value, and the largest of the gradients.
fn errors(case: &Case, dtype: DType, device: &Device) -> Result<[f64; 2]> {
    let rounded =
        case.inputs.iter().zip(1..).map(|(shape, seed)| random(shape, seed)?.to_dtype(dtype));
    let rounded = rounded.collect::<Result<Vec<_>>>()?;
    let exact = rounded.iter().map(|t| t.to_dtype(DType::F64)).collect::<Result<Vec<_>>>()?;
    let there = rounded.iter().map(|t| t.to_device(device)).collect::<Result<Vec<_>>>()?;
    let (found, expected) = (run(case, &there, Path::Fused)?, run(case, &exact, Path::Reference)?);
    let value = distance(&found[0], &expected[0]);
    let gradient =
        found.iter().zip(&expected).skip(1).map(|(f, e)| distance(f, e)).fold(0.0, f64::max);
    Ok([value, gradient])
}

/// Uniform in (−1, 1).
fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(data, shape, &Device::Cpu)
}

/// The value, then the gradient of each input, of a fixed weighted sum of the result.
fn run(case: &Case, inputs: &[Tensor], path: Path) -> Result<Vec<Vec<f64>>> {
    let vars = inputs.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    let inner = vars.iter().map(|v| v.as_tensor() * 1.0).collect::<Result<Vec<_>>>()?;
    let y = case.run(&inner, path)?;
    let weights = random(y.dims(), 99)?.to_dtype(y.dtype())?.to_device(y.device())?;
    let store = (&y * weights)?.sum_all()?.backward()?;
    let mut all = vec![numbers(&y)?];
    for var in &vars {
        all.push(match store.get(var.as_tensor()) {
            Some(gradient) => numbers(gradient)?,
            None => vec![0.0; var.elem_count()],
        });
    }
    Ok(all)
}

/// All numbers, on the CPU.
pub fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// Largest difference, as a fraction of the largest number expected (at least 1).
pub fn distance(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(1.0, |m: f64, e| m.max(e.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |m: f64, (f, e)| {
        if (f - e).is_finite() { m.max((f - e).abs() / largest) } else { f64::INFINITY }
    })
}
