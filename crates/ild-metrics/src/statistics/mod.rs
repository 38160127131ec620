//! Plain descriptive statistics; of nothing there is no value.

pub(crate) mod auroc;
pub(crate) mod bootstrap;
pub(crate) mod holm;
pub(crate) mod paired;

/// Arithmetic mean; `None` of no values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

/// Sample standard deviation (`n − 1`); `None` of fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    if values.len() < 2 {
        return None;
    }
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Percentile `q` (0..=100) of ascending values with linear interpolation, numpy's default; `None`
/// of no values.
#[must_use]
pub fn percentile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = q / 100.0 * last as f64;
    let below = (position.floor() as usize).min(last);
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    let share = position - below as f64;
    // numpy's form: exact at both ends.
    Some(if share < 0.5 { low + (high - low) * share } else { high - (high - low) * (1.0 - share) })
}

/// Median; `None` of no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile(&sorted, 50.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([1, 2, 4, 8], [0, 25, 50, 95, 100])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let found = [0.0, 25.0, 50.0, 95.0, 100.0].map(|q| percentile(&sorted, q).unwrap());
        assert_eq!(found, [1.0, 1.75, 3.0, 7.399999999999999, 8.0]);
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn spread_needs_two_values() {
        assert_eq!(standard_deviation(&[3.0]), None);
        assert_eq!(standard_deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
    }
}
