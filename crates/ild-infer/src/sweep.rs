//! All journeys of a case in two sweeps over the stack, so that each slice is looked at by every
//! label while its features are at hand.
//!
//! Journeys do not know of one another: sweeping changes the order of the work, not its result.

use std::collections::BTreeSet;

use crate::journey::{Direction, Journey, Rules, Track};
use crate::{Prediction, Prompt, Result, SliceSegmenter};

/// A slice in the order of the sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Visit {
    /// Slice of the stack.
    pub z: usize,
    /// Sweep.
    pub up: bool,
}

/// The slices that `tracks` may need: the sweep up, then the sweep down.
#[must_use]
pub fn visits(tracks: &[Track]) -> Vec<Visit> {
    let up: BTreeSet<usize> = tracks.iter().flat_map(|t| t.start..=t.span[1]).collect();
    let down: BTreeSet<usize> = tracks.iter().flat_map(|t| t.span[0]..t.start).collect();
    up.into_iter()
        .map(|z| Visit { z, up: true })
        .chain(down.into_iter().rev().map(|z| Visit { z, up: false }))
        .collect()
}

/// Runs all journeys and hands over each prediction: index of its track, slice, answer.
///
/// # Errors
/// What `segmenter` or `take` return, and the interruption by the user.
pub fn sweep(
    tracks: &[Track],
    rules: &Rules,
    segmenter: &mut impl SliceSegmenter,
    mut take: impl FnMut(usize, usize, Prediction) -> Result<()>,
) -> Result<()> {
    let mut journeys: Vec<Journey> =
        tracks.iter().map(|track| Journey::new(track, rules)).collect();
    for visit in visits(tracks) {
        ild_cli::stop_if_interrupted()?;
        let here: Vec<(usize, Prompt)> = journeys
            .iter()
            .enumerate()
            .filter_map(|(i, journey)| Some((i, prompt_at(journey, visit)?)))
            .collect();
        if here.is_empty() {
            segmenter.skip(visit.z);
            continue;
        }
        let (indices, prompts): (Vec<usize>, Vec<Prompt>) = here.into_iter().unzip();
        let predictions = segmenter.segment(visit.z, &prompts)?;
        for (i, prediction) in indices.into_iter().zip(predictions) {
            journeys[i].advance(prediction.mask().view(), rules);
            take(i, visit.z, prediction)?;
        }
    }
    Ok(())
}

fn prompt_at(journey: &Journey, visit: Visit) -> Option<Prompt> {
    let stop = journey.next()?;
    (stop.z == visit.z && (stop.direction == Direction::Up) == visit.up)
        .then(|| stop.prompt.clone())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Answers with the left half of its prompt, except on slice 4.
    struct Halver(Vec<usize>);

    impl SliceSegmenter for Halver {
        fn segment(&mut self, z: usize, prompts: &[Prompt]) -> Result<Vec<Prediction>> {
            self.0.push(z);
            Ok(prompts
                .iter()
                .map(|prompt| {
                    let Prompt::Box([x0, y0, x1, y1]) = *prompt else {
                        unreachable!("only boxes here")
                    };
                    let inside = |y: usize, x: usize| {
                        z != 4
                            && (x as f64) >= x0
                            && (x as f64) < (x0 + x1) / 2.0
                            && (y as f64) >= y0
                            && (y as f64) < y1
                    };
                    let probability =
                        Array2::from_shape_fn((40, 40), |(y, x)| f32::from(u8::from(inside(y, x))));
                    Prediction { probability, iou: 1.0, object_score: 1.0 }
                })
                .collect())
        }
    }

    #[test]
    fn sweeping_all_labels_together_gives_what_each_gives_alone() {
        let rules = Rules {
            side: 40,
            bbox_shift: 2,
            stop_after: None,
            restarts: vec![],
            slice_size: [40, 40],
        };
        let track = |label, start, span, x0| Track {
            label,
            start,
            span,
            prompt: Prompt::Box([x0, 3.0, 38.0, 30.0]),
        };
        let tracks = [track(1, 2, [0, 6], 1.0), track(2, 5, [3, 9], 4.0), track(3, 0, [0, 0], 2.0)];
        let run = |tracks: &[Track]| {
            let mut found = std::collections::BTreeMap::new();
            let mut model = Halver(vec![]);
            sweep(tracks, &rules, &mut model, |i, z, p| {
                found.insert((tracks[i].label, z), p.mask());
                Ok(())
            })
            .unwrap();
            (found, model.0)
        };
        let (together, slices) = run(&tracks);
        let mut alone = std::collections::BTreeMap::new();
        for track in &tracks {
            alone.extend(run(std::slice::from_ref(track)).0);
        }
        assert_eq!(together, alone);
        assert_eq!(slices, [0, 2, 3, 4, 5, 6, 7, 8, 9, 4, 3, 1, 0], "both labels share a visit");
    }
}
