//! A picture per case: three slices per label, prediction solid in the label's colour, ground truth
//! in white dashes.

use std::path::Path;

use ild_io::picture::{Outline, overlay, save_png, tile};
use ild_io::{Images, Window};
use ild_preprocess::{Windowing, window_slices};
use image::RgbImage;
use ndarray::{Array2, Array3, Axis};

use crate::coordinates::StackIndex;
use crate::run::case::Segmented;

/// Radiology's lung window: pictures of a CT are shown through it, whatever the model sees.
const LUNG: Window = Window { level_hu: -600.0, width_hu: 1500.0 };
const TRUTH: [u8; 3] = [255, 255, 255];
const SLICES_PER_LABEL: usize = 3;
/// Slices narrower than this are enlarged, px.
const COMFORTABLE_WIDTH: usize = 384;

/// Draws and writes the picture.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, done: &Segmented) -> ild_io::Result<()> {
    let truth = done.scan.truth.as_ref();
    let mut ids: Vec<u8> = done.merger.per_label.keys().copied().collect();
    ids.extend(truth.map(|truth| crate::prompt::truth::ids(truth.view())).unwrap_or_default());
    ids.sort_unstable();
    ids.dedup();
    let mut tiles = Vec::new();
    for id in ids {
        let row: Vec<RgbImage> =
            slices_of(done, id).into_iter().map(|z| slice(done, id, z)).collect();
        if let Some(first) = row.first() {
            let blank = RgbImage::new(first.width(), first.height());
            tiles.extend(row.into_iter().chain(std::iter::repeat(blank)).take(SLICES_PER_LABEL));
        }
    }
    save_png(path, &tile(&tiles, SLICES_PER_LABEL))
}

/// The slice with the most of label `id` (predicted or true), and those a quarter and three
/// quarters through it.
fn slices_of(done: &Segmented, id: u8) -> Vec<usize> {
    let truth = done.scan.truth.as_ref();
    let area = |z: usize| {
        let predicted = done
            .merger
            .per_label
            .get(&id)
            .and_then(|p| p.masks.get(&StackIndex(z)))
            .and_then(Option::as_ref)
            .map_or(0, |patch| patch.pixels());
        predicted
            + truth.map_or(0, |truth| {
                truth.index_axis(Axis(0), z).iter().filter(|&&v| v == id).count()
            })
    };
    let areas: Vec<usize> = (0..done.scan.z_index().len()).map(area).collect();
    let there: Vec<usize> = (0..areas.len()).filter(|&z| areas[z] > 0).collect();
    let Some(&largest) = there.iter().max_by_key(|&&z| areas[z]) else { return Vec::new() };
    let mut chosen = vec![there[there.len() / 4], largest, there[3 * there.len() / 4]];
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn slice(done: &Segmented, id: u8, z: usize) -> RgbImage {
    let picture = shown(done, z);
    let (height, width, _) = picture.dim();
    let mut predicted = Array2::from_elem((height, width), false);
    if let Some(Some(patch)) =
        done.merger.per_label.get(&id).and_then(|prediction| prediction.masks.get(&StackIndex(z)))
    {
        patch.paint(&mut predicted.view_mut(), true);
    }
    let truth =
        done.scan.truth.as_ref().map(|truth| truth.index_axis(Axis(0), z).mapv(|v| v == id));
    let mut outlines = vec![Outline::mask(predicted.view(), done.scan.label_table.color(id))];
    if let Some(truth) = &truth {
        outlines.push(Outline::mask(truth.view(), TRUTH).dashed());
    }
    overlay(picture.view(), &outlines, COMFORTABLE_WIDTH.div_ceil(width.max(1)) as u32)
}

/// Slice `z` as it is shown, `[y, x, 3]`.
fn shown(done: &Segmented, z: usize) -> Array3<u8> {
    match done.scan.ct() {
        Some(ct) => match window_slices(ct, &[z], &Windowing::Grey(LUNG)) {
            Images::Grey(grey) => {
                Array3::from_shape_fn((grey.dim().1, grey.dim().2, 3), |(y, x, _)| grey[[0, y, x]])
            }
            Images::Rgb(colour) => colour.index_axis_move(Axis(0), 0),
        },
        None => {
            let colour = done.scan.rgb(z); // of three windows the first is the lung's
            Array3::from_shape_fn(colour.dim(), |(y, x, _)| colour[[y, x, 0]])
        }
    }
}
