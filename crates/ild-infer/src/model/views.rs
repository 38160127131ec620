//! Several looks at one slice that answer together: other weights, and the mirror image.

use candle_core::Tensor;
use ild_model::{ImageFeatures, InputBox, InputPoint, LesionMaps, Sam2, SliceSize};
use ndarray::{Array2, Axis};

use super::answer::{Prediction, Range, Scores};
use super::decode::decode;
use super::encode::{encode, encode_with_lesions};
use crate::coordinates::StackIndex;
use crate::prompt::InputPrompt;
use crate::{Engine, Error, Result, Scan};

/// One of the ways in which a slice is looked at.
#[derive(Clone, Copy)]
struct View<'a> {
    model: &'a Sam2,
    /// Left and right are exchanged before the model looks, and back in what it answers.
    mirrored: bool,
}

/// The features of a slice, one item for each of the engine's views.
#[derive(Default)]
pub struct Views(Vec<ImageFeatures>);

impl Views {
    /// Of a single view.
    #[must_use]
    pub fn of(features: ImageFeatures) -> Self {
        Self(vec![features])
    }

    /// Those of the engine's own model, unmirrored.
    #[must_use]
    pub fn first(&self) -> Option<&ImageFeatures> {
        self.0.first()
    }
}

impl Engine {
    fn views(&self) -> Vec<View<'_>> {
        let models = std::iter::once(&self.model).chain(&self.others);
        let ways: &[bool] = if self.mirrored { &[false, true] } else { &[false] };
        models
            .flat_map(|model| ways.iter().map(move |&mirrored| View { model, mirrored }))
            .collect()
    }

    /// How many answers a question gets before their mean is taken.
    #[must_use]
    pub fn view_count(&self) -> usize {
        (1 + self.others.len()) * (1 + usize::from(self.mirrored))
    }

    /// Features of the pictures `slices` of `scan`.
    pub(crate) fn encode(&self, scan: &Scan, slices: &[StackIndex]) -> Result<Vec<Views>> {
        let mut all: Vec<Views> = slices.iter().map(|_| Views::default()).collect();
        for view in self.views() {
            let features = encode(view.model, scan, slices, view.mirrored)?;
            all.iter_mut().zip(features).for_each(|(views, features)| views.0.push(features));
        }
        Ok(all)
    }

    /// The same with what each view's lesion head says, in place (not mirrored); nothing where the
    /// weights have no head.
    pub(crate) fn encode_with_lesions(
        &self,
        scan: &Scan,
        slices: &[StackIndex],
    ) -> Result<(Vec<Views>, Vec<LesionMaps>)> {
        let mut all: Vec<Views> = slices.iter().map(|_| Views::default()).collect();
        let mut maps = Vec::new();
        for view in self.views() {
            let (features, found) = encode_with_lesions(view.model, scan, slices, view.mirrored)?;
            all.iter_mut().zip(features).for_each(|(views, features)| views.0.push(features));
            let in_place = |maps| if view.mirrored { mirrored_maps(&maps) } else { Ok(maps) };
            maps.extend(found.map(in_place).transpose()?);
        }
        Ok((all, maps))
    }

    /// One answer per prompt, at the size of the slice: the mean of all views.
    pub(crate) fn decode(
        &self,
        features: &Views,
        prompts: &[InputPrompt],
        size: SliceSize,
    ) -> Result<Vec<Prediction>> {
        let mut answers: Vec<Vec<Prediction>> = prompts.iter().map(|_| Vec::new()).collect();
        for (view, features) in self.views().iter().zip(&features.0) {
            for (of_prompt, answer) in answers.iter_mut().zip(view.decode(features, prompts, size)?)
            {
                of_prompt.push(answer);
            }
        }
        Ok(answers.into_iter().filter_map(mean).collect())
    }
}

impl View<'_> {
    fn decode(
        self,
        features: &ImageFeatures,
        prompts: &[InputPrompt],
        size: SliceSize,
    ) -> Result<Vec<Prediction>> {
        if !self.mirrored {
            return decode(self.model, features, prompts, size);
        }
        let side = self.model.config().image_size as f64;
        let prompts: Vec<InputPrompt> =
            prompts.iter().map(|prompt| mirrored_prompt(prompt, side)).collect();
        let mut answers = decode(self.model, features, &prompts, size)?;
        for answer in &mut answers {
            answer.probability.invert_axis(Axis(1));
        }
        Ok(answers)
    }
}

/// Pixel `x` of an input of `side` px is pixel `side - 1 - x` of its mirror image.
fn mirrored_prompt(prompt: &InputPrompt, side: f64) -> InputPrompt {
    let last = side - 1.0;
    let turned = |b: &InputBox| InputBox { x0: last - b.x1, x1: last - b.x0, ..*b };
    let places = |points: &[(InputPoint, bool)]| {
        let turned = |place: InputPoint| InputPoint { x: last - place.x, ..place };
        points.iter().map(|&(place, inside)| (turned(place), inside)).collect()
    };
    match prompt {
        InputPrompt::Box(b) => InputPrompt::Box(turned(b)),
        InputPrompt::Points(points) => InputPrompt::Points(places(points)),
        InputPrompt::BoxAndPoints(b, points) => {
            InputPrompt::BoxAndPoints(turned(b), places(points))
        }
    }
}

fn mirrored_maps(maps: &LesionMaps) -> Result<LesionMaps> {
    let turn = |map: &Tensor, axis: usize| {
        let n = map.dim(axis)? as u32;
        let backwards: Vec<u32> = (0..n).rev().collect();
        map.index_select(&Tensor::from_vec(backwards, n as usize, map.device())?, axis)
    };
    let turned = || -> candle_core::Result<LesionMaps> {
        Ok(LesionMaps {
            lesion: turn(&maps.lesion, maps.lesion.rank() - 1)?,
            class: turn(&maps.class, maps.class.rank() - 2)?,
            present: maps.present.clone(),
        })
    };
    turned().map_err(|error| Error::Model(error.into()))
}

/// The mean of several answers and how far apart they are; one answer is itself.
fn mean(mut answers: Vec<Prediction>) -> Option<Prediction> {
    if answers.len() == 1 {
        return answers.pop();
    }
    let n = answers.len() as f32;
    let range = Range::of(answers.iter().map(|answer| &answer.probability))?;
    let mut probability = Array2::zeros(range.lowest.dim());
    answers.iter().for_each(|answer| probability += &answer.probability);
    probability /= n;
    let scores: Vec<Scores> = answers.iter().filter_map(|answer| answer.scores).collect();
    let of = |get: fn(&Scores) -> f32| scores.iter().map(get).sum::<f32>() / n;
    let scores = (scores.len() == answers.len())
        .then(|| Scores { iou: of(|scores| scores.iou), object: of(|scores| scores.object) });
    Some(Prediction { probability, scores, range: Some(range) })
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, Geometry, LabelTable, Volume, Voxels};
    use ild_model::{Sam2Config, Weights};
    use ndarray::{Array3, s};

    use super::*;

    /// Sums in another order: some units in the last place of an f32.
    const TOLERANCE: f32 = 1e-5;
    const SIZE: SliceSize = SliceSize { height: 48, width: 64 };

    fn model(seed: u64) -> Sam2 {
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let weights = Weights::random(&config, seed).unwrap();
        Sam2::load(&config, &weights, &candle_core::Device::Cpu).unwrap().0
    }

    fn scan(mirrored: bool) -> Scan {
        let mut hu =
            Array3::from_shape_fn((1, 48, 64), |(_, y, x)| (x * 12) as i16 - 900 + y as i16);
        if mirrored {
            hu = hu.slice(s![.., .., ..;-1]).to_owned();
        }
        let geometry = Geometry::new([1, 48, 64], Affine::from_spacing_xyz_mm([1.0; 3]));
        let ct = Volume { voxels: Voxels::I16(hu), geometry };
        Scan::of_ct("a", ct, "lung".parse().unwrap(), &LabelTable::default())
    }

    fn answer(engine: &Engine, scan: &Scan, prompt: &InputPrompt) -> Prediction {
        let features = engine.encode(scan, &[StackIndex(0)]).unwrap().remove(0);
        engine.decode(&features, std::slice::from_ref(prompt), SIZE).unwrap().remove(0)
    }

    fn apart(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
        a.iter().zip(b).map(|(p, q)| (p - q).abs()).fold(0.0, f32::max)
    }

    const BOX: InputPrompt = InputPrompt::Box(InputBox { x0: 40.0, y0: 30.0, x1: 90.0, y1: 110.0 });

    #[test]
    fn the_answer_is_the_mean_of_the_members_and_they_span_the_range() {
        let each = [1, 2, 3].map(|seed| answer(&Engine::of_model(model(seed)), &scan(false), &BOX));
        let joined = [1, 2, 3].map(|seed| Engine::of_model(model(seed)));
        let joined = joined.into_iter().reduce(|all, one| all.joined(one).unwrap()).unwrap();
        assert_eq!(joined.view_count(), 3);
        let together = answer(&joined, &scan(false), &BOX);
        let mean = (&each[0].probability + &each[1].probability + &each[2].probability) / 3.0;
        assert!(apart(&mean, &together.probability) < TOLERANCE);
        let range = together.range.unwrap();
        for one in &each {
            assert!(one.probability.iter().zip(&range.lowest).all(|(p, low)| low <= p));
            assert!(one.probability.iter().zip(&range.highest).all(|(p, high)| high >= p));
        }
        assert!(apart(&range.lowest, &range.highest) > 1e-3, "other weights answer otherwise");
    }

    #[test]
    fn the_mirror_image_is_answered_as_if_it_were_the_slice() {
        let mut both = Engine::of_model(model(4));
        both.mirrored = true;
        let straight = answer(&Engine::of_model(model(4)), &scan(false), &BOX).probability;
        let turned = mirrored_prompt(&BOX, both.side() as f64);
        let seen = answer(&Engine::of_model(model(4)), &scan(true), &turned).probability;
        let back = seen.slice(s![.., ..;-1]).to_owned();
        let mean = answer(&both, &scan(false), &BOX).probability;
        assert!(apart(&mean, &((&straight + &back) / 2.0)) < TOLERANCE);
        assert!(apart(&straight, &back) > 1e-3, "the mirror image says something of its own");
    }
}
