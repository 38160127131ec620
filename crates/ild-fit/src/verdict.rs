//! Whether fitted rules are better than the defaults by more than chance.
//!
//! The best of many rules is always at least as good as the defaults on the patients it was chosen
//! on. So the whole search is done again without each patient in turn, and its rules are measured on
//! that one: what they gain there is what a new patient may expect.

use std::collections::BTreeSet;

use ild_metrics::{Bootstrap, PATIENTS_FOR_A_CLAIM, mean_over_classes};
use serde::Serialize;

use crate::error::Result;
use crate::grid::{DEFAULT, Point};
use crate::scores::{ByClass, Scores};
use crate::search::best;

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Best for all patients together.
    pub best: Point,
    /// Best, or the defaults.
    pub chosen: Point,
    /// The objective with the defaults and with the best rules, both on the patients that the rules
    /// were chosen on.
    pub at_default: Option<f64>,
    /// See `at_default`.
    pub at_best: Option<f64>,
    /// What rules gain on patients that they were not fitted on, with its 95 % interval.
    pub gain_left_out: Option<f64>,
    /// See `gain_left_out`.
    pub gain_interval: Option<[f64; 2]>,
    /// Patients with a value.
    pub patients: usize,
    /// In words.
    pub words: String,
}

/// Fits and judges; case `i` is of patient `patient_of[i]`.
///
/// # Errors
/// What the scores return.
pub fn judge(
    scores: &mut Scores,
    patient_of: &[String],
    redraws: usize,
    seed: u64,
) -> Result<Verdict> {
    let all: Vec<usize> = (0..patient_of.len()).collect();
    let best_of_all = best(|point| scores.objective(point, &all))?;
    let left_out = left_out(scores, patient_of)?;
    let default = scores.at(DEFAULT)?.clone();
    let bootstrap = Bootstrap::new(patient_of, redraws, seed);
    let has_value = |case: usize| default.iter().any(|values| values[case].is_some());
    let gain = |cases: &[usize]| {
        Some(mean_over_classes(&left_out, cases)? - mean_over_classes(&default, cases)?)
    };
    let mut verdict = Verdict {
        best: best_of_all,
        chosen: DEFAULT,
        at_default: scores.objective(DEFAULT, &all)?,
        at_best: scores.objective(best_of_all, &all)?,
        gain_left_out: gain(&all),
        gain_interval: bootstrap.interval(gain),
        patients: bootstrap.patients(has_value),
        words: String::new(),
    };
    let (is_better, words) = verdict.is_better();
    if is_better {
        verdict.chosen = verdict.best;
    }
    verdict.words = words;
    Ok(verdict)
}

/// Everybody's scores by the rules that are best for all other patients.
fn left_out(scores: &mut Scores, patient_of: &[String]) -> Result<ByClass> {
    let mut composed = scores.at(DEFAULT)?.clone();
    let patients: BTreeSet<&String> = patient_of.iter().collect();
    for patient in patients {
        let is_his = |case: &usize| patient_of[*case] == *patient;
        let (his, others): (Vec<usize>, Vec<usize>) = (0..patient_of.len()).partition(is_his);
        let point = best(|point| scores.objective(point, &others))?;
        for (values, at_point) in composed.iter_mut().zip(scores.at(point)?) {
            his.iter().for_each(|&case| values[case] = at_point[case]);
        }
    }
    Ok(composed)
}

impl Verdict {
    /// Whether the best rules replace the defaults, and why.
    fn is_better(&self) -> (bool, String) {
        if self.best == DEFAULT {
            return (false, "the defaults are kept: no other rules are better here".to_owned());
        }
        if self.patients < PATIENTS_FOR_A_CLAIM {
            let words = format!(
                "the defaults are kept: {} patients are too few to tell a gain from chance, {PATIENTS_FOR_A_CLAIM} are needed",
                self.patients
            );
            return (false, words);
        }
        let number = |value: f64| format!("{value:+.4}");
        match (self.gain_left_out, self.gain_interval) {
            (Some(gain), Some([low, high])) => {
                let found = format!(
                    "{} ({} to {}) on patients that the rules were not fitted on",
                    number(gain),
                    number(low),
                    number(high)
                );
                match low > 0.0 {
                    true => (true, format!("fitted: {found}")),
                    false => {
                        (false, format!("the defaults are kept: {found} is no more than chance"))
                    }
                }
            }
            _ => (false, "the defaults are kept: no patient has a value".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(best: Point, patients: usize, interval: [f64; 2]) -> Verdict {
        Verdict {
            best,
            chosen: DEFAULT,
            at_default: Some(0.8),
            at_best: Some(0.9),
            gain_left_out: Some(0.05),
            gain_interval: Some(interval),
            patients,
            words: String::new(),
        }
    }

    #[test]
    fn rules_replace_the_defaults_only_where_the_gain_is_more_than_chance() {
        let mut other = DEFAULT;
        other[0] = 0;
        assert!(verdict(other, 6, [0.01, 0.09]).is_better().0);
        for (kept, word) in [
            (verdict(other, 6, [-0.01, 0.09]), "no more than chance"),
            (verdict(other, 6, [0.0, 0.09]), "no more than chance"),
            (verdict(other, 4, [0.01, 0.09]), "too few"),
            (verdict(DEFAULT, 6, [0.01, 0.09]), "no other rules"),
        ] {
            let (is_better, words) = kept.is_better();
            assert!(!is_better && words.contains(word) && words.contains("kept"), "{words}");
        }
    }
}
