//! Whether a presence of 0.8 means that the class is there in eight scans of ten.

use serde::Serialize;

use crate::statistics::auroc::auroc;
use crate::statistics::mean;

/// Bins of the reliability diagram.
const BINS: usize = 5;

/// One statement about one class in one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresenceStatement {
    /// Case.
    pub case: String,
    /// Position of the case in the cohort.
    #[serde(skip)]
    pub index: usize,
    /// Label id.
    pub class: u8,
    /// Stated probability, 0 to 1.
    pub presence: f64,
    /// Whether the class is there.
    pub present: bool,
}

/// One bin of the reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Statements in it.
    pub n: usize,
    /// Their mean probability.
    pub mean_presence: f64,
    /// Share of them where the class is there.
    pub share_present: f64,
}

/// How far stated presence can be believed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Statements, one for each case and class.
    pub n: usize,
    /// Of those, where the class is there.
    pub present: usize,
    /// Mean squared difference between statement and truth (Brier 1950): 0 perfect, 0.25 for
    /// always saying one half.
    pub brier: f64,
    /// Mean distance between statement and share over the bins, weighted by their n (expected
    /// calibration error).
    pub expected_error: f64,
    /// How well the statements rank; `None` without both present and absent classes.
    pub auroc: Option<f64>,
    /// Bins that hold a statement, ascending.
    pub bins: Vec<CalibrationBin>,
}

impl Calibration {
    /// `None` without statements.
    #[must_use]
    pub fn new(statements: &[PresenceStatement]) -> Option<Self> {
        let truth = |s: &PresenceStatement| f64::from(u8::from(s.present));
        let brier =
            mean(&statements.iter().map(|s| (s.presence - truth(s)).powi(2)).collect::<Vec<_>>())?;
        let bin_of = |s: &PresenceStatement| ((s.presence * BINS as f64) as usize).min(BINS - 1);
        let bins: Vec<CalibrationBin> = (0..BINS)
            .filter_map(|bin| {
                let of = |value: &dyn Fn(&PresenceStatement) -> f64| {
                    statements.iter().filter(|s| bin_of(s) == bin).map(value).collect::<Vec<_>>()
                };
                let stated = of(&|s| s.presence);
                Some(CalibrationBin {
                    n: stated.len(),
                    mean_presence: mean(&stated)?,
                    share_present: mean(&of(&truth))?,
                })
            })
            .collect();
        let n = statements.len();
        let distance = |bin: &CalibrationBin| {
            bin.n as f64 / n as f64 * (bin.mean_presence - bin.share_present).abs()
        };
        let ranked: Vec<(f64, bool)> = statements.iter().map(|s| (s.presence, s.present)).collect();
        Some(Self {
            n,
            present: statements.iter().filter(|s| s.present).count(),
            brier,
            expected_error: bins.iter().map(distance).sum(),
            auroc: auroc(&ranked),
            bins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(stated: &[(f64, bool)]) -> Vec<PresenceStatement> {
        stated
            .iter()
            .map(|&(presence, present)| PresenceStatement {
                case: "a".into(),
                index: 0,
                class: 1,
                presence,
                present,
            })
            .collect()
    }

    #[test]
    fn the_numbers_are_those_counted_by_hand() {
        let found =
            Calibration::new(&statements(&[(0.1, false), (0.1, true), (0.9, true), (1.0, true)]))
                .unwrap();
        assert_eq!((found.n, found.present, found.bins.len()), (4, 3, 2));
        assert!((found.brier - (0.01 + 0.81 + 0.01 + 0.0) / 4.0).abs() < 1e-12);
        // Half of the statements 0.4 off, half 0.05.
        assert!((found.expected_error - (0.5 * 0.4 + 0.5 * 0.05)).abs() < 1e-12);
        assert!((found.auroc.unwrap() - 2.5 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn without_statements_there_is_nothing_to_say() {
        assert_eq!(Calibration::new(&[]), None);
    }
}
