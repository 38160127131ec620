//! Loss and Dice on the validation slices.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{D, DType, Tensor};
use ild_model::{DecodeMode, Sam2};

use crate::data::augment::Augmentation;
use crate::data::batch::Batch;
use crate::data::dataset::{Sample, SliceDataset};
use crate::data::items::{ItemSettings, every_label};
use crate::error::Result;
use crate::optimiser::loss::dice_and_cross_entropy;
use crate::peers::Peers;
use crate::random::Purpose;
use crate::watch::history::Validation;

/// Every label of every slice of `data`, with box shifts that are the same in every epoch.
///
/// Several processes share the boxes and all get the result. `model` should be one without
/// gradients ([`Sam2::load`]): it keeps no activations. Stops early, with what it has, when the
/// process is asked to stop.
///
/// # Errors
/// When a slice cannot be read or the model does not run.
pub fn validate(
    model: &Sam2,
    data: &Arc<SliceDataset>,
    items: &ItemSettings,
    batch_size: usize,
    peers: &dyn Peers,
) -> Result<Validation> {
    let started = Instant::now();
    let settings = ItemSettings { augmentation: Augmentation::default(), ..*items };
    let draws = every_label(data);
    let own = (peers.rank()..draws.len()).step_by(peers.count()).collect();
    let mut loader = settings.load(data, draws, own, Purpose::Validation, 0);
    let mut validation = Validation::default();
    while !ild_cli::interrupted() {
        let samples: Vec<Sample> = loader.by_ref().take(batch_size).collect::<Result<_>>()?;
        if samples.is_empty() {
            break;
        }
        add_batch(model, &samples, &mut validation)?;
    }
    validation.sum_over(peers);
    validation.seconds = started.elapsed().as_secs_f64();
    Ok(validation)
}

fn add_batch(model: &Sam2, samples: &[Sample], validation: &mut Validation) -> Result<()> {
    let batch = Batch::new(samples, model.device())?;
    let prediction =
        model.decode_box(&model.encode_image(&batch.images)?, &batch.boxes, DecodeMode::Train)?;
    let loss = dice_and_cross_entropy(&prediction.logits, &batch.masks)?;
    validation.loss.add(&loss.dice.to_vec1()?, &loss.bce.to_vec1()?);
    for (sample, dice) in samples.iter().zip(dice_of_masks(&prediction.logits, &batch.masks)?) {
        validation.dice_of_class.entry(sample.label).or_default().add(dice);
    }
    Ok(())
}

/// `2·|P ∧ T| / (|P| + |T|)` of each mask, `P` being where the (enlarged) logit is above 0. `T` is
/// never empty here.
///
/// # Shapes
/// - `logits`: `[b, 1, h, w]`
/// - `masks`: `[b, 1, H, W]`
fn dice_of_masks(logits: &Tensor, masks: &Tensor) -> Result<Vec<f64>> {
    let (_, _, height, width) = masks.dims4()?;
    let inside =
        ild_ops::upsample_bilinear(logits, height, width)?.gt(0.0)?.to_dtype(DType::F32)?;
    let count = |t: &Tensor| t.sum(D::Minus1)?.sum(D::Minus1)?.sum(D::Minus1)?.to_vec1::<f32>(); // whole numbers: exact in f32
    let (both, predicted, truth) = (count(&(&inside * masks)?)?, count(&inside)?, count(masks)?);
    Ok((0..both.len())
        .map(|i| 2.0 * f64::from(both[i]) / f64::from(predicted[i] + truth[i]))
        .collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn dice_counts_pixels() {
        let logits =
            Tensor::new(&[[[[1f32, 1.0, -1.0, -1.0]]], [[[-1.0, -1.0, -1.0, -1.0]]]], &Device::Cpu)
                .unwrap();
        let masks =
            Tensor::new(&[[[[1f32, 0.0, 1.0, 0.0]]], [[[1.0, 1.0, 0.0, 0.0]]]], &Device::Cpu)
                .unwrap();
        assert_eq!(dice_of_masks(&logits, &masks).unwrap(), [0.5, 0.0]);
    }
}
