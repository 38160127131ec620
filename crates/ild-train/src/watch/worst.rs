//! The answers of a validation that fit worst, with what is needed to draw them.

use ild_io::LabelTable;
use ild_io::picture::{Outline, overlay};
use image::RgbImage;
use ndarray::{Array2, Array3};

use crate::data::dataset::{LABEL_SIZE, Sample};
use crate::data::prompts::{Given, Prompt};
use crate::data::sanity::shown;

/// How many are kept.
const KEPT: usize = 6;

/// One answer: a lesion of a validation slice, asked for by its box.
#[derive(Clone, Debug)]
pub struct WorstSlice {
    /// Name of the slice.
    pub slice: String,
    /// Label of the lesion.
    pub label: u8,
    /// Dice of the answer.
    pub dice: f64,
    picture: Array3<u8>,
    truth: Array2<bool>,
    answer: Array2<bool>,
    box_px: Option<[f64; 4]>,
}

/// Collects the worst answers as they come; of one slice the worst one.
#[derive(Clone, Debug, Default)]
pub struct Worst(Vec<WorstSlice>);

impl Worst {
    /// Whether an answer with this Dice is among the worst so far.
    pub(crate) fn wants(&self, dice: f64) -> bool {
        self.0.len() < KEPT || self.0.last().is_some_and(|best| dice < best.dice)
    }

    /// Adds the `answer` (`[256, 256]`, above 0 inside) to `prompt`.
    pub(crate) fn add(&mut self, sample: &Sample, prompt: &Prompt, dice: f64, answer: &[f32]) {
        let (picture, step) = shown(sample);
        let side = picture.dim().0;
        let at = |y: usize, x: usize| [y * LABEL_SIZE / side, x * LABEL_SIZE / side];
        let Given::Box(sides) = prompt.given else { return };
        let truth = Array2::from_shape_fn((side, side), |(y, x)| prompt.mask[at(y, x)] == 1);
        let answer = Array2::from_shape_fn((side, side), |(y, x)| {
            let [y, x] = at(y, x);
            answer[y * LABEL_SIZE + x] > 0.0
        });
        let box_px = Some(sides.map(|value| f64::from(value) / step as f64));
        let (slice, label) = (sample.name.clone(), prompt.label);
        self.0.retain(|other| other.slice != slice || other.dice < dice);
        if self.0.iter().any(|other| other.slice == slice) {
            return;
        }
        self.0.push(WorstSlice { slice, label, dice, picture, truth, answer, box_px });
        self.0.sort_by(|a, b| a.dice.total_cmp(&b.dice));
        self.0.truncate(KEPT);
    }

    /// The worst first.
    #[must_use]
    pub fn slices(&self) -> &[WorstSlice] {
        &self.0
    }
}

impl WorstSlice {
    /// The slice with the ground truth in dashes, the answer solid and the box in white.
    #[must_use]
    pub fn draw(&self, table: &LabelTable) -> RgbImage {
        let color = table.color(self.label);
        let mut outlines = vec![
            Outline::mask(self.truth.view(), color).dashed(),
            Outline::mask(self.answer.view(), color),
        ];
        outlines.extend(self.box_px.map(|sides| Outline::rect(sides, [255; 3])));
        let scale = (2 * LABEL_SIZE / self.picture.dim().0).max(1);
        overlay(self.picture.view(), &outlines, scale as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Sample {
        Sample {
            name: name.to_owned(),
            image: Array3::zeros((3, 64, 64)),
            prompts: vec![],
            labels: Array2::zeros((LABEL_SIZE, LABEL_SIZE)),
            known: None,
            warp: crate::data::augment::Warp::IDENTITY,
            follows: Vec::new(),
        }
    }

    fn prompt() -> Prompt {
        Prompt {
            label: 3,
            given: Given::Box([4.0, 4.0, 20.0, 20.0]),
            mask: Array2::zeros((LABEL_SIZE, LABEL_SIZE)),
        }
    }

    #[test]
    fn the_worst_are_kept_in_order_and_a_slice_counts_once() {
        let mut worst = Worst::default();
        let answer = vec![1.0; LABEL_SIZE * LABEL_SIZE];
        for (i, dice) in [0.9, 0.2, 0.8, 0.7, 0.6, 0.5, 0.4].into_iter().enumerate() {
            assert!(worst.wants(dice));
            worst.add(&sample(&format!("slice-{i}")), &prompt(), dice, &answer);
        }
        worst.add(&sample("slice-1"), &prompt(), 0.3, &answer);
        worst.add(&sample("slice-4"), &prompt(), 0.1, &answer);
        let found: Vec<f64> = worst.slices().iter().map(|slice| slice.dice).collect();
        assert_eq!(found, [0.1, 0.2, 0.4, 0.5, 0.7, 0.8]);
        assert!(!worst.wants(0.85));
        let picture = worst.slices()[0].draw(&LabelTable::default());
        assert_eq!(picture.dimensions(), (512, 512));
    }
}
