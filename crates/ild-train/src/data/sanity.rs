//! `data_sanitycheck.png`: what the model is about to be shown.

use std::path::Path;
use std::sync::Arc;

use ild_io::LabelTable;
use ild_io::picture::{Outline, overlay, save_png, tile};
use ndarray::{Array2, Array3};

use crate::data::dataset::{LABEL_SIZE, Sample, SliceDataset};
use crate::data::items::ItemSettings;
use crate::data::prompts::{Given, Prompt};
use crate::data::sampler::{DrawOrder, draws_of_epoch};
use crate::error::Result;
use crate::random::Purpose;

/// Items in the picture.
const SHOWN: usize = 8;
/// Items in a row.
const COLUMNS: usize = 4;

/// Draws a few random items as the model gets them: image (normalisation undone), mask outline in
/// the label's colour, box or clicks in white.
///
/// Uses random numbers of its own: the run's are not touched.
///
/// # Errors
/// When an item cannot be read or the picture not be written.
pub fn sanity_picture(
    path: &Path,
    data: &Arc<SliceDataset>,
    items: &ItemSettings,
    table: &LabelTable,
) -> Result<()> {
    let mut draws =
        draws_of_epoch(&data.labels_present(), DrawOrder::Shuffled, items.seed ^ 0x5a, 0);
    draws.truncate(SHOWN);
    let positions = (0..draws.len()).collect();
    let samples: Vec<Sample> =
        items.load(data, draws, positions, Purpose::Picture, 0).collect::<Result<_>>()?;
    let pictures: Vec<_> =
        samples.iter().filter_map(|sample| draw(sample, sample.prompts.first()?, table)).collect();
    Ok(save_png(path, &tile(&pictures, COLUMNS))?)
}

/// The picture that the model gets, normalisation undone, at most as large as the label; and how
/// many of the input's pixels one of its pixels stands for.
pub(crate) fn shown(sample: &Sample) -> (Array3<u8>, usize) {
    let size = sample.image.dim().1;
    let step = (size / LABEL_SIZE).max(1);
    let picture = Array3::from_shape_fn((size / step, size / step, 3), |(y, x, c)| {
        let value = sample.image[[c, y * step, x * step]] * ild_model::STD[c] + ild_model::MEAN[c];
        (value * 255.0).round().clamp(0.0, 255.0) as u8
    });
    (picture, step)
}

fn draw(sample: &Sample, prompt: &Prompt, table: &LabelTable) -> Option<image::RgbImage> {
    let (shown, step) = shown(sample);
    let side = shown.dim().0;
    let scale = (LABEL_SIZE / side).max(1);
    let mask = Array2::from_shape_fn((side, side), |(y, x)| {
        prompt.mask[[y * LABEL_SIZE / side, x * LABEL_SIZE / side]] == 1
    });
    let Given::Box(sides) = prompt.given else { return None };
    let box_px = sides.map(|value| f64::from(value) / step as f64);
    let color = table.color(prompt.label);
    Some(overlay(
        shown.view(),
        &[Outline::mask(mask.view(), color).dashed(), Outline::rect(box_px, [255; 3])],
        scale as u32,
    ))
}
