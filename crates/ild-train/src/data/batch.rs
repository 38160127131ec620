//! Slices side by side, as tensors.
//!
//! The slices of a clip follow the others: the lesion head learns on them too.

use candle_core::{Device, Result, Tensor};
use ild_model::ImageFeatures;
use ild_model::decoder::prompt_encoder::label;
use ndarray::Array2;

use crate::data::dataset::{LABEL_SIZE, Sample};
use crate::data::dense::{Dense, DenseTarget};
use crate::data::prompts::{Given, POINTS, Prompt};

/// What one forward pass takes, and what it should give.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[b, 3, s, s]`: the slices that are asked about, then those that follow in their clips.
    pub images: Tensor,
    /// Questions by box: `[n, 4]`, x0, y0, x1, y1 in pixels of the `s × s` input.
    pub boxes: Option<Asked<Tensor>>,
    /// Questions by clicks: `[n, 3, 2]` x, y in pixels of the input, and their kinds `[n, 3]`.
    pub clicks: Option<Asked<(Tensor, Tensor)>>,
    /// What the lesion head should say, where it is trained.
    pub dense: Option<Dense>,
    /// Lesions to follow through their clips.
    pub clips: Vec<Clip>,
}

/// A lesion that is pointed out on one slice and followed through others.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Image of the batch on which it is pointed out.
    pub first: usize,
    /// The box's corners and their kinds.
    pub corners: [([f32; 2], i64); 2],
    /// Image of the batch, slices since the first, and where the lesion is there.
    pub frames: Vec<(usize, i64, Asked<()>)>,
}

/// Questions of one kind and their answers.
#[derive(Clone, Debug)]
pub struct Asked<T> {
    /// The questions.
    pub given: T,
    /// `[n, 1, 256, 256]` of 0 and 1.
    pub masks: Tensor,
    /// `[n, 1, 256, 256]`, 0 where nobody knows the answer; `None` where all is known.
    pub known: Option<Tensor>,
    /// `[n]`, 0 where the answer is an empty mask.
    pub filled: Vec<f32>,
    /// Image of the batch that each question is about.
    of_image: Vec<u32>,
    images: usize,
}

impl Batch {
    /// Puts slices together; `target` says what the lesion head has to answer, if it is trained.
    ///
    /// # Errors
    /// When the slices are of different sizes.
    pub fn new(samples: &[Sample], target: Option<&DenseTarget>, device: &Device) -> Result<Self> {
        let following = samples.iter().flat_map(|s| s.follows.iter().map(|next| &next.slice));
        let all: Vec<&Sample> = samples.iter().chain(following).collect();
        let b = all.len();
        let (channels, height, width) =
            samples.first().map_or((3, 0, 0), |sample| sample.image.dim());
        let images: Vec<f32> = all.iter().flat_map(|sample| sample.image.iter().copied()).collect();
        let asked = samples.iter().enumerate();
        let asked: Vec<(u32, &Sample, &Prompt)> = asked
            .flat_map(|(i, sample)| sample.prompts.iter().map(move |p| (i as u32, sample, p)))
            .collect();
        let (boxes, clicks): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|(_, _, prompt)| matches!(prompt.given, Given::Box(_)));
        Ok(Self {
            images: Tensor::from_vec(images, (b, channels, height, width), device)?,
            boxes: Asked::new(&boxes, b, device, corners)?,
            clicks: Asked::new(&clicks, b, device, points)?,
            dense: target.map(|target| Dense::new(&all, target, device)).transpose()?,
            clips: clips(samples, device)?,
        })
    }
}

/// The clips of `samples`, whose following slices come after them all.
fn clips(samples: &[Sample], device: &Device) -> Result<Vec<Clip>> {
    let (mut next, mut clips) = (samples.len(), Vec::new());
    for (first, sample) in samples.iter().enumerate() {
        let Some(Given::Box([x0, y0, x1, y1])) = sample.prompts.first().map(|p| &p.given) else {
            continue;
        };
        let corners = [([*x0, *y0], label::TOP_LEFT), ([*x1, *y1], label::BOTTOM_RIGHT)];
        let mut frames = Vec::new();
        for follows in &sample.follows {
            let asked: Vec<_> =
                follows.slice.prompts.iter().map(|prompt| (0, &follows.slice, prompt)).collect();
            if let Some(asked) = Asked::new(&asked, 1, device, |_, _| Ok(()))? {
                frames.push((next, follows.time, asked));
            }
            next += 1;
        }
        if !frames.is_empty() {
            clips.push(Clip { first, corners, frames });
        }
    }
    Ok(clips)
}

impl<T> Asked<T> {
    fn new(
        asked: &[(u32, &Sample, &Prompt)],
        images: usize,
        device: &Device,
        given: impl Fn(&[(u32, &Sample, &Prompt)], &Device) -> Result<T>,
    ) -> Result<Option<Self>> {
        if asked.is_empty() {
            return Ok(None);
        }
        let shape = (asked.len(), 1, LABEL_SIZE, LABEL_SIZE);
        let stacked = |maps: Vec<f32>| Tensor::from_vec(maps, shape, device);
        let masks = asked.iter().flat_map(|(_, _, prompt)| floats(&prompt.mask)).collect();
        let known = asked.iter().any(|(_, sample, _)| sample.known.is_some()).then(|| {
            let all = Array2::ones((LABEL_SIZE, LABEL_SIZE));
            let of = |sample: &Sample| floats(sample.known.as_ref().unwrap_or(&all)).collect();
            asked.iter().flat_map(|(_, sample, _)| -> Vec<f32> { of(sample) }).collect()
        });
        let filled = |prompt: &Prompt| prompt.mask.iter().any(|&inside| inside == 1);
        Ok(Some(Self {
            given: given(asked, device)?,
            masks: stacked(masks)?,
            known: known.map(stacked).transpose()?,
            filled: asked.iter().map(|(_, _, p)| f32::from(u8::from(filled(p)))).collect(),
            of_image: asked.iter().map(|(image, _, _)| *image).collect(),
            images,
        }))
    }

    /// The features that each question is about: those of a slice are used as often as it is asked
    /// about.
    ///
    /// # Errors
    /// When the features are of another batch.
    pub fn features(&self, of_images: &ImageFeatures) -> Result<ImageFeatures> {
        let each_once = self.of_image.len() == self.images
            && self.of_image.iter().enumerate().all(|(i, &image)| i as u32 == image);
        if each_once {
            return Ok(of_images.clone());
        }
        let device = of_images.image_embed.device();
        let rows = Tensor::from_slice(&self.of_image, self.of_image.len(), device)?;
        let [fine, finer] = &of_images.high_res;
        Ok(ImageFeatures {
            image_embed: of_images.image_embed.index_select(&rows, 0)?,
            high_res: [fine.index_select(&rows, 0)?, finer.index_select(&rows, 0)?],
        })
    }
}

fn floats(map: &Array2<u8>) -> impl Iterator<Item = f32> {
    map.iter().map(|&inside| f32::from(inside))
}

fn corners(asked: &[(u32, &Sample, &Prompt)], device: &Device) -> Result<Tensor> {
    let sides = asked.iter().flat_map(|(_, _, prompt)| match &prompt.given {
        Given::Box(sides) => sides.to_vec(),
        Given::Points(_) => Vec::new(),
    });
    Tensor::from_vec(sides.collect::<Vec<f32>>(), (asked.len(), 4), device)
}

fn points(asked: &[(u32, &Sample, &Prompt)], device: &Device) -> Result<(Tensor, Tensor)> {
    let (mut places, mut kinds) = (Vec::new(), Vec::new());
    for (_, _, prompt) in asked {
        if let Given::Points(points) = &prompt.given {
            places.extend(points.iter().flat_map(|(place, _)| *place));
            kinds.extend(points.iter().map(|(_, kind)| *kind));
        }
    }
    Ok((
        Tensor::from_vec(places, (asked.len(), POINTS, 2), device)?,
        Tensor::from_vec(kinds, (asked.len(), POINTS), device)?,
    ))
}
