//! Loss and Dice on the validation slices.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{D, DType, Tensor};
use ild_model::Sam2;

use crate::data::augment::Augmentation;
use crate::data::batch::Batch;
use crate::data::dataset::{LABEL_SIZE, Sample, SliceDataset};
use crate::data::dense::DenseTarget;
use crate::data::items::ItemSettings;
use crate::error::Result;
use crate::optimiser::dense_loss::dense_loss;
use crate::peers::Peers;
use crate::random::Purpose;
use crate::run::objective::Objective;
use crate::watch::history::Validation;
use crate::watch::worst::Worst;

/// Every label of every slice of `data`, or every lesion with what the lesion head finds, as the
/// items say; box shifts are the same in every epoch.
///
/// The answers that fit worst are added to `worst`.
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
    head: Option<&DenseTarget>,
    batch_size: usize,
    peers: &dyn Peers,
    worst: &mut Worst,
) -> Result<Validation> {
    let started = Instant::now();
    let settings = ItemSettings { augmentation: Augmentation::default(), ..*items };
    let draws = items.validation_draws(data);
    let own = (peers.rank()..draws.len()).step_by(peers.count()).collect();
    let mut loader = settings.load(data, draws, own, Purpose::Validation, 0);
    let mut validation =
        Validation { head: head.map(|_| Default::default()), ..Validation::default() };
    while !ild_cli::interrupted() {
        let samples: Vec<Sample> = loader.by_ref().take(batch_size).collect::<Result<_>>()?;
        if samples.is_empty() {
            break;
        }
        add_batch(model, &samples, head, &mut validation, worst)?;
    }
    validation.sum_over(peers);
    validation.seconds = started.elapsed().as_secs_f64();
    Ok(validation)
}

fn add_batch(
    model: &Sam2,
    samples: &[Sample],
    head: Option<&DenseTarget>,
    validation: &mut Validation,
    worst: &mut Worst,
) -> Result<()> {
    let batch = Batch::new(samples, head, model.device())?;
    let (features, maps) = match head {
        None => (model.encode_image(&batch.images)?, None),
        Some(_) => model.encode_image_with_lesions(&batch.images)?,
    };
    let plain = Objective { scores: false, head_weight: None, head_gradient: 0.0 };
    // Validation asks by boxes only, so predictions come in the order of the samples' prompts.
    if let (Some(asked), [(predicted, loss)]) =
        (&batch.boxes, &plain.answers(model, &features, &batch)?[..])
    {
        validation.loss.add(&loss.dice.to_vec1()?, &loss.bce.to_vec1()?);
        let answers = enlarged(&predicted.logits, &asked.masks)?;
        let asked_about =
            samples.iter().flat_map(|sample| sample.prompts.iter().map(move |p| (sample, p)));
        let dice = dice_of_masks(&answers, &asked.masks)?;
        for (i, ((sample, prompt), dice)) in asked_about.zip(dice).enumerate() {
            validation.dice_of_class.entry(prompt.label).or_default().add(dice);
            if worst.wants(dice) {
                worst.add(sample, prompt, dice, &answers.get(i)?.flatten_all()?.to_vec1()?);
            }
        }
    }
    let (Some(maps), Some(target), Some(head), Some(score)) =
        (&maps, &batch.dense, head, &mut validation.head)
    else {
        return Ok(());
    };
    score.loss.add(&dense_loss(maps, target)?, samples.len())?;
    for (i, sample) in samples.iter().enumerate() {
        let found = maps.probabilities(i, LABEL_SIZE, LABEL_SIZE)?;
        score.add(&found, &head.classes, &sample.labels, sample.known.as_ref())?;
    }
    Ok(())
}

/// The logits at the size of the masks.
///
/// # Shapes
/// - `logits`: `[b, 1, h, w]`
/// - `masks`, and what comes back: `[b, 1, H, W]`
fn enlarged(logits: &Tensor, masks: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = masks.dims4()?;
    Ok(ild_ops::upsample_bilinear(logits, height, width)?)
}

/// `2·|P ∧ T| / (|P| + |T|)` of each mask, `P` being where the logit is above 0. `T` is never empty
/// here.
///
/// # Shapes
/// - `logits`, `masks`: `[b, 1, H, W]`
fn dice_of_masks(logits: &Tensor, masks: &Tensor) -> Result<Vec<f64>> {
    let inside = logits.gt(0.0)?.to_dtype(DType::F32)?;
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
