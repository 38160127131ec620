//! Gradients of `Σ g·f(inputs)` for a fixed random `g`, by backward and by central differences.

use candle_core::{DType, Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cases::{Case, Path};

const STEP: f64 = 1e-5;

/// Uniform in (−1, 1), the same numbers for every type (they are f32 numbers).
pub fn random(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count: usize = shape.iter().product();
    let data: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(data, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

pub fn inputs(case: &Case, dtype: DType) -> Vec<Tensor> {
    let shapes = case.inputs.iter().zip(1..);
    shapes.map(|(shape, seed)| random(shape, seed, dtype)).collect()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub fn values(case: &Case, inputs: &[Tensor], path: Path) -> Vec<f64> {
    numbers(&case.run(inputs, path).unwrap())
}

fn weighted_sum(case: &Case, inputs: &[Tensor], path: Path) -> Tensor {
    let y = case.run(inputs, path).unwrap();
    let weights = random(y.dims(), 99, y.dtype());
    (y * weights).unwrap().sum_all().unwrap()
}

pub fn gradients(case: &Case, inputs: &[Tensor], path: Path) -> Vec<Vec<f64>> {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    // A product with one keeps each input an intermediate of the graph, as it is inside a model.
    let inner: Vec<Tensor> = vars.iter().map(|v| (v.as_tensor() * 1.0).unwrap()).collect();
    let store = weighted_sum(case, &inner, path).backward().unwrap();
    let gradient = |(i, var): (usize, &Var)| match store.get(var.as_tensor()) {
        Some(found) => {
            assert_eq!(found.dims(), var.dims(), "{}", case.name);
            numbers(found)
        }
        None if case.without_effect.contains(&i) => vec![0.0; var.elem_count()],
        None => panic!("{}: no gradient for input {i} ({path:?})", case.name),
    };
    vars.iter().enumerate().map(gradient).collect()
}

pub fn finite_differences(case: &Case, inputs: &[Tensor], path: Path) -> Vec<Vec<f64>> {
    let evaluate = |i: usize, data: Vec<f64>| {
        let mut moved = inputs.to_vec();
        moved[i] = Tensor::from_vec(data, inputs[i].dims(), &Device::Cpu).unwrap();
        weighted_sum(case, &moved, path).to_scalar::<f64>().unwrap()
    };
    let along = |i: usize| {
        let base = numbers(&inputs[i]);
        let slope = |j: usize| {
            let mut up = base.clone();
            up[j] += STEP;
            let mut down = base.clone();
            down[j] -= STEP;
            (evaluate(i, up) - evaluate(i, down)) / (2.0 * STEP)
        };
        (0..base.len()).map(slope).collect()
    };
    (0..inputs.len()).map(along).collect()
}

/// Largest difference, as a fraction of the largest number expected (at least 1).
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0, |m: f64, e| m.max(e.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |m: f64, (f, e)| {
        if (f - e).is_finite() { m.max((f - e).abs() / largest) } else { f64::INFINITY }
    })
}
