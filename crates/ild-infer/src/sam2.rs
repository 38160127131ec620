//! SAM 2 behind the journey: encodes slices ahead, decodes prompts on the features at hand.

use std::sync::Arc;

use candle_core::Tensor;
use ild_model::{
    DecodeMode, ImageFeatures, MaskPrediction, Sam2, image_to_input, logits_to_probability,
};
use ndarray::Array2;
use rayon::prelude::*;

use crate::encoder_cache::Features;
use crate::{Error, Prediction, Prompt, Result, Scan, SliceSegmenter};

/// `labels` of SAM 2's point prompts.
const OUTSIDE: f32 = 0.0;
const INSIDE: f32 = 1.0;

/// Bytes that the features of one slice take.
#[must_use]
pub fn feature_bytes(image_size: usize, d_model: usize) -> usize {
    let map = |stride: usize, channels: usize| (image_size / stride).pow(2) * channels;
    4 * (map(16, d_model) + map(4, d_model / 8) + map(8, d_model / 4))
}

/// Features of the pictures `slices` of `scan`, one item each.
///
/// # Errors
/// When the model fails.
pub fn encode(model: &Sam2, scan: &Scan, slices: &[usize]) -> Result<Vec<ImageFeatures>> {
    let side = model.config().image_size;
    let inputs: Vec<f32> = slices
        .par_iter()
        .flat_map_iter(|&i| image_to_input(scan.rgb(i).view(), side).into_iter())
        .collect();
    let batch = Tensor::from_vec(inputs, (slices.len(), 3, side, side), model.device())
        .map_err(ild_model::Error::from)?;
    let features = model.encode_image(&batch)?;
    if slices.len() == 1 {
        return Ok(vec![features]);
    }
    // A view into the batch would keep the whole batch in memory as long as one of its slices is
    // needed.
    (0..slices.len())
        .map(|i| own(&features.get(i)?))
        .collect::<candle_core::Result<_>>()
        .map_err(|error| Error::Model(error.into()))
}

fn own(features: &ImageFeatures) -> candle_core::Result<ImageFeatures> {
    let [fine, middle] = &features.high_res;
    Ok(ImageFeatures {
        image_embed: features.image_embed.copy()?,
        high_res: [fine.copy()?, middle.copy()?],
    })
}

/// Decodes prompts on features that [`crate::encoder_cache`] provides.
pub struct Sam2Segmenter<'a, 'f> {
    /// The model.
    pub model: &'a Sam2,
    /// Slices in the order of the sweeps.
    pub features: &'a mut Features<'f, ImageFeatures>,
    /// Rows and columns of the slices.
    pub slice_size: [usize; 2],
}

impl SliceSegmenter for Sam2Segmenter<'_, '_> {
    fn segment(&mut self, _z: usize, prompts: &[Prompt]) -> Result<Vec<Prediction>> {
        let features: Arc<ImageFeatures> = self.features.next_visit()?;
        decode_all(self.model, &features, prompts, self.slice_size).map_err(Error::Model)
    }

    fn skip(&mut self, _z: usize) {
        self.features.skip();
    }
}

/// The model's answers. A GPU gets all boxes at once; a CPU is busy with one.
fn decode_all(
    model: &Sam2,
    features: &ImageFeatures,
    prompts: &[Prompt],
    size: [usize; 2],
) -> ild_model::Result<Vec<Prediction>> {
    let boxes: Option<Vec<[f64; 4]>> = prompts
        .iter()
        .map(|prompt| if let Prompt::Box(corners) = prompt { Some(*corners) } else { None })
        .collect();
    match boxes {
        Some(boxes) if !model.device().is_cpu() => decode_boxes(model, features, &boxes, size),
        _ => prompts.iter().map(|prompt| decode(model, features, prompt, size)).collect(),
    }
}

fn decode_boxes(
    model: &Sam2,
    features: &ImageFeatures,
    boxes: &[[f64; 4]],
    size: [usize; 2],
) -> ild_model::Result<Vec<Prediction>> {
    let corners: Vec<f32> = boxes.iter().flat_map(|corners| corners.map(|v| v as f32)).collect();
    let corners = Tensor::from_vec(corners, (boxes.len(), 4), model.device())?;
    let answer = model.decode_box(features, &corners, DecodeMode::Eval)?;
    (0..boxes.len()).map(|i| prediction(&answer, i, size)).collect()
}

fn decode(
    model: &Sam2,
    features: &ImageFeatures,
    prompt: &Prompt,
    size: [usize; 2],
) -> ild_model::Result<Prediction> {
    let points = match prompt {
        Prompt::Box(corners) => {
            return Ok(
                decode_boxes(model, features, std::slice::from_ref(corners), size)?.swap_remove(0)
            );
        }
        Prompt::Points(points) => points,
    };
    let places: Vec<f32> = points.iter().flat_map(|(place, _)| place.map(|v| v as f32)).collect();
    let labels: Vec<f32> =
        points.iter().map(|&(_, inside)| if inside { INSIDE } else { OUTSIDE }).collect();
    let places = Tensor::from_vec(places, (1, points.len(), 2), model.device())?;
    let labels = Tensor::from_vec(labels, (1, points.len()), model.device())?;
    prediction(&model.decode_points(features, &places, &labels, DecodeMode::Eval)?, 0, size)
}

/// Answer `i` at the size of the slice.
fn prediction(
    answer: &MaskPrediction,
    i: usize,
    [height, width]: [usize; 2],
) -> ild_model::Result<Prediction> {
    let side = answer.logits.dim(3)?;
    let values = answer.logits.get(i)?.flatten_all()?.to_vec1::<f32>()?;
    let logits = Array2::from_shape_vec((side, side), values)
        .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
    let scalar = |tensor: &Tensor| tensor.get(i)?.get(0)?.to_scalar::<f32>();
    Ok(Prediction {
        probability: logits_to_probability(logits.view(), height, width),
        iou: scalar(&answer.iou)?,
        object_score: scalar(&answer.object_score)?,
    })
}

#[cfg(test)]
mod tests {
    use ild_model::{Sam2Config, Weights};
    use ndarray::Array3;

    use super::*;

    /// Sums in another order: some units in the last place of an f32.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn boxes_decoded_together_are_the_boxes_decoded_one_by_one() {
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let (model, _) =
            Sam2::load(&config, &Weights::random(&config, 1).unwrap(), &candle_core::Device::Cpu)
                .unwrap();
        let slice = Array3::from_shape_fn((40, 50, 3), |(y, x, _)| (y * 5 + x) as u8);
        let input = image_to_input(slice.view(), config.image_size).into_raw_vec_and_offset().0;
        let side = config.image_size;
        let features = model
            .encode_image(&Tensor::from_vec(input, (1, 3, side, side), model.device()).unwrap())
            .unwrap();
        let boxes =
            [[10.0, 20.0, 100.0, 120.0], [130.0, 40.0, 200.0, 90.0], [0.0, 0.0, 256.0, 256.0]];
        let together = decode_boxes(&model, &features, &boxes, [40, 50]).unwrap();
        for (corners, a) in boxes.iter().zip(&together) {
            let b = decode(&model, &features, &Prompt::Box(*corners), [40, 50]).unwrap();
            let apart = a
                .probability
                .iter()
                .zip(&b.probability)
                .map(|(p, q)| (p - q).abs())
                .fold(0.0, f32::max);
            assert!(apart < TOLERANCE && (a.iou - b.iou).abs() < TOLERANCE, "{apart}");
        }
        assert_ne!(together[0], together[1]);
    }
}
