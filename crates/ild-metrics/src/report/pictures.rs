//! The worst, the median and the best slice, with ground truth and prediction outlined over the CT.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ild_io::picture::{Outline, overlay};
use ild_io::{Images, LabelTable, Volume, read_npz, read_volume, with_voxels};
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, Axis, s};

use super::page::Picture;
use crate::cohort::pairing::{CaseFiles, case_files};
use crate::cohort::{Outcome, ScoredCase, System};
use crate::statistics::mean;
use crate::{Aligned, AnnotatedCase, EvaluateSettings, Prediction, Result};

/// Pictures are enlarged by whole pixels to at least this width.
const WIDTH_PX: usize = 480;
/// The usual lung window, for CTs that were not windowed yet.
const LUNG_HU: [f64; 2] = [-1350.0, 150.0];

/// A slice and its DSC, averaged over the classes on it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate<'a> {
    case: &'a ScoredCase,
    z: usize,
    dice: f64,
}

/// Pictures of three slices; none when there are no images. What cannot be read is left out with a
/// warning.
pub(super) fn pictures(
    system: &System,
    table: &LabelTable,
    settings: &EvaluateSettings,
) -> Vec<Picture> {
    let images = match &settings.images {
        None => CaseFiles::new(),
        Some(folder) => case_files(folder, &settings.img_name_suffix).unwrap_or_else(|cause| {
            tracing::warn!("no pictures from --images: {cause}");
            CaseFiles::new()
        }),
    };
    let candidates = candidates(system);
    let Some(last) = candidates.len().checked_sub(1) else { return Vec::new() };
    let mut places = vec![("Worst", 0), ("Median", last / 2), ("Best", last)];
    places.dedup_by_key(|place| place.1);
    let draw = |(word, at): (&str, usize)| {
        let candidate = candidates[at];
        match draw(
            candidate,
            images.get(&candidate.case.case).map(std::path::PathBuf::as_path),
            table,
            settings,
        ) {
            Ok(picture) => {
                picture.map(|(picture, classes)| described(word, candidate, &picture, &classes))
            }
            Err(cause) => {
                tracing::warn!("{}: no picture: {cause}", candidate.case.case);
                None
            }
        }
    };
    places.into_iter().filter_map(draw).collect()
}

/// All slices with a value, worst first; of equal ones the one with more voxels of ground truth is
/// the earlier.
fn candidates(system: &System) -> Vec<Candidate<'_>> {
    let mut all = Vec::new();
    for case in system.cases.iter().filter(|case| case.outcome == Outcome::Scored) {
        for (&z, classes) in &case.scores.slices {
            let values: Vec<f64> = classes.values().filter_map(crate::Confusion::dice).collect();
            let voxels: u64 = classes.values().map(crate::Confusion::reference).sum();
            if let Some(dice) = mean(&values) {
                all.push((Candidate { case, z, dice }, voxels));
            }
        }
    }
    all.sort_by(|(a, n), (b, m)| a.dice.total_cmp(&b.dice).then(m.cmp(n)));
    all.into_iter().map(|(candidate, _)| candidate).collect()
}

fn described(word: &str, candidate: Candidate, picture: &RgbImage, classes: &str) -> Picture {
    let (case, z, dice) = (&candidate.case.case, candidate.z, candidate.dice);
    png_picture(
        picture,
        format!("{word} slice: case {case}, slice {z}, DSC {dice:.3} over {classes}"),
    )
}

/// A picture for a page.
pub fn png_picture(picture: &RgbImage, caption: String) -> Picture {
    let mut png = Cursor::new(Vec::new());
    // Writing a PNG to memory cannot fail; an empty picture would show if it did.
    let _ = picture.write_to(&mut png, ImageFormat::Png);
    Picture {
        png: BASE64_STANDARD.encode(png.get_ref()),
        alt: format!("CT slice with outlines: {caption}"),
        caption,
    }
}

/// The slice with its outlines, and the names of the classes on it; `None` without an image.
fn draw(
    candidate: Candidate,
    image: Option<&Path>,
    table: &LabelTable,
    settings: &EvaluateSettings,
) -> Result<Option<(RgbImage, String)>> {
    let truth = AnnotatedCase::read(&candidate.case.reference_file, settings.annotated, table)?;
    let Some(grey) = slice_of(&truth, image, candidate.z)? else { return Ok(None) };
    let Some(path) = &candidate.case.prediction_file else { return Ok(None) };
    let pair = Aligned::new(&truth, Some(&Prediction::read(path, table)?), path)?;
    let z = candidate.z - pair.first_slice;
    let Some(classes) = candidate.case.scores.slices.get(&candidate.z) else { return Ok(None) };
    let mut masks: Vec<(Array2<bool>, [u8; 3], bool)> = Vec::new();
    for &id in classes.keys() {
        masks.push((pair.reference.slice(s![z, .., ..]).mapv(|v| v == id), table.color(id), true));
        if let Some(map) = pair.predicted.of(id) {
            masks.push((map.slice(s![z, .., ..]).mapv(|v| v == id), table.color(id), false));
        }
    }
    // Solid lines first, so that the dashes of the ground truth stay visible where both agree.
    masks.sort_by_key(|mask| mask.2);
    let outlines: Vec<Outline> = masks.iter().map(outline).collect();
    let scale = WIDTH_PX.div_ceil(grey.dim().1.max(1)) as u32;
    let names: Vec<String> = classes.keys().map(|&id| table.name(id)).collect();
    let picture = overlay(grey.view(), &outlines, scale);
    Ok(Some((picture, names.join(", "))))
}

fn outline((mask, color, truth): &(Array2<bool>, [u8; 3], bool)) -> Outline<'_> {
    let outline = Outline::mask(mask.view(), *color);
    if *truth { outline.dashed() } else { outline }
}

/// Slice `z` of the CT: from the image file of the case, else from the ground truth's own images.
fn slice_of(truth: &AnnotatedCase, image: Option<&Path>, z: usize) -> Result<Option<Array2<u8>>> {
    match image {
        Some(path) if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")) => {
            let stack = read_npz(path)?;
            let index = stack.placement.z_index().binary_search(&z).ok();
            Ok(index.and_then(|i| slice_of_images(&stack.images, i)))
        }
        Some(path) => Ok(windowed(&read_volume(path)?, z)),
        None => {
            let index = truth.placement.z_index().binary_search(&z).ok();
            Ok(index.and_then(|i| slice_of_images(truth.images.as_ref()?, i)))
        }
    }
}

fn slice_of_images(images: &Images, i: usize) -> Option<Array2<u8>> {
    match images {
        Images::Grey(a) => (i < a.dim().0).then(|| a.index_axis(Axis(0), i).to_owned()),
        // Of three windows the first is the lung's.
        Images::Rgb(a) => (i < a.dim().0).then(|| a.slice(s![i, .., .., 0]).to_owned()),
    }
}

/// A slice of a CT in the lung window.
#[allow(clippy::unnecessary_cast, reason = "one of the voxel types is f64 already")]
pub(crate) fn windowed(ct: &Volume, z: usize) -> Option<Array2<u8>> {
    let [low, high] = LUNG_HU;
    with_voxels!(&ct.voxels, array => {
        (z < array.dim().0).then(|| array.index_axis(Axis(0), z).mapv(|v| (((v as f64 - low) / (high - low)).clamp(0.0, 1.0) * 255.0) as u8))
    })
}
