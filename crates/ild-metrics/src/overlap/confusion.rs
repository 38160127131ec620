//! Voxels right, voxels wrong, and the overlap scores made of them.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::Serialize;

/// Voxels of one class in ground truth and prediction; true negatives are left to whoever knows the
/// volume's size.
///
/// # Example
/// ```
/// use ild_metrics::Confusion;
///
/// let found = Confusion { tp: 30, fp: 10, fn_: 20 };
/// assert_eq!(found.dice(), Some(2.0 * 30.0 / (2.0 * 30.0 + 10.0 + 20.0)));
/// assert_eq!(Confusion::default().dice(), None); // in neither map: no value, not 1
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// In both.
    pub tp: u64,
    /// In the prediction only.
    pub fp: u64,
    /// In the ground truth only.
    #[serde(rename = "fn")]
    pub fn_: u64,
}

impl Confusion {
    /// Voxels of the ground truth, `TP + FN`.
    #[must_use]
    pub fn reference(&self) -> u64 {
        self.tp + self.fn_
    }

    /// Voxels of the prediction, `TP + FP`.
    #[must_use]
    pub fn predicted(&self) -> u64 {
        self.tp + self.fp
    }

    /// `2·TP / (2·TP + FP + FN)` (Dice 1945); `None` when the class is in neither map.
    #[must_use]
    pub fn dice(&self) -> Option<f64> {
        ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }

    /// `TP / (TP + FP + FN)` (Jaccard 1912); `None` when the class is in neither map.
    #[must_use]
    pub fn iou(&self) -> Option<f64> {
        ratio(self.tp, self.tp + self.fp + self.fn_)
    }

    /// `TP / (TP + FN)`, also called recall; `None` when the ground truth lacks the class.
    #[must_use]
    pub fn sensitivity(&self) -> Option<f64> {
        ratio(self.tp, self.reference())
    }

    /// `TP / (TP + FP)`; `None` when the prediction lacks the class.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        ratio(self.tp, self.predicted())
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    if whole == 0 { None } else { Some(part as f64 / whole as f64) }
}

impl Add for Confusion {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tp: self.tp + other.tp, fp: self.fp + other.fp, fn_: self.fn_ + other.fn_ }
    }
}

impl AddAssign for Confusion {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Confusion {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_the_textbook_ratios() {
        let c = Confusion { tp: 6, fp: 2, fn_: 4 };
        assert_eq!((c.dice(), c.iou()), (Some(12.0 / 18.0), Some(0.5)));
        assert_eq!((c.sensitivity(), c.precision()), (Some(0.6), Some(0.75)));
    }

    #[test]
    fn of_an_absent_class_there_is_no_score() {
        assert_eq!(Confusion::default().dice(), None);
        let missed = Confusion { tp: 0, fp: 0, fn_: 5 };
        assert_eq!(
            (missed.dice(), missed.sensitivity(), missed.precision()),
            (Some(0.0), Some(0.0), None)
        );
        let invented = Confusion { tp: 0, fp: 5, fn_: 0 };
        assert_eq!(
            (invented.dice(), invented.sensitivity(), invented.precision()),
            (Some(0.0), None, Some(0.0))
        );
    }
}
