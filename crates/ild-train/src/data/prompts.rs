//! What is asked about a slice: boxes and clicks, and the mask that answers each.
//!
//! The reference asks one question per slice: a box around everything of one label. A model that
//! never sees anything else learns to outline all disease, whatever the box says. Our own recipe
//! asks several questions about one encoded slice, so that the answer has to follow the question.

use ild_io::{BoundingBox, SlicePieces};
use ild_model::{SliceBox, SliceSize};
use ndarray::{Array2, ArrayView2};
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::data::dataset::LABEL_SIZE;

/// Smallest lesion that gets a question of its own, pixels of the label.
const SMALLEST: u64 = 12;
/// Points in a question of clicks; what is missing is padded.
pub const POINTS: usize = 3;
/// Share of questions about one lesion, about everything of a class, by clicks, and about nothing.
const SHARES: [f64; 4] = [0.55, 0.15, 0.15, 0.15];
/// How often an empty place is looked for before the question is given up.
const TRIES: usize = 20;

/// How a question is put, in pixels of the `s × s` input.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// `[x_min, y_min, x_max, y_max]`.
    Box([f32; 4]),
    /// `[x, y]` and whether it lies inside the lesion (1), outside (0) or is none (−1).
    Points([([f32; 2], i64); POINTS]),
}

impl Given {
    /// A box on the label, both corners in it, for an input of `image_size` × `image_size` px.
    pub(crate) fn around(pixels: [f64; 4], image_size: usize) -> Self {
        let label = SliceSize { height: LABEL_SIZE, width: LABEL_SIZE };
        Self::Box(SliceBox::new(pixels).to_input(label, image_size).to_f32())
    }
}

/// One question about a slice and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The label id that is meant; 0 where the question is about nothing.
    pub label: u8,
    /// The question.
    pub given: Given,
    /// `[256, 256]`, 1 inside the lesion; all 0 where there is nothing.
    pub mask: Array2<u8>,
}

/// A lesion of a slice: pixels of one label that touch.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesion {
    /// Its label id.
    pub label: u8,
    /// Half-open, pixels of the label.
    pub around: BoundingBox,
    /// `[256, 256]`, 1 inside.
    pub mask: Array2<u8>,
}

/// The lesions of a slice that are large enough to be asked about; `ignored` is nobody's lesion.
#[must_use]
pub fn lesions(labels: ArrayView2<u8>, ignored: Option<u8>) -> Vec<Lesion> {
    let known = labels.mapv(|id| if Some(id) == ignored { 0 } else { id });
    let pieces = SlicePieces::new(known.view());
    let large = pieces.all.iter().enumerate().filter(|(_, piece)| piece.pixels >= SMALLEST);
    large
        .map(|(index, piece)| Lesion {
            label: piece.label,
            around: piece.around,
            mask: pieces.mask(index),
        })
        .collect()
}

/// Questions about slices of one run.
#[derive(Clone, Copy, Debug)]
pub struct Questions {
    /// How many about each slice.
    pub count: usize,
    /// Largest outward move of a box side, pixels of the label.
    pub bbox_shift: usize,
    /// Input size of the model, pixels.
    pub image_size: usize,
    /// The label id that nobody is to learn from.
    pub ignored: Option<u8>,
}

impl Questions {
    /// Questions about a slice with these labels.
    ///
    /// The first is about a lesion, where there is one. A slice without any is only asked about
    /// nothing.
    pub fn ask(&self, labels: ArrayView2<u8>, rng: &mut impl Rng) -> Vec<Prompt> {
        let lesions = lesions(labels, self.ignored);
        let mut asked = Vec::with_capacity(self.count);
        for i in 0..self.count {
            let draw = if i == 0 { 0.0 } else { rng.random::<f64>() };
            let Some(lesion) = lesions.choose(rng) else {
                asked.extend(self.about_nothing(labels, rng));
                continue;
            };
            let [one, class, clicks, _] = SHARES;
            asked.extend(match draw {
                d if d < one => Some(self.about_one(lesion, labels, rng)),
                d if d < one + class => self.about_class(lesion.label, labels, rng),
                d if d < one + class + clicks => Some(self.by_clicks(lesion, labels, rng)),
                _ => self.about_nothing(labels, rng),
            });
        }
        asked
    }

    /// Every lesion once, by its box; what validation looks at.
    pub fn every_lesion(&self, labels: ArrayView2<u8>, rng: &mut impl Rng) -> Vec<Prompt> {
        lesions(labels, self.ignored)
            .iter()
            .map(|lesion| self.about_one(lesion, labels, rng))
            .collect()
    }

    /// The box of one lesion; the answer is all of its label inside that box.
    fn about_one(&self, lesion: &Lesion, labels: ArrayView2<u8>, rng: &mut impl Rng) -> Prompt {
        let asked = self.jittered(&lesion.around, rng);
        let label = lesion.label;
        let mask = Array2::from_shape_fn(labels.dim(), |(y, x)| {
            u8::from(labels[[y, x]] == label && holds(&asked, y, x))
        });
        Prompt { label, given: self.scaled(asked), mask }
    }

    /// The box around everything of a label, as the reference asks.
    fn about_class(&self, label: u8, labels: ArrayView2<u8>, rng: &mut impl Rng) -> Option<Prompt> {
        let around = BoundingBox::around(labels, |id| id == label)?;
        let mask = labels.mapv(|id| u8::from(id == label));
        Some(Prompt { label, given: self.scaled(self.jittered(&around, rng)), mask })
    }

    /// One or two clicks inside a lesion and sometimes one beside it.
    fn by_clicks(&self, lesion: &Lesion, labels: ArrayView2<u8>, rng: &mut impl Rng) -> Prompt {
        let mut points = [([0.0; 2], -1); POINTS];
        let inside: Vec<(usize, usize)> = places(&lesion.mask, |id| id == 1);
        let clicks = rng.random_range(1..POINTS);
        for point in points.iter_mut().take(clicks) {
            *point = (self.click(inside.choose(rng)), 1);
        }
        if rng.random_bool(0.5) {
            let near = grown(&lesion.around, 2 * self.bbox_shift + 4);
            let beside: Vec<(usize, usize)> = (near.y0..near.y1)
                .flat_map(|y| (near.x0..near.x1).map(move |x| (y, x)))
                .filter(|&(y, x)| labels[[y, x]] != lesion.label)
                .collect();
            if !beside.is_empty() {
                points[clicks] = (self.click(beside.choose(rng)), 0);
            }
        }
        Prompt { label: lesion.label, given: Given::Points(points), mask: lesion.mask.clone() }
    }

    /// A box that holds nothing, of the size of a lesion's box and near the middle of the slice;
    /// `None` where no such place was found.
    fn about_nothing(&self, labels: ArrayView2<u8>, rng: &mut impl Rng) -> Option<Prompt> {
        const SMALL: usize = 12;
        const LARGE: usize = 90;
        const EDGE: usize = 16;
        let (height, width) = labels.dim();
        for _ in 0..TRIES {
            let mut side = |length: usize| {
                let size = rng.random_range(SMALL..=LARGE.min(length / 2));
                let from =
                    rng.random_range(EDGE.min(length / 4)..=length - size - EDGE.min(length / 4));
                (from, from + size)
            };
            let ((y0, y1), (x0, x1)) = (side(height), side(width));
            let empty = labels.slice(ndarray::s![y0..y1, x0..x1]).iter().all(|&id| id == 0);
            if empty {
                let given = self.scaled([x0, y0, x1 - 1, y1 - 1].map(|side| side as f64));
                return Some(Prompt { label: 0, given, mask: Array2::zeros(labels.dim()) });
            }
        }
        None
    }

    fn jittered(&self, around: &BoundingBox, rng: &mut impl Rng) -> [f64; 4] {
        let shift = std::array::from_fn(|_| rng.random_range(0..=self.bbox_shift));
        around.prompt_px(shift, LABEL_SIZE, LABEL_SIZE)
    }

    fn scaled(&self, pixels: [f64; 4]) -> Given {
        Given::around(pixels, self.image_size)
    }

    fn click(&self, place: Option<&(usize, usize)>) -> [f32; 2] {
        let (y, x) = place.copied().unwrap_or_default();
        let scale = self.image_size as f32 / LABEL_SIZE as f32;
        [x, y].map(|at| (at as f32 + 0.5) * scale - 0.5)
    }
}

/// Whether a pixel lies in a box whose last pixel is inside.
fn holds([x0, y0, x1, y1]: &[f64; 4], y: usize, x: usize) -> bool {
    let (y, x) = (y as f64, x as f64);
    (*y0..=*y1).contains(&y) && (*x0..=*x1).contains(&x)
}

fn grown(around: &BoundingBox, by: usize) -> BoundingBox {
    BoundingBox {
        x0: around.x0.saturating_sub(by),
        y0: around.y0.saturating_sub(by),
        x1: (around.x1 + by).min(LABEL_SIZE),
        y1: (around.y1 + by).min(LABEL_SIZE),
    }
}

fn places(mask: &Array2<u8>, wanted: impl Fn(u8) -> bool) -> Vec<(usize, usize)> {
    mask.indexed_iter().filter(|(_, id)| wanted(**id)).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;
    use crate::random::{Purpose, stream};

    /// Two lesions of label 1, and one of label 2 that touches the second.
    fn slice() -> Array2<u8> {
        let mut labels = Array2::zeros((256, 256));
        labels.slice_mut(s![40..80, 40..70]).fill(1);
        labels.slice_mut(s![150..190, 60..100]).fill(1);
        labels.slice_mut(s![150..190, 100..150]).fill(2);
        labels[[5, 5]] = 3; // dust
        labels
    }

    fn questions() -> Questions {
        Questions { count: 200, bbox_shift: 5, image_size: 512, ignored: None }
    }

    #[test]
    fn labels_that_touch_are_two_lesions_and_dust_is_none() {
        let found = lesions(slice().view(), None);
        let labels: Vec<u8> = found.iter().map(|lesion| lesion.label).collect();
        assert_eq!(labels, [1, 1, 2]);
        assert_eq!(lesions(slice().view(), Some(1)).len(), 1);
    }

    #[test]
    fn the_answer_is_the_label_inside_the_box() {
        let labels = slice();
        let asked = questions().ask(labels.view(), &mut stream(1, Purpose::Item, 0, 0));
        let mut kinds = [0; 4];
        for prompt in &asked {
            let area = prompt.mask.iter().filter(|&&inside| inside == 1).count();
            match (&prompt.given, prompt.label) {
                (Given::Points(_), _) => kinds[2] += 1,
                (Given::Box(_), 0) => {
                    kinds[3] += 1;
                    assert_eq!(area, 0);
                }
                (Given::Box(sides), label) => {
                    let [x0, y0, x1, y1] = sides.map(|side| (side / 2.0) as usize);
                    let inside = labels.slice(s![y0..=y1, x0..=x1]);
                    assert_eq!(area, inside.iter().filter(|&&id| id == label).count());
                    kinds[usize::from(y1 - y0 > 100)] += 1;
                }
            }
        }
        assert!(kinds[0] > 90 && kinds[1] > 5 && kinds[2] > 15 && kinds[3] > 15, "{kinds:?}");
    }

    #[test]
    fn a_slice_without_lesions_is_only_asked_about_nothing() {
        let empty = Array2::zeros((256, 256));
        let asked = questions().ask(empty.view(), &mut stream(1, Purpose::Item, 0, 0));
        assert_eq!(asked.len(), 200);
        assert!(
            asked.iter().all(|prompt| prompt.label == 0 && prompt.mask.iter().all(|&m| m == 0))
        );
    }

    #[test]
    fn clicks_lie_where_they_say() {
        let labels = slice();
        let asked = questions().ask(labels.view(), &mut stream(2, Purpose::Item, 0, 0));
        for prompt in &asked {
            let Given::Points(points) = &prompt.given else { continue };
            for ([x, y], kind) in points.iter().filter(|(_, kind)| *kind >= 0) {
                let at = |v: &f32| ((v + 0.5) / 2.0) as usize;
                assert_eq!(prompt.mask[[at(y), at(x)]], *kind as u8);
            }
        }
    }
}
