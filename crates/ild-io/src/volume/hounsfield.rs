//! Whether values are Hounsfield units, as far as one can tell from them.

use ndarray::ArrayView3;
use rayon::prelude::*;

use crate::volume::Number;
use crate::{Voxels, with_voxels};

/// Air around and in the patient, HU.
pub(crate) const AIR_HU: std::ops::RangeInclusive<f64> = -1100.0..=-900.0;
/// Aerated lung, HU.
pub(crate) const LUNG_HU: std::ops::RangeInclusive<f64> = -950.0..=-200.0;
/// Above this lowest value (padding apart) a CT shows no air.
const NO_AIR_HU: f64 = -800.0;
/// Every CT of a chest has at least this share of values between air and water: lung, and the
/// edges of the body.
const LEAST_LUNG_SHARE: f64 = 1e-3;
/// Below the lowest air there is padding, one value; more voxels than this with others are a scan
/// in another unit.
const MOST_BELOW_AIR_SHARE: f64 = 0.05;
/// Voxels that one thread looks at in one go.
const PART: usize = 1 << 20;

/// Range and shares of the values.
#[derive(Clone, Copy)]
struct Values {
    lowest: f64,
    highest: f64,
    /// Lowest of the values that are no padding.
    lowest_measured: f64,
    /// How many lie below all air, and how many of them are the lowest value itself.
    below_air: u64,
    lowest_count: u64,
    lung: u64,
    count: u64,
}

impl Values {
    const NONE: Self = Self {
        lowest: f64::INFINITY,
        highest: f64::NEG_INFINITY,
        lowest_measured: f64::INFINITY,
        below_air: 0,
        lowest_count: 0,
        lung: 0,
        count: 0,
    };

    fn of<T: Number + Sync>(array: ArrayView3<T>) -> Self {
        let array = array.as_standard_layout();
        let parts = array.as_slice().unwrap_or_default().par_chunks(PART);
        parts.map(Self::of_part).reduce(|| Self::NONE, Self::and)
    }

    fn of_part<T: Number>(values: &[T]) -> Self {
        let mut out = Self { count: values.len() as u64, ..Self::NONE };
        for value in values.iter().map(|value| value.as_f64()) {
            if value < out.lowest {
                (out.lowest, out.lowest_count) = (value, 0);
            }
            out.lowest_count += u64::from(value == out.lowest);
            out.below_air += u64::from(value < *AIR_HU.start());
            out.highest = if value > out.highest { value } else { out.highest };
            let measured = value >= *AIR_HU.start() && value < out.lowest_measured;
            out.lowest_measured = if measured { value } else { out.lowest_measured };
            out.lung += u64::from(value >= *LUNG_HU.start() && value <= *LUNG_HU.end());
        }
        out
    }

    fn and(self, other: Self) -> Self {
        let lowest = self.lowest.min(other.lowest);
        let with_lowest = |part: Self| if part.lowest == lowest { part.lowest_count } else { 0 };
        Self {
            lowest,
            lowest_count: with_lowest(self) + with_lowest(other),
            below_air: self.below_air + other.below_air,
            highest: self.highest.max(other.highest),
            lowest_measured: self.lowest_measured.min(other.lowest_measured),
            lung: self.lung + other.lung,
            count: self.count + other.count,
        }
    }
}

/// What speaks against these values being the Hounsfield units of a chest, in a sentence: the one
/// judgement of all programs. Padding (below -1100) is no air: a scan whose intercept was never
/// applied has none, however low its padding is.
#[must_use]
pub fn hounsfield_doubt(voxels: &Voxels) -> Option<String> {
    let values = with_voxels!(voxels, array => Values::of(array.view()));
    let Values { lowest, highest, lowest_measured, lung, count, .. } = values;
    if count == 0 {
        return None;
    }
    if lowest >= highest {
        return Some(format!("every voxel of the CT is {lowest}: nothing to see"));
    }
    // Padding is one value; where there is none, the lowest of many is not worth a distinction.
    let scaled = values.below_air.saturating_sub(values.lowest_count) as f64 / count as f64;
    if scaled > MOST_BELOW_AIR_SHARE {
        return Some(format!(
            "{:.0} % of the CT's values lie below -1100, where nothing measures: these are hardly Hounsfield units (multiplied by something?)",
            100.0 * scaled
        ));
    }
    if lowest_measured > NO_AIR_HU {
        let padding = if lowest < lowest_measured {
            format!(" (padding of {lowest} apart)")
        } else {
            String::new()
        };
        return Some(format!(
            "the CT's lowest value is {lowest_measured}{padding}: no air near -1000, so these are hardly Hounsfield units"
        ));
    }
    let share = lung as f64 / count as f64;
    (share < LEAST_LUNG_SHARE).then(|| {
        format!(
            "{:.2} % of the CT's values lie between -950 and -200, where lung is: these are hardly Hounsfield units of a chest",
            100.0 * share
        )
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// Air, lung and soft tissue in stripes.
    fn chest() -> Array3<i16> {
        Array3::from_shape_fn((4, 30, 30), |(z, y, x)| {
            [-1000, -850, -600, 40, 60][(y / 6) % 5] + ((z + x) % 7) as i16
        })
    }

    fn doubt(map: impl Fn(usize, i16) -> i16) -> Option<String> {
        let mut hu = chest();
        for ((_, y, _), value) in hu.indexed_iter_mut() {
            *value = map(y, *value);
        }
        hounsfield_doubt(&Voxels::I16(hu))
    }

    #[test]
    fn hounsfield_units_are_believed_padded_or_not() {
        assert_eq!(doubt(|_, hu| hu), None);
        assert_eq!(doubt(|y, hu| if y == 0 { -3024 } else { hu }), None);
    }

    #[test]
    fn values_from_zero_are_doubted_padded_or_not() {
        let lowest = "the CT's lowest value is 24";
        assert!(doubt(|_, hu| hu + 1024).unwrap().starts_with(lowest));
        let padded = doubt(|y, hu| if y == 29 { -2000 } else { hu + 1024 }).unwrap();
        assert!(padded.starts_with(lowest) && padded.contains("hardly Hounsfield"), "{padded}");
        // Padding that looks like air.
        for padding in [-1024, -1000] {
            let padded = doubt(|y, hu| if y == 29 { padding } else { hu + 1024 }).unwrap();
            assert!(padded.contains("hardly Hounsfield"), "{padded}");
        }
    }

    #[test]
    fn values_in_another_unit_are_doubted() {
        assert!(doubt(|_, hu| hu * 10).unwrap().contains("lie below -1100"));
        assert!(doubt(|y, hu| if y == 0 { -32000 } else { hu * 10 }).is_some());
        // A tenth of it has no air.
        assert!(doubt(|_, hu| hu / 10).unwrap().contains("no air"));
        // Padding with blurred edges, and noise around air.
        let edge = |y, hu: i16| if y < 6 { -3024 } else { hu - if y == 6 { 400 } else { 0 } };
        assert_eq!(doubt(edge), None);
    }

    #[test]
    fn one_value_everywhere_is_said() {
        assert!(doubt(|_, _| 7).unwrap().contains("every voxel of the CT is 7"));
    }
}
