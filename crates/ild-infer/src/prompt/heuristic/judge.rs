//! What the model says to a candidate decides whether it is followed.

use ndarray::ArrayView2;
use serde::Serialize;

use super::Candidate;
use crate::prompt::SlicePrompt;
use crate::{Prediction, Result, Session};

/// A candidate and the model's verdict.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedCandidate {
    /// What was found.
    #[serde(flatten)]
    pub candidate: Candidate,
    predicted_iou: Option<f32>,
    object_score: Option<f32>,
    /// See [`stability`].
    pub stability: f32,
    /// Whether it is followed.
    pub kept: bool,
}

/// Asks the model about each candidate on its start slice.
///
/// # Errors
/// When the model fails, and the interruption by the user.
pub fn judge(
    session: &Session,
    candidates: Vec<Candidate>,
    limits: &Limits,
) -> Result<Vec<JudgedCandidate>> {
    let mut judged = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        ild_cli::stop_if_interrupted()?;
        let prompt = SlicePrompt::Box(candidate.start_box);
        for answer in session.answer(candidate.start, std::slice::from_ref(&prompt))? {
            judged.push(JudgedCandidate {
                candidate: candidate.clone(),
                predicted_iou: answer.scores.map(|scores| scores.iou),
                object_score: answer.scores.map(|scores| scores.object),
                stability: stability(answer.probability.view()),
                kept: limits.keep(&answer),
            });
        }
    }
    Ok(judged)
}

/// What a candidate's answer must reach to be followed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Share of the mask that is stable, see [`stability`].
    pub stability: f32,
    /// The model's estimate of its IoU and its object score; `None` when nothing has ever taught
    /// them.
    pub scores: Option<[f32; 2]>,
}

impl Limits {
    /// Whether the model believes in what it drew.
    #[must_use]
    pub fn keep(&self, answer: &Prediction) -> bool {
        let scored = self
            .scores
            .zip(answer.scores)
            .is_none_or(|([iou, object], found)| found.iou >= iou && found.object >= object);
        scored
            && stability(answer.probability.view()) >= self.stability
            && answer.mask().iter().any(|&inside| inside)
    }
}

/// The logits between which SAM moves the threshold, as probabilities.
const BAND: [f32; 2] = [0.268_941_43, 0.731_058_6];

/// Pixels above a logit of +1 for each above −1 (the stability score of SAM's automatic masks); 0
/// for an empty mask.
#[must_use]
pub fn stability(probability: ArrayView2<f32>) -> f32 {
    let [above_low, above_high] =
        BAND.map(|limit| probability.iter().filter(|&&p| p > limit).count());
    if above_low == 0 { 0.0 } else { above_high as f32 / above_low as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scores;

    #[test]
    fn an_answer_is_kept_only_when_both_scores_and_pixels_are_there() {
        let answer = |iou, object, p| Prediction {
            probability: ndarray::Array2::from_elem((1, 1), p),
            scores: Some(Scores { iou, object }),
            range: None,
        };
        let limits = Limits { stability: 0.5, scores: Some([0.5, 0.0]) };
        assert!(limits.keep(&answer(0.8, 1.0, 0.9)));
        assert!(!limits.keep(&answer(0.4, 1.0, 0.9)));
        assert!(!limits.keep(&answer(0.8, -1.0, 0.9)));
        assert!(!limits.keep(&answer(0.8, 1.0, 0.1)), "nothing drawn");
        assert!(!limits.keep(&answer(0.8, 1.0, 0.6)), "drawn, but not firmly");
        assert!(
            Limits { scores: None, ..limits }.keep(&answer(0.4, -1.0, 0.9)),
            "scores that nothing has taught say nothing"
        );
    }

    #[test]
    fn stability_is_the_share_that_stays_when_the_threshold_moves() {
        let probability = ndarray::arr2(&[[0.1, 0.3, 0.5, 0.7], [0.74, 0.9, 0.2, 0.0]]);
        assert_eq!(stability(probability.view()), 2.0 / 5.0);
        assert_eq!(stability(ndarray::arr2(&[[0.1]]).view()), 0.0);
    }
}
