//! Stored pixels that stand for no measurement (PS3.3 C.7.5.1.1.2).

use super::SliceHeader;

/// Padding within these is left as it is: it looks like the air that it stands for.
const PLAUSIBLE_AIR_HU: std::ops::RangeInclusive<f64> = -1100.0..=-900.0;

/// Which stored pixels stand for no measurement.
pub(super) enum Padding {
    /// None, or what they say is air anyway.
    Nothing,
    /// These values.
    Values([i32; 2]),
    /// These words: the header writes the padding with more bits than a pixel's value has.
    Words([u32; 2]),
}

impl Padding {
    /// `value` is what a stored word means.
    pub fn of(slice: &SliceHeader, value: impl Fn(u32) -> i32) -> Self {
        let Some(words) = slice.padding.map(|ends| ends.map(u32::from)) else {
            return Self::Nothing;
        };
        let ends = words.map(value);
        let sorted = |[a, b]: [i32; 2]| [a.min(b), a.max(b)];
        let hu = ends.map(|v| f64::from(v) * slice.slope + slice.intercept);
        if slice.modality == "CT" && hu.iter().all(|hu| PLAUSIBLE_AIR_HU.contains(hu)) {
            Self::Nothing
        } else if ends.map(|v| v as u32 & 0xffff) == words {
            Self::Values(sorted(ends))
        } else {
            Self::Words([words[0].min(words[1]), words[0].max(words[1])])
        }
    }

    pub fn is(&self, word: u32, value: i32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Values([first, last]) => (*first..=*last).contains(&value),
            Self::Words([first, last]) => (*first..=*last).contains(&word),
        }
    }
}
