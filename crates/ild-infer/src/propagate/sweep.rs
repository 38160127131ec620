//! All journeys of a case in two sweeps over the stack, so that each slice is looked at by every
//! label while its features are at hand.
//!
//! Journeys do not know of one another: sweeping changes the order of the work, not its result.

use std::collections::BTreeSet;

use super::journey::{Direction, Journey, Rules};
use super::{Answer, Propagator};
use crate::coordinates::StackIndex;
use crate::prompt::{InputPrompt, Track};
use crate::{Result, SliceSegmenter};

/// A slice in the order of the sweeps.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    pub slice: StackIndex,
    pub direction: Direction,
}

/// The sweep up, then the sweep down.
pub(super) fn sweeps(tracks: &[Track]) -> impl Iterator<Item = Visit> {
    let up: BTreeSet<usize> = tracks.iter().flat_map(|t| t.start.0..=t.span.last.0).collect();
    let down: BTreeSet<usize> = tracks.iter().flat_map(|t| t.span.first.0..t.start.0).collect();
    let visit = |direction| move |z| Visit { slice: StackIndex(z), direction };
    up.into_iter()
        .map(visit(Direction::Up))
        .chain(down.into_iter().rev().map(visit(Direction::Down)))
}

/// The reference's propagation: each track is a [`Journey`] by these rules.
#[derive(Clone, Debug)]
pub struct BoxJourney(pub Rules);

impl Propagator for BoxJourney {
    fn visits(&self, tracks: &[Track]) -> Vec<StackIndex> {
        sweeps(tracks).map(|visit| visit.slice).collect()
    }

    fn propagate(
        &self,
        tracks: &[Track],
        model: &mut dyn SliceSegmenter,
        take: &mut dyn FnMut(Answer) -> Result<()>,
    ) -> Result<()> {
        let mut journeys: Vec<Journey> =
            tracks.iter().map(|track| Journey::new(track, &self.0)).collect();
        for visit in sweeps(tracks) {
            ild_cli::stop_if_interrupted()?;
            let (here, prompts): (Vec<usize>, Vec<InputPrompt>) = journeys
                .iter()
                .enumerate()
                .filter_map(|(track, journey)| Some((track, prompt_at(journey, visit)?)))
                .unzip();
            if here.is_empty() {
                continue;
            }
            let predictions = model.segment(visit.slice, &prompts)?;
            for (track, prediction) in here.into_iter().zip(predictions) {
                journeys[track].advance(prediction.mask().view(), &self.0);
                take(Answer { track, slice: visit.slice, prediction })?;
            }
        }
        Ok(())
    }
}

fn prompt_at(journey: &Journey, visit: Visit) -> Option<InputPrompt> {
    let stop = journey.next()?;
    (stop.slice == visit.slice && stop.direction == visit.direction).then(|| stop.prompt.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ild_model::{SliceBox, SliceSize};
    use ndarray::Array2;

    use super::*;
    use crate::Prediction;
    use crate::coordinates::Span;
    use crate::prompt::SlicePrompt;

    /// Answers with the left half of its prompt, except on slice 4.
    struct Halver(Vec<usize>);

    impl SliceSegmenter for Halver {
        fn segment(&mut self, z: StackIndex, prompts: &[InputPrompt]) -> Result<Vec<Prediction>> {
            self.0.push(z.0);
            Ok(prompts
                .iter()
                .map(|prompt| {
                    let InputPrompt::Box(b) = *prompt else { unreachable!("only boxes here") };
                    let inside = |y: usize, x: usize| {
                        let (y, x) = (y as f64, x as f64);
                        z.0 != 4
                            && (b.x0..f64::midpoint(b.x0, b.x1)).contains(&x)
                            && (b.y0..b.y1).contains(&y)
                    };
                    let probability =
                        Array2::from_shape_fn((40, 40), |(y, x)| f32::from(u8::from(inside(y, x))));
                    Prediction { probability, scores: None, range: None }
                })
                .collect())
        }
    }

    #[test]
    fn sweeping_all_labels_together_gives_what_each_gives_alone() {
        let journeys = BoxJourney(Rules {
            side: 40,
            bbox_shift: 2,
            stop_after: None,
            restarts: vec![],
            slice_size: SliceSize { height: 40, width: 40 },
        });
        let track = |label, start, [first, last]: [usize; 2], x0| Track {
            label,
            start: StackIndex(start),
            span: Span { first: StackIndex(first), last: StackIndex(last) },
            prompt: SlicePrompt::Box(SliceBox::new([x0, 3.0, 38.0, 30.0])),
        };
        let tracks = [track(1, 2, [0, 6], 1.0), track(2, 5, [3, 9], 4.0), track(3, 0, [0, 0], 2.0)];
        let run = |tracks: &[Track]| {
            let mut found = BTreeMap::new();
            let mut model = Halver(vec![]);
            journeys
                .propagate(tracks, &mut model, &mut |answer| {
                    let label = tracks[answer.track].label;
                    found.insert((label, answer.slice), answer.prediction.mask());
                    Ok(())
                })
                .unwrap();
            (found, model.0)
        };
        let (together, slices) = run(&tracks);
        let mut alone = BTreeMap::new();
        for track in &tracks {
            alone.extend(run(std::slice::from_ref(track)).0);
        }
        assert_eq!(together, alone);
        assert_eq!(slices, [0, 2, 3, 4, 5, 6, 7, 8, 9, 4, 3, 1, 0], "both labels share a visit");
    }
}
