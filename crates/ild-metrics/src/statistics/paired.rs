//! Two systems on the same cases: the mean difference, its interval, and a sign test.

use serde::Serialize;

use crate::Bootstrap;
use crate::cohort::{mean_of, mean_over_classes};
use crate::statistics::mean;

/// Differences closer to zero than this are ties: nothing but the order of sums.
const TIE: f64 = 1e-12;

/// How `a` differs from `b` on the cases where both have a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Paired {
    /// Cases where both have a value.
    pub n: usize,
    /// Patients they are of.
    pub patients: usize,
    /// Mean of `a − b`.
    pub difference: Option<f64>,
    /// Its 95 % bootstrap interval.
    pub interval: Option<[f64; 2]>,
    /// Cases where `a` is larger, smaller, equal.
    pub larger: usize,
    /// See `larger`.
    pub smaller: usize,
    /// See `larger`.
    pub equal: usize,
    /// Exact two-sided sign test that larger and smaller are equally likely; `None` when all are
    /// equal.
    pub sign_test_p: Option<f64>,
}

/// Compares one class.
#[must_use]
pub fn paired(a: &[Option<f64>], b: &[Option<f64>], bootstrap: &Bootstrap) -> Paired {
    let differences: Vec<Option<f64>> = a.iter().zip(b).map(|(a, b)| Some((*a)? - (*b)?)).collect();
    let interval = if differences.iter().flatten().count() < 2 {
        None
    } else {
        bootstrap.interval(|cases| mean_of(&differences, cases))
    };
    with_signs(&differences, mean(&present(&differences)), interval, bootstrap)
}

/// Compares the mean over classes; `a` and `b` are by class and case. A class counts in the cases
/// where both have a value.
#[must_use]
pub fn paired_over_classes(
    a: &[Vec<Option<f64>>],
    b: &[Vec<Option<f64>>],
    bootstrap: &Bootstrap,
) -> Paired {
    let by_class: Vec<Vec<Option<f64>>> = a
        .iter()
        .zip(b)
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| Some((*a)? - (*b)?)).collect())
        .collect();
    let cases = by_class.first().map_or(0, Vec::len);
    let per_case: Vec<Option<f64>> = (0..cases)
        .map(|case| mean(&by_class.iter().filter_map(|values| values[case]).collect::<Vec<_>>()))
        .collect();
    let all: Vec<usize> = (0..cases).collect();
    let interval = bootstrap.interval(|cases| mean_over_classes(&by_class, cases));
    with_signs(&per_case, mean_over_classes(&by_class, &all), interval, bootstrap)
}

fn present(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().copied().flatten().collect()
}

fn with_signs(
    differences: &[Option<f64>],
    difference: Option<f64>,
    interval: Option<[f64; 2]>,
    bootstrap: &Bootstrap,
) -> Paired {
    let values = present(differences);
    let larger = values.iter().filter(|d| **d > TIE).count();
    let smaller = values.iter().filter(|d| **d < -TIE).count();
    let equal = values.len() - larger - smaller;
    let patients = bootstrap.patients(|case| differences[case].is_some());
    Paired {
        n: values.len(),
        patients,
        difference,
        interval,
        larger,
        smaller,
        equal,
        sign_test_p: sign_test(larger, smaller),
    }
}

/// `min(1, 2 · P(X ≤ min(a, b)))` for `X` binomial with `a + b` throws of a fair coin.
fn sign_test(a: usize, b: usize) -> Option<f64> {
    let n = a + b;
    if n == 0 {
        return None;
    }
    // ln of C(n, k) / 2ⁿ, step by step.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for k in 1..=a.min(b) {
        log_term += ((n - k + 1) as f64 / k as f64).ln();
        tail += log_term.exp();
    }
    Some((2.0 * tail).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_test_gives_tabled_values() {
        // scipy.stats.binomtest(k, n).pvalue for (5, 0), (8, 2), (3, 3), (60, 40).
        let expected = [0.0625, 0.109375, 1.0, 0.056887933640980784];
        for ((a, b), p) in [(5, 0), (8, 2), (3, 3), (60, 40)].into_iter().zip(expected) {
            assert!((sign_test(a, b).unwrap() - p).abs() < 1e-12, "{a} {b}");
        }
        assert_eq!(sign_test(0, 0), None);
    }

    #[test]
    fn only_cases_with_both_values_are_compared() {
        let names: Vec<String> = (0..4).map(|i| i.to_string()).collect();
        let bootstrap = Bootstrap::new(&names, 500, 1);
        let result = paired(
            &[Some(0.9), Some(0.5), None, Some(0.4)],
            &[Some(0.7), Some(0.5), Some(0.1), Some(0.3)],
            &bootstrap,
        );
        assert_eq!((result.n, result.larger, result.smaller, result.equal), (3, 2, 0, 1));
        assert!((result.difference.unwrap() - 0.1).abs() < 1e-12);
        let [low, high] = result.interval.unwrap();
        assert!((0.0..=0.1).contains(&low) && (0.1..=0.2001).contains(&high), "{low} {high}");
    }

    #[test]
    fn the_interval_of_a_difference_redraws_patients_and_keeps_cases_paired() {
        // Patient p differs by 0.3 (0.5 and 0.1 on two scans), patient q by 0.2; unpaired means
        // would spread from 0.1 to 0.8.
        let names = ["p", "q", "p"].map(str::to_owned);
        let (a, b) = ([Some(0.9), Some(0.4), Some(0.3)], [Some(0.4), Some(0.2), Some(0.2)]);
        let result = paired(&a, &b, &Bootstrap::new(&names, 400, 1));
        let [low, high] = result.interval.unwrap();
        assert!((low - 0.2).abs() < 1e-12 && (high - 0.3).abs() < 1e-12, "{low} {high}");
        assert_eq!((result.n, result.patients, result.larger), (3, 2, 3));
        assert!((result.sign_test_p.unwrap() - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_system_compared_with_itself_differs_by_nothing() {
        let values = vec![vec![Some(0.3), Some(0.8)], vec![None, Some(0.2)]];
        let names = ["a".to_owned(), "b".to_owned()];
        let result = paired_over_classes(&values, &values, &Bootstrap::new(&names, 100, 1));
        assert_eq!(
            (result.n, result.difference, result.interval, result.sign_test_p),
            (2, Some(0.0), Some([0.0, 0.0]), None)
        );
    }
}
