//! How well a score ranks what has a property above what has not.

/// Area under the ROC curve of `(score, has it)`: the share of pairs in which the one that has it
/// scores higher, equal scores counting half (Mann and Whitney 1947). `None` without both kinds.
#[must_use]
pub fn auroc(scored: &[(f64, bool)]) -> Option<f64> {
    let positives = scored.iter().filter(|(_, has)| *has).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the sum of the ranks of those that have it; equal scores share the mean of their ranks.
    let (mut rank_sum, mut below) = (0u128, 0usize);
    for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
        let having = equal.iter().filter(|(_, has)| *has).count();
        rank_sum += having as u128 * (2 * below + equal.len() + 1) as u128;
        below += equal.len();
    }
    let least = (positives * (positives + 1)) as u128;
    Some((rank_sum - least) as f64 / (2 * positives * negatives) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_the_right_order_are_counted() {
        let scored = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        // Of four pairs 0.35 < 0.4 is the wrong one; scikit-learn's example.
        assert_eq!(auroc(&scored), Some(0.75));
        assert_eq!(auroc(&[(1.0, false), (1.0, true), (1.0, true)]), Some(0.5));
        assert_eq!(auroc(&[(0.0, false), (1.0, true)]), Some(1.0));
    }

    #[test]
    fn one_kind_alone_cannot_be_ranked() {
        assert_eq!(auroc(&[(0.3, true), (0.4, true)]), None);
        assert_eq!(auroc(&[]), None);
    }
}
