//! SAM 2 behind the journey: encodes slices ahead, decodes prompts on the features at hand.

use std::sync::Arc;

use candle_core::Tensor;
use ild_model::{DecodeMode, ImageFeatures, Sam2, image_to_input, logits_to_probability};
use ndarray::Ix2;
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
    let inputs: Vec<f32> = slices.par_iter().flat_map_iter(|&i| image_to_input(scan.rgb(i).view(), side).into_iter()).collect();
    let batch = Tensor::from_vec(inputs, (slices.len(), 3, side, side), model.device()).map_err(ild_model::Error::from)?;
    let features = model.encode_image(&batch)?;
    if slices.len() == 1 {
        return Ok(vec![features]);
    }
    // A view into the batch would keep the whole batch in memory as long as one of its slices is needed.
    (0..slices.len()).map(|i| own(&features.get(i)?)).collect::<candle_core::Result<_>>().map_err(|error| Error::Model(error.into()))
}

fn own(features: &ImageFeatures) -> candle_core::Result<ImageFeatures> {
    let [fine, middle] = &features.high_res;
    Ok(ImageFeatures { image_embed: features.image_embed.copy()?, high_res: [fine.copy()?, middle.copy()?] })
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
        prompts.iter().map(|prompt| decode(self.model, &features, prompt, self.slice_size).map_err(Error::Model)).collect()
    }

    fn skip(&mut self, _z: usize) {
        self.features.skip();
    }
}

/// The model's answer to one prompt.
fn decode(model: &Sam2, features: &ImageFeatures, prompt: &Prompt, [height, width]: [usize; 2]) -> ild_model::Result<Prediction> {
    let device = model.device();
    let answer = match prompt {
        Prompt::Box(corners) => {
            let boxes = Tensor::from_slice(&corners.map(|v| v as f32), (1, 4), device)?;
            model.decode_box(features, &boxes, DecodeMode::Eval)?
        }
        Prompt::Points(points) => {
            let places: Vec<f32> = points.iter().flat_map(|(place, _)| place.map(|v| v as f32)).collect();
            let labels: Vec<f32> = points.iter().map(|&(_, inside)| if inside { INSIDE } else { OUTSIDE }).collect();
            let n = points.len();
            let places = Tensor::from_vec(places, (1, n, 2), device)?;
            model.decode_points(features, &places, &Tensor::from_vec(labels, (1, n), device)?, DecodeMode::Eval)?
        }
    };
    let side = answer.logits.dim(3)?;
    let logits = ndarray::Array::from_shape_vec((side, side), answer.logits.flatten_all()?.to_vec1::<f32>()?)
        .and_then(|array| array.into_dimensionality::<Ix2>())
        .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
    let scalar = |tensor: &Tensor| tensor.flatten_all()?.get(0)?.to_scalar::<f32>();
    Ok(Prediction {
        probability: logits_to_probability(logits.view(), height, width),
        iou: scalar(&answer.iou)?,
        object_score: scalar(&answer.object_score)?,
    })
}
