//! What the decoder makes of the lesions that the head found: on each slice it gets the head's own
//! box, so nothing travels away from what was found.

use std::collections::BTreeMap;

use ild_model::{SliceBox, SliceSize};
use ndarray::{Array2, ArrayView2, Zip};

use super::found::FoundLesion;
use crate::coordinates::StackIndex;
use crate::model::answer::SliceSegmenter;
use crate::prompt::{InputPrompt, SlicePrompt, Track};
use crate::propagate::{Answer, Propagator};
use crate::{Prediction, Result};

/// Outward move of each side of a box, px: about the mean of the shifts in training.
const SHIFT_PX: usize = 2;
/// Where the decoder's mask and the head's overlap less than this (IoU), the decoder drew something
/// else.
const AGREES: f64 = 0.5;

/// Prompts each lesion on each of its slices with its own box there.
#[derive(Clone, Debug)]
pub struct OwnBoxes {
    boxes: Vec<BTreeMap<StackIndex, SliceBox>>,
    size: SliceSize,
    side: usize,
}

impl OwnBoxes {
    /// For `lesions` on slices of `size` and a model whose input is `side` px wide.
    #[must_use]
    pub fn new(lesions: &[FoundLesion], size: SliceSize, side: usize) -> Self {
        let boxes = |lesion: &FoundLesion| {
            let around = lesion.piece.slices.iter().map(|(&slice, extent)| {
                let px = extent.around.prompt_px([SHIFT_PX; 4], size.width, size.height);
                (slice, SliceBox::new(px))
            });
            around.collect()
        };
        Self { boxes: lesions.iter().map(boxes).collect(), size, side }
    }

    /// The tracks that stand for the lesions in outputs: each starts on its key slice.
    ///
    /// # Panics
    /// When there are other lesions than those this was made of.
    #[must_use]
    pub fn tracks(&self, lesions: &[FoundLesion]) -> Vec<Track> {
        lesions
            .iter()
            .zip(&self.boxes)
            .map(|(lesion, boxes)| {
                let (start, _) = lesion.piece.key_slice();
                let prompt = SlicePrompt::Box(boxes[&start]);
                Track { label: lesion.label, start, span: lesion.piece.span(), prompt }
            })
            .collect()
    }
}

impl Propagator for OwnBoxes {
    fn visits(&self, _tracks: &[Track]) -> Vec<StackIndex> {
        let slices: std::collections::BTreeSet<StackIndex> =
            self.boxes.iter().flat_map(|boxes| boxes.keys().copied()).collect();
        slices.into_iter().collect()
    }

    fn propagate(
        &self,
        tracks: &[Track],
        model: &mut dyn SliceSegmenter,
        take: &mut dyn FnMut(Answer) -> Result<()>,
    ) -> Result<()> {
        for slice in self.visits(tracks) {
            ild_cli::stop_if_interrupted()?;
            let (here, prompts): (Vec<usize>, Vec<InputPrompt>) = self
                .boxes
                .iter()
                .enumerate()
                .filter_map(|(track, boxes)| Some((track, *boxes.get(&slice)?)))
                .map(|(track, b)| (track, InputPrompt::Box(b.to_input(self.size, self.side))))
                .unzip();
            let predictions = model.segment(slice, &prompts)?;
            for (track, prediction) in here.into_iter().zip(predictions) {
                take(Answer { track, slice, prediction })?;
            }
        }
        Ok(())
    }
}

/// The decoder's answer where it drew what the head found, else `None`.
#[must_use]
pub fn agreeing(answer: Prediction, head: ArrayView2<bool>) -> Option<Prediction> {
    (overlap(&answer.mask(), head) >= AGREES).then_some(answer)
}

/// Intersection over union; 1 for two empty masks.
fn overlap(a: &Array2<bool>, b: ArrayView2<bool>) -> f64 {
    let (mut both, mut either) = (0u64, 0u64);
    Zip::from(a).and(b).for_each(|&a, &b| {
        both += u64::from(a && b);
        either += u64::from(a || b);
    });
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

#[cfg(test)]
mod tests {
    use ild_io::BoundingBox;
    use ndarray::s;

    use super::*;
    use crate::pieces::{Extent, Piece};

    fn lesion() -> FoundLesion {
        let extent = |x0: usize, pixels: u64| Extent {
            around: BoundingBox { x0, y0: 10, x1: x0 + 5, y1: 20 },
            pixels,
        };
        let slices = [(StackIndex(3), extent(10, 40)), (StackIndex(4), extent(12, 50))].into();
        let piece = Piece { label: 5, voxels: 90, slices };
        FoundLesion { label: 5, piece, confidence: 0.9, lesion: 0.8 }
    }

    struct Asked(Vec<(usize, InputPrompt)>);

    impl SliceSegmenter for Asked {
        fn segment(&mut self, z: StackIndex, prompts: &[InputPrompt]) -> Result<Vec<Prediction>> {
            self.0.extend(prompts.iter().map(|prompt| (z.0, prompt.clone())));
            let empty =
                || Prediction { probability: Array2::zeros((64, 64)), scores: None, range: None };
            Ok(prompts.iter().map(|_| empty()).collect())
        }
    }

    #[test]
    fn every_slice_is_asked_with_the_lesions_own_box() {
        let size = SliceSize { height: 64, width: 64 };
        let boxes = OwnBoxes::new(&[lesion()], size, 64);
        let mut asked = Asked(vec![]);
        boxes.propagate(&boxes.tracks(&[lesion()]), &mut asked, &mut |_| Ok(())).unwrap();
        let expected = [(3, [8.0, 8.0, 16.0, 21.0]), (4, [10.0, 8.0, 18.0, 21.0])]
            .map(|(z, px)| (z, InputPrompt::Box(ild_model::InputBox::new(px))));
        assert_eq!(asked.0, expected);
        assert_eq!(boxes.tracks(&[lesion()])[0].start, StackIndex(4));
    }

    #[test]
    fn an_answer_elsewhere_is_not_believed() {
        let mut head = Array2::from_elem((20, 20), false);
        head.slice_mut(s![5..10, 5..10]).fill(true);
        let answer = |at: std::ops::Range<usize>| {
            let mut probability = Array2::zeros((20, 20));
            probability.slice_mut(s![at.clone(), at]).fill(0.9);
            Prediction { probability, scores: None, range: None }
        };
        assert!(agreeing(answer(5..11), head.view()).is_some());
        assert!(agreeing(answer(9..14), head.view()).is_none());
    }
}
