//! Pictures to features.

use candle_core::Tensor;
use ild_model::{ImageFeatures, LesionMaps, Sam2, image_to_input};
use ndarray::s;
use rayon::prelude::*;

use crate::coordinates::StackIndex;
use crate::{Error, Result, Scan};

/// Bytes that the features of one slice take.
#[must_use]
pub fn feature_bytes(image_size: usize, d_model: usize) -> usize {
    let map = |stride: usize, channels: usize| (image_size / stride).pow(2) * channels;
    4 * (map(16, d_model) + map(4, d_model / 8) + map(8, d_model / 4))
}

/// The pictures `slices` of `scan` as the model takes them, or their mirror images.
///
/// # Shapes
/// - returns `[n, 3, s, s]`
///
/// # Errors
/// When the device has no room.
pub fn inputs(model: &Sam2, scan: &Scan, slices: &[StackIndex], mirrored: bool) -> Result<Tensor> {
    let side = model.config().image_size;
    let input = |&slice: &StackIndex| {
        let picture = scan.rgb(slice.0);
        let picture = match scan.preset {
            Some(preset) => preset.resized(&picture, side),
            None => picture,
        };
        let picture = if mirrored { picture.slice(s![.., ..;-1, ..]) } else { picture.view() };
        image_to_input(picture, side).into_iter()
    };
    let inputs: Vec<f32> = slices.par_iter().flat_map_iter(input).collect();
    Tensor::from_vec(inputs, (slices.len(), 3, side, side), model.device())
        .map_err(|error| Error::Model(error.into()))
}

/// Features of the pictures `slices` of `scan`, one item each.
///
/// # Errors
/// When the model fails.
pub fn encode(
    model: &Sam2,
    scan: &Scan,
    slices: &[StackIndex],
    mirrored: bool,
) -> Result<Vec<ImageFeatures>> {
    one_by_one(model.encode_image(&inputs(model, scan, slices, mirrored)?)?, slices.len())
}

/// The same with what the lesion head says of the slices, from one encoding; `None` where the
/// weights have no head.
///
/// # Errors
/// When the model fails.
pub fn encode_with_lesions(
    model: &Sam2,
    scan: &Scan,
    slices: &[StackIndex],
    mirrored: bool,
) -> Result<(Vec<ImageFeatures>, Option<LesionMaps>)> {
    let pictures = inputs(model, scan, slices, mirrored)?;
    let (features, maps) = model.encode_image_with_lesions(&pictures)?;
    Ok((one_by_one(features, slices.len())?, maps))
}

/// The features of a batch of `n`, each in memory of its own: a view into the batch would keep the
/// whole batch as long as one of its slices is needed.
fn one_by_one(features: ImageFeatures, n: usize) -> Result<Vec<ImageFeatures>> {
    if n == 1 {
        return Ok(vec![features]);
    }
    (0..n)
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
