//! Random weights to start from.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::identify::is_carried;
use super::{SCORES, UNTRAINED, Weights};
use crate::config::Sam2Config;
use crate::error::Result;
use crate::lesion_head::LesionHead;
use crate::memory::{Memory, MemoryConfig};
use crate::sam2::Sam2;

impl Weights {
    /// Weights to train from scratch: every tensor of the image path, the same for the same seed.
    ///
    /// # Errors
    /// When no model fits the description.
    pub fn random(config: &Sam2Config, seed: u64) -> Result<Self> {
        let metadata = BTreeMap::from([(SCORES.to_owned(), UNTRAINED.to_owned())]);
        Ok(Self { tensors: random(config, seed)?, metadata, origin: None })
    }

    /// These weights and a memory of seeded random weights, in place of one that is there: the
    /// tensors of SAM 2's video path.
    ///
    /// # Errors
    /// When no model fits the description.
    pub fn with_random_memory(
        mut self,
        config: &Sam2Config,
        sizes: &MemoryConfig,
        seed: u64,
    ) -> Result<Self> {
        self.tensors.retain(|name, _| !is_carried(name));
        self.tensors.extend(draw_for(seed, |vb| Memory::build(config, sizes, vb))?);
        Ok(self)
    }
}

/// A tensor for every name that a model of this description asks for, drawn as SAM 2's constructors
/// draw them (PyTorch's defaults; the trunk's position embeddings, which SAM 2 leaves at zero for
/// its pre-trained trunk, from N(0, 0.02)).
fn random(config: &Sam2Config, seed: u64) -> Result<BTreeMap<String, Tensor>> {
    draw_for(seed, |vb| Sam2::build(config, vb, None))
}

/// The tensors of a lesion head of these classes.
pub(super) fn random_head(
    config: &Sam2Config,
    classes: &[u8],
    seed: u64,
) -> Result<BTreeMap<String, Tensor>> {
    draw_for(seed, |vb| Ok(LesionHead::new(config, classes, vb.pp("lesion_head"))?))
}

/// A tensor for every name that `build` asks for.
fn draw_for<T>(
    seed: u64,
    build: impl FnOnce(&VarBuilder) -> Result<T>,
) -> Result<BTreeMap<String, Tensor>> {
    let made = Arc::<Mutex<BTreeMap<String, Tensor>>>::default();
    let backend =
        Initialiser { rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)), made: made.clone() };
    build(&VarBuilder::from_backend(Box::new(backend), DType::F32, Device::Cpu))?;
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *made))
}

/// Makes each tensor from its [`Init`] and remembers it.
struct Initialiser {
    rng: Mutex<ChaCha8Rng>,
    made: Arc<Mutex<BTreeMap<String, Tensor>>>,
}

impl SimpleBackend for Initialiser {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        _: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let values = draw(
            &mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner),
            init,
            shape.elem_count(),
        )?;
        let tensor = Tensor::from_vec(values, shape, device)?;
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name} was asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

fn draw(rng: &mut impl Rng, init: Init, n: usize) -> candle_core::Result<Vec<f32>> {
    Ok(match init {
        Init::Const(value) => vec![value as f32; n],
        Init::Uniform { lo, up } => (0..n).map(|_| rng.random_range(lo..up) as f32).collect(),
        Init::Randn { mean, stdev } => {
            (0..n).map(|_| (mean + stdev * normal(rng)) as f32).collect()
        }
        Init::Kaiming { .. } => candle_core::bail!("no layer of SAM 2 starts from {init:?}"),
    })
}

/// One draw from N(0, 1) (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_draws_have_mean_0_and_variance_1() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let draws: Vec<f64> = (0..100_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        // Four standard errors: 4/√n for the mean, 4·√(2/n) for the variance.
        assert!(mean.abs() < 0.013, "{mean}");
        assert!((variance - 1.0).abs() < 0.018, "{variance}");
    }
}
