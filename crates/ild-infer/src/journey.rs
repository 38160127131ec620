//! A box's journey through a stack: from its start slice up, then from the start slice down.
//!
//! On each slice the model is prompted with the box around its own answer on the slice before.
//! Where that answer is empty the start prompt is used again. This is the reference's inference,
//! slice for slice and box for box; two rules beyond it (stopping, gaps) are off in parity mode.

use ild_io::BoundingBox;
use ild_preprocess::nearest_indices;
use ndarray::ArrayView2;

use crate::Prompt;

/// Where a journey starts and how far it may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Label that the prediction gets.
    pub label: u8,
    /// Slice of the stack on which the start prompt is used.
    pub start: usize,
    /// First and last slice it may visit, both included.
    pub span: [usize; 2],
    /// Start prompt in pixels of the slice.
    pub prompt: Prompt,
}

/// What happens between two slices of the stack that are not neighbours in the CT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapRule {
    /// The box is carried over gaps of up to 15 mm; beyond, the far slice is prompted afresh, with
    /// the start prompt.
    Near,
    /// Every far slice is prompted afresh.
    Restart,
    /// The box is always carried over, as if the slices were neighbours (the older scripts' way).
    Carry,
}

/// Lesions of diffuse disease look alike over this distance; sparse labels are often drawn every 10
/// mm.
const NEAR_MM: f64 = 15.0;

impl GapRule {
    /// For each pair of successive slices of a stack (at `z_index` in a CT of this slice distance):
    /// whether the box is not carried over.
    #[must_use]
    pub fn restarts(self, z_index: &[usize], slice_mm: f64) -> Vec<bool> {
        let restarts = |step: usize| match self {
            Self::Near => step > 1 && step as f64 * slice_mm > NEAR_MM,
            Self::Restart => step > 1,
            Self::Carry => false,
        };
        z_index.windows(2).map(|pair| restarts(pair[1] - pair[0])).collect()
    }
}

/// How boxes travel through a stack.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Side of the model's square input, px.
    pub side: usize,
    /// Outward move of each side of a predicted box, px of the model's input.
    pub bbox_shift: usize,
    /// A journey ends in a direction after this many empty predictions in a row; `None`: never (the
    /// reference's way).
    pub stop_after: Option<usize>,
    /// `restarts[i]`: no box is carried between slices `i` and `i + 1` of the stack. Empty: carried
    /// everywhere.
    pub restarts: Vec<bool>,
    /// Rows and columns of a slice.
    pub slice_size: [usize; 2],
}

impl Rules {
    fn restarts_between(&self, a: usize, b: usize) -> bool {
        self.restarts.get(a.min(b)).copied().unwrap_or(false)
    }
}

/// Which way a journey is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To larger slice indices, the start slice included.
    Up,
    /// To smaller ones.
    Down,
}

/// The next slice of a journey.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Slice of the stack.
    pub z: usize,
    /// On the way up or down.
    pub direction: Direction,
    /// In pixels of the model's input.
    pub prompt: Prompt,
}

/// A journey under way.
#[derive(Clone, Debug)]
pub struct Journey {
    start: usize,
    span: [usize; 2],
    start_prompt: Prompt,
    next: Option<Stop>,
    /// What the start slice's answer gave: the way down begins with it.
    from_start: Option<Prompt>,
    empty_in_a_row: usize,
}

impl Journey {
    /// At its start slice, on the way up.
    #[must_use]
    pub fn new(track: &Track, rules: &Rules) -> Self {
        let [height, width] = rules.slice_size;
        let start_prompt = track.prompt.to_input(height, width, rules.side);
        let next =
            Some(Stop { z: track.start, direction: Direction::Up, prompt: start_prompt.clone() });
        Self {
            start: track.start,
            span: track.span,
            start_prompt,
            next,
            from_start: None,
            empty_in_a_row: 0,
        }
    }

    /// Where it goes next; `None` at its end.
    #[must_use]
    pub fn next(&self) -> Option<&Stop> {
        self.next.as_ref()
    }

    /// Moves on, given the mask predicted at [`Journey::next`].
    pub fn advance(&mut self, mask: ArrayView2<bool>, rules: &Rules) {
        let Some(here) = self.next.take() else { return };
        let carried = box_of_mask(mask, rules.side, rules.bbox_shift).map(Prompt::Box);
        self.empty_in_a_row = if carried.is_some() { 0 } else { self.empty_in_a_row + 1 };
        if here.z == self.start {
            self.from_start.clone_from(&carried);
        }
        let lost = rules.stop_after.is_some_and(|limit| self.empty_in_a_row >= limit);
        self.next = match here.direction {
            Direction::Up if here.z < self.span[1] && !lost => {
                Some(self.stop(here.z, here.z + 1, Direction::Up, carried, rules))
            }
            Direction::Up => self.turn(rules),
            Direction::Down if here.z > self.span[0] && !lost => {
                Some(self.stop(here.z, here.z - 1, Direction::Down, carried, rules))
            }
            Direction::Down => None,
        };
    }

    /// The first stop of the way down, which follows the start slice's answer.
    fn turn(&mut self, rules: &Rules) -> Option<Stop> {
        let carried = self.from_start.take();
        self.empty_in_a_row = usize::from(carried.is_none());
        let lost = rules.stop_after.is_some_and(|limit| self.empty_in_a_row >= limit);
        (self.start > self.span[0] && !lost)
            .then(|| self.stop(self.start, self.start - 1, Direction::Down, carried, rules))
    }

    fn stop(
        &self,
        from: usize,
        z: usize,
        direction: Direction,
        carried: Option<Prompt>,
        rules: &Rules,
    ) -> Stop {
        let carried = carried.filter(|_| !rules.restarts_between(from, z));
        Stop { z, direction, prompt: carried.unwrap_or_else(|| self.start_prompt.clone()) }
    }
}

/// The box around `mask` after it is resized to `side` × `side` with nearest neighbour, each side
/// moved outward by `shift`.
///
/// Only the occupied rows and columns are resized: a nearest-neighbour resize moves them
/// independently.
#[must_use]
pub fn box_of_mask(mask: ArrayView2<bool>, side: usize, shift: usize) -> Option<[f64; 4]> {
    let tight = BoundingBox::around(mask, |inside| inside)?;
    let (height, width) = mask.dim();
    // Shrinking may step over a thin region: look which source rows and columns are asked for and
    // occupied.
    let rows = nearest_indices(height, side);
    let columns = nearest_indices(width, side);
    let is_hit = |y: usize, x: usize| mask[[y, x]];
    let row_hit =
        |y: usize| (tight.y0..tight.y1).contains(&y) && columns.iter().any(|&x| is_hit(y, x));
    let column_hit =
        |x: usize| (tight.x0..tight.x1).contains(&x) && rows.iter().any(|&y| is_hit(y, x));
    let (y0, y1) =
        (rows.iter().position(|&y| row_hit(y))?, rows.iter().rposition(|&y| row_hit(y))?);
    let (x0, x1) = (
        columns.iter().position(|&x| column_hit(x))?,
        columns.iter().rposition(|&x| column_hit(x))?,
    );
    Some(BoundingBox { x0, y0, x1: x1 + 1, y1: y1 + 1 }.prompt_px([shift; 4], side, side))
}

#[cfg(test)]
mod tests {
    use ild_preprocess::resize_nearest;
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    fn rules(restarts: Vec<bool>, stop_after: Option<usize>) -> Rules {
        Rules { side: 64, bbox_shift: 5, stop_after, restarts, slice_size: [32, 32] }
    }

    fn track(start: usize, span: [usize; 2]) -> Track {
        Track { label: 1, start, span, prompt: Prompt::Box([4.0, 4.0, 20.0, 20.0]) }
    }

    const START: Prompt = Prompt::Box([8.0, 8.0, 40.0, 40.0]);

    /// The stops of a journey whose answer on slice `z` is `full(z)`: a square, or nothing.
    fn stops(track: &Track, rules: &Rules, full: impl Fn(usize) -> bool) -> Vec<Stop> {
        let mut journey = Journey::new(track, rules);
        let mut stops = Vec::new();
        while let Some(stop) = journey.next().cloned() {
            let mask = Array2::from_shape_fn((32, 32), |(y, x)| {
                full(stop.z) && (10..14).contains(&y) && (10..14).contains(&x)
            });
            stops.push(stop);
            journey.advance(mask.view(), rules);
        }
        stops
    }

    #[test]
    fn every_slice_of_the_span_is_visited_once_up_then_down() {
        let visited: Vec<usize> =
            stops(&track(3, [1, 5]), &rules(vec![], None), |_| true).iter().map(|s| s.z).collect();
        assert_eq!(visited, [3, 4, 5, 2, 1]);
        assert_eq!(stops(&track(0, [0, 0]), &rules(vec![], None), |_| false).len(), 1);
    }

    #[test]
    fn an_empty_answer_brings_the_start_prompt_back() {
        let stops = stops(&track(0, [0, 3]), &rules(vec![], None), |z| z != 1);
        assert_eq!(stops[1].prompt, Prompt::Box([15.0, 15.0, 32.0, 32.0]));
        assert_eq!(stops[2].prompt, START);
    }

    #[test]
    fn a_journey_that_stays_empty_stops_in_that_direction_only() {
        let visited: Vec<usize> = stops(&track(5, [0, 20]), &rules(vec![], Some(2)), |z| z <= 7)
            .iter()
            .map(|s| s.z)
            .collect();
        assert_eq!(visited, [5, 6, 7, 8, 9, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn an_empty_start_counts_for_both_directions() {
        let visited: Vec<usize> = stops(&track(5, [0, 20]), &rules(vec![], Some(2)), |_| false)
            .iter()
            .map(|s| s.z)
            .collect();
        assert_eq!(visited, [5, 6, 4]);
    }

    #[test]
    fn a_gap_restarts_from_the_start_prompt_or_is_carried_over() {
        let z_index = [3, 4, 9, 10];
        let run = |rule: GapRule| {
            stops(&track(1, [0, 3]), &rules(rule.restarts(&z_index, 2.0), None), |_| true)
        };
        let restarted = run(GapRule::Restart);
        assert_eq!(restarted[1].prompt, START);
        assert_ne!(restarted[2].prompt, START);
        assert_ne!(run(GapRule::Carry)[1].prompt, START);
        assert_eq!(run(GapRule::Near), run(GapRule::Carry), "10 mm are near");
        assert_eq!(GapRule::Near.restarts(&z_index, 5.0), [false, true, false], "25 mm are not");
    }

    proptest! {
        #[test]
        fn the_box_is_that_of_the_resized_mask((h, w) in (1usize..40, 1usize..40), side in 1usize..50, bits in prop::collection::vec(0u8..8, 1600)) {
            let mask = Array2::from_shape_fn((h, w), |(y, x)| bits[y * 40 + x] == 0);
            let resized = resize_nearest(mask.view(), side, side);
            let expected = BoundingBox::around(resized.view(), |v| v).map(|b| b.prompt_px([5; 4], side, side));
            prop_assert_eq!(box_of_mask(mask.view(), side, 5), expected);
        }
    }
}
