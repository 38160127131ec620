//! A box's journey through a stack: from its start slice up, then from the start slice down.
//!
//! On each slice the model is prompted with the box around its own answer on the slice before.
//! Where that answer is empty the start prompt is used again. This is the reference's inference,
//! slice for slice and box for box; two rules beyond it (stopping, gaps) are off in parity mode.

use ild_io::BoundingBox;
use ild_model::{InputBox, SliceSize};
use ild_preprocess::nearest_indices;
use ndarray::ArrayView2;

use crate::coordinates::{Span, StackIndex};
use crate::prompt::{InputPrompt, Track};

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
    /// Of the slices.
    pub slice_size: SliceSize,
}

impl Rules {
    fn restarts_between(&self, a: StackIndex, b: StackIndex) -> bool {
        self.restarts.get(a.min(b).0).copied().unwrap_or(false)
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
    /// Where.
    pub slice: StackIndex,
    /// On the way up or down.
    pub direction: Direction,
    /// What the model is asked.
    pub prompt: InputPrompt,
}

/// A journey under way.
#[derive(Clone, Debug)]
pub struct Journey {
    start: StackIndex,
    span: Span<StackIndex>,
    start_prompt: InputPrompt,
    next: Option<Stop>,
    /// What the start slice's answer gave: the way down begins with it.
    from_start: Option<InputPrompt>,
    empty_in_a_row: usize,
}

impl Journey {
    /// At its start slice, on the way up.
    #[must_use]
    pub fn new(track: &Track, rules: &Rules) -> Self {
        let start_prompt = track.prompt.to_input(rules.slice_size, rules.side);
        let next = Some(Stop {
            slice: track.start,
            direction: Direction::Up,
            prompt: start_prompt.clone(),
        });
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
        let carried = box_of_mask(mask, rules.side, rules.bbox_shift).map(InputPrompt::Box);
        self.empty_in_a_row = if carried.is_some() { 0 } else { self.empty_in_a_row + 1 };
        if here.slice == self.start {
            self.from_start.clone_from(&carried);
        }
        let lost = rules.stop_after.is_some_and(|limit| self.empty_in_a_row >= limit);
        self.next = match here.direction {
            Direction::Up if here.slice < self.span.last && !lost => {
                let next = StackIndex(here.slice.0 + 1);
                Some(self.stop(here.slice, next, Direction::Up, carried, rules))
            }
            Direction::Up => self.turn(rules),
            Direction::Down if here.slice > self.span.first && !lost => {
                let next = StackIndex(here.slice.0 - 1);
                Some(self.stop(here.slice, next, Direction::Down, carried, rules))
            }
            Direction::Down => None,
        };
    }

    /// The first stop of the way down, which follows the start slice's answer.
    fn turn(&mut self, rules: &Rules) -> Option<Stop> {
        let carried = self.from_start.take();
        self.empty_in_a_row = usize::from(carried.is_none());
        let lost = rules.stop_after.is_some_and(|limit| self.empty_in_a_row >= limit);
        (self.start > self.span.first && !lost).then(|| {
            let next = StackIndex(self.start.0 - 1);
            self.stop(self.start, next, Direction::Down, carried, rules)
        })
    }

    fn stop(
        &self,
        from: StackIndex,
        slice: StackIndex,
        direction: Direction,
        carried: Option<InputPrompt>,
        rules: &Rules,
    ) -> Stop {
        let carried = carried.filter(|_| !rules.restarts_between(from, slice));
        Stop { slice, direction, prompt: carried.unwrap_or_else(|| self.start_prompt.clone()) }
    }
}

/// The box around `mask` after it is resized to `side` × `side` with nearest neighbour, each side
/// moved outward by `shift`.
///
/// Only the occupied rows and columns are resized: a nearest-neighbour resize moves them
/// independently.
#[must_use]
pub fn box_of_mask(mask: ArrayView2<bool>, side: usize, shift: usize) -> Option<InputBox> {
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
    let around = BoundingBox { x0, y0, x1: x1 + 1, y1: y1 + 1 };
    Some(InputBox::new(around.prompt_px([shift; 4], side, side)))
}

#[cfg(test)]
mod tests {
    use ild_model::SliceBox;
    use ild_preprocess::resize_nearest;
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::prompt::SlicePrompt;
    use crate::propagate::GapRule;

    const SIZE: SliceSize = SliceSize { height: 32, width: 32 };

    fn rules(restarts: Vec<bool>, stop_after: Option<usize>) -> Rules {
        Rules { side: 64, bbox_shift: 5, stop_after, restarts, slice_size: SIZE }
    }

    fn track(start: usize, [first, last]: [usize; 2]) -> Track {
        Track {
            label: 1,
            start: StackIndex(start),
            span: Span { first: StackIndex(first), last: StackIndex(last) },
            prompt: SlicePrompt::Box(SliceBox::new([4.0, 4.0, 20.0, 20.0])),
        }
    }

    const START: InputPrompt = InputPrompt::Box(InputBox { x0: 8.0, y0: 8.0, x1: 40.0, y1: 40.0 });

    /// The stops of a journey whose answer on slice `z` is `full(z)`: a square, or nothing.
    fn stops(track: &Track, rules: &Rules, full: impl Fn(usize) -> bool) -> Vec<Stop> {
        let mut journey = Journey::new(track, rules);
        let mut stops = Vec::new();
        while let Some(stop) = journey.next().cloned() {
            let mask = Array2::from_shape_fn((32, 32), |(y, x)| {
                full(stop.slice.0) && (10..14).contains(&y) && (10..14).contains(&x)
            });
            stops.push(stop);
            journey.advance(mask.view(), rules);
        }
        stops
    }

    #[test]
    fn every_slice_of_the_span_is_visited_once_up_then_down() {
        let visited: Vec<usize> = stops(&track(3, [1, 5]), &rules(vec![], None), |_| true)
            .iter()
            .map(|s| s.slice.0)
            .collect();
        assert_eq!(visited, [3, 4, 5, 2, 1]);
        assert_eq!(stops(&track(0, [0, 0]), &rules(vec![], None), |_| false).len(), 1);
    }

    #[test]
    fn an_empty_answer_brings_the_start_prompt_back() {
        let stops = stops(&track(0, [0, 3]), &rules(vec![], None), |z| z != 1);
        assert_eq!(stops[1].prompt, InputPrompt::Box(InputBox::new([15.0, 15.0, 32.0, 32.0])));
        assert_eq!(stops[2].prompt, START);
    }

    #[test]
    fn a_journey_that_stays_empty_stops_in_that_direction_only() {
        let visited: Vec<usize> = stops(&track(5, [0, 20]), &rules(vec![], Some(2)), |z| z <= 7)
            .iter()
            .map(|s| s.slice.0)
            .collect();
        assert_eq!(visited, [5, 6, 7, 8, 9, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn an_empty_start_counts_for_both_directions() {
        let visited: Vec<usize> = stops(&track(5, [0, 20]), &rules(vec![], Some(2)), |_| false)
            .iter()
            .map(|s| s.slice.0)
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
            let expected = BoundingBox::around(resized.view(), |v| v).map(|b| InputBox::new(b.prompt_px([5; 4], side, side)));
            prop_assert_eq!(box_of_mask(mask.view(), side, 5), expected);
        }
    }
}
