//! p values of several comparisons at once.

/// Holm's correction: `p` of the k-th smallest of m is taken (m − k + 1) times, never below that of
/// a smaller one, at most 1. What stays below 0.05 can be claimed together: any false claim among
/// them has a chance below 0.05 (Holm, Scand J Statist 1979). Comparisons without a `p` claim
/// nothing and count for nothing.
#[must_use]
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut corrected = vec![None; p.len()];
    let mut least = 0.0f64;
    for (k, &(i, p)) in order.iter().enumerate() {
        least = least.max(((order.len() - k) as f64 * p).min(1.0));
        corrected[i] = Some(least);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrected_values_are_those_of_statsmodels() {
        // statsmodels.stats.multitest.multipletests([0.01, 0.04, 0.03, 0.005], method="holm")[1],
        // with a comparison between them that says nothing.
        let found = holm(&[Some(0.01), None, Some(0.04), Some(0.03), Some(0.005)]);
        let expected = [Some(0.03), None, Some(0.06), Some(0.06), Some(0.02)];
        for (found, expected) in found.iter().zip(expected) {
            match (found, expected) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "{a} {b}"),
                (a, b) => assert_eq!(*a, b),
            }
        }
        assert_eq!(holm(&[Some(0.8), Some(0.9)]), [Some(1.0), Some(1.0)]);
        assert!(holm(&[]).is_empty());
    }
}
