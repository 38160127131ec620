//! The loss of the lesion head: where, of which class, and whether at all.
//!
//! The three are kept apart. Pixels nobody knows leave the first; only labelled lesion takes part in
//! the second, so that "not labelled" can never teach "not this class".

use candle_core::{D, Result, Tensor};
use ild_model::LesionMaps;

use crate::data::dense::Dense;
use crate::optimiser::mask_sums::mask_sums;
use crate::optimiser::prompt_loss::{binary_cross_entropy, only_known};

/// Weight of the class loss and of the presence loss beside the lesion loss.
const CLASS: f64 = 0.5;
const PRESENCE: f64 = 0.2;
/// Weight of a slice without disease in the lesion loss: that there is none is for the presence
/// loss to say, and too much "no" in the pixels takes consolidation away beside the diaphragm.
const EMPTY: f64 = 0.25;
/// Added above and below the fraction of the Dice loss.
const SMOOTH: f64 = 1.0;

/// The head's loss and its parts, scalars that carry gradient.
#[derive(Clone, Debug)]
pub struct DenseLoss {
    /// `lesion + 0.5·class + 0.2·present`.
    pub total: Tensor,
    /// Cross-entropy plus Dice over the whole batch: a slice without disease has no Dice of its own,
    /// and weighs a quarter.
    pub lesion: Tensor,
    /// Cross-entropy of the class, mean over the slices and classes that are there, weighted by
    /// class; 0 in a batch without lesions.
    pub class: Tensor,
    /// Cross-entropy of "any lesion" plus the mean of those of the classes.
    pub present: Tensor,
}

/// Loss of `maps` against `target`.
///
/// # Errors
/// When the shapes do not fit together.
pub fn dense_loss(maps: &LesionMaps, target: &Dense) -> Result<DenseLoss> {
    let lesion = lesion_loss(&maps.lesion, target)?;
    let log_q = candle_nn::ops::log_softmax(&maps.class, D::Minus1)?;
    let class = ((log_q * &target.class)?.sum_all()? * (-1.0 / target.regions.max(1) as f64))?;
    let entropy = binary_cross_entropy(&maps.present, &target.present)?;
    let k = entropy.dim(1)? - 1;
    let present = (entropy.narrow(1, 0, 1)?.mean_all()? + entropy.narrow(1, 1, k)?.mean_all()?)?;
    let total = ((&lesion + (&class * CLASS)?)? + (&present * PRESENCE)?)?;
    Ok(DenseLoss { total, lesion, class, present })
}

fn lesion_loss(logits: &Tensor, target: &Dense) -> Result<Tensor> {
    let logits = logits.unsqueeze(1)?;
    let (b, _, height, width) = target.lesion.dims4()?;
    let (logits, pixels) = match &target.known {
        None => (ild_ops::upsample_bilinear(&logits, height, width)?, (b * height * width) as f64),
        Some(known) => {
            let pixels = f64::from(known.sum_all()?.to_scalar::<f32>()?);
            (only_known(&logits, known)?, pixels.max(1.0))
        }
    };
    let any = target.present.narrow(1, 0, 1)?; // [b, 1]
    let weight = any.affine(1.0 - EMPTY, EMPTY)?;
    let sums = mask_sums(&logits, &target.lesion)?.broadcast_mul(&weight)?.sum(0)?; // [4]
    let sum = |i: usize| sums.get(i);
    let size = (sum(1)? + sum(2)?)?;
    let dice = (1.0 - (((sum(0)? * 2.0)? + SMOOTH)? / (size + SMOOTH)?)?)?;
    dice + (sum(3)? / pixels)?
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};
    use ndarray::{Array2, Array3, s};

    use super::*;
    use crate::data::augment::Warp;
    use crate::data::dataset::Sample;
    use crate::data::dense::DenseTarget;

    const SIDE: usize = 64;

    fn sample(known: Option<Array2<u8>>) -> Sample {
        let mut labels = Array2::zeros((256, 256));
        labels.slice_mut(s![40..80, 40..120]).fill(4);
        labels.slice_mut(s![100..200, 40..120]).fill(9); // not one of the head's classes
        Sample {
            name: "x".to_owned(),
            image: Array3::zeros((3, 8, 8)),
            prompts: Vec::new(),
            labels,
            known,
            warp: Warp::IDENTITY,
            follows: Vec::new(),
        }
    }

    fn target(samples: &[Sample]) -> Dense {
        let target = DenseTarget::new(vec![1, 4], &[10, 10], SIDE);
        let samples: Vec<&Sample> = samples.iter().collect();
        Dense::new(&samples, &target, &Device::Cpu).unwrap()
    }

    fn maps(lesion: f32, class: f32) -> (Var, LesionMaps) {
        let dev = &Device::Cpu;
        let x = Var::from_tensor(&Tensor::full(lesion, (1, SIDE, SIDE), dev).unwrap()).unwrap();
        let class = Tensor::new(&[0f32, class], dev).unwrap();
        let class = class.reshape((1, 1, 1, 2)).unwrap().broadcast_as((1, SIDE, SIDE, 2)).unwrap();
        let present = Tensor::new(&[[9f32, -9.0, 9.0]], dev).unwrap();
        (x.clone(), LesionMaps { lesion: x.as_tensor().clone(), class, present })
    }

    fn value(t: &Tensor) -> f32 {
        t.to_scalar().unwrap()
    }

    #[test]
    fn only_labelled_lesion_teaches_the_class() {
        let dense = target(&[sample(None)]);
        assert_eq!(dense.regions, 1);
        let right = dense_loss(&maps(0.0, 8.0).1, &dense).unwrap();
        let wrong = dense_loss(&maps(0.0, -8.0).1, &dense).unwrap();
        assert!(value(&right.class) < 1e-3 && (value(&wrong.class) - 8.0).abs() < 1e-2);
        assert!(value(&right.present) < 1e-3);
    }

    #[test]
    fn pixels_nobody_knows_have_no_gradient_and_no_loss() {
        let mut known = Array2::ones((256, 256));
        known.slice_mut(s![128.., ..]).fill(0);
        let dense = target(&[sample(Some(known))]);
        let (x, maps) = maps(1.0, 0.0);
        let loss = dense_loss(&maps, &dense).unwrap();
        let store = loss.lesion.backward().unwrap();
        let gradient = store.get(&x).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        assert!(gradient[..30].iter().flatten().all(|g| *g != 0.0));
        assert!(gradient[34..].iter().flatten().all(|g| *g == 0.0));
    }

    #[test]
    fn a_slice_without_disease_weighs_a_quarter() {
        let mut empty = sample(None);
        empty.labels.fill(0);
        let dense = target(&[sample(None), empty]);
        let dev = &Device::Cpu;
        let logits = Tensor::full(1f32, (2, SIDE, SIDE), dev).unwrap();
        let x = Var::from_tensor(&logits).unwrap();
        let maps = LesionMaps {
            lesion: x.as_tensor().clone(),
            class: Tensor::zeros((2, SIDE, SIDE, 2), DType::F32, dev).unwrap(),
            present: Tensor::zeros((2, 3), DType::F32, dev).unwrap(),
        };
        let store = dense_loss(&maps, &dense).unwrap().lesion.backward().unwrap();
        let gradient = store.get(&x).unwrap();
        let at = |slice: usize| {
            let of_slice = gradient.get(slice).unwrap().to_vec2::<f32>().unwrap();
            of_slice[1][1] // background on both slices
        };
        assert!(at(0) > 0.0 && (at(1) / at(0) - 0.25).abs() < 1e-5, "{} {}", at(1), at(0));
    }

    #[test]
    fn an_empty_batch_teaches_no_class_and_stays_finite() {
        let mut empty = sample(None);
        empty.labels.fill(0);
        let dense = target(&[empty]);
        let loss = dense_loss(&maps(-20.0, 3.0).1, &dense).unwrap();
        assert_eq!(value(&loss.class), 0.0);
        assert!(value(&loss.lesion) < 1e-3, "{}", value(&loss.lesion));
    }
}
