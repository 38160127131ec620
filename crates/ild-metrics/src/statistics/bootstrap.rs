//! How sure a mean is: percentile intervals from redrawing the patients (Efron 1979).
//!
//! Patients are drawn, not cases and never slices: two scans of one patient are not two
//! observations.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::statistics::percentile;

/// Half of what lies outside a 95 % interval, in percent.
const TAIL_PERCENT: f64 = 2.5;

/// With fewer patients no interval is a finding: redrawing a handful repeats their own few values,
/// and even when all of four differ in one direction a sign test gives p = 0.125 at best. Such
/// intervals are printed with their n and not put into words.
pub const PATIENTS_FOR_A_CLAIM: usize = 5;

/// Redraws of a cohort: each is a list of case indices. One set serves all statistics, so that
/// differences are paired.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    draws: Vec<Vec<usize>>,
    /// Which patient case `i` is of.
    patient: Vec<usize>,
}

impl Bootstrap {
    /// `count` redraws with replacement of the patients, to whom case `i` belongs by
    /// `patient_of[i]`.
    #[must_use]
    pub fn new(patient_of: &[String], count: usize, seed: u64) -> Self {
        let mut patients: Vec<&String> = patient_of.iter().collect();
        patients.sort();
        patients.dedup();
        let cases_of = |patient: &String| {
            (0..patient_of.len()).filter(|&i| patient_of[i] == *patient).collect::<Vec<_>>()
        };
        let cases: Vec<Vec<usize>> = patients.iter().map(|patient| cases_of(patient)).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = || {
            (0..cases.len()).flat_map(|_| cases[rng.random_range(0..cases.len())].clone()).collect()
        };
        // One patient varies with nobody: no interval.
        let count = if cases.len() < 2 { 0 } else { count };
        let patient =
            patient_of.iter().map(|of| patients.partition_point(|patient| *patient < of)).collect();
        Self { draws: (0..count).map(|_| draw()).collect(), patient }
    }

    /// How many patients the cases that have a value are of.
    #[must_use]
    pub fn patients(&self, has_value: impl Fn(usize) -> bool) -> usize {
        (0..self.patient.len())
            .filter(|&case| has_value(case))
            .map(|case| self.patient[case])
            .collect::<BTreeSet<usize>>()
            .len()
    }

    /// 95 % interval of a statistic of the drawn cases; redraws that give no value are left out.
    ///
    /// `None` without redraws, or when fewer than half of them give a value.
    pub fn interval(&self, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<[f64; 2]> {
        let mut values: Vec<f64> = self.draws.iter().filter_map(|cases| statistic(cases)).collect();
        if values.is_empty() || values.len() * 2 < self.draws.len() {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some([percentile(&values, TAIL_PERCENT)?, percentile(&values, 100.0 - TAIL_PERCENT)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patients(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn mean_of(values: &[f64]) -> impl Fn(&[usize]) -> Option<f64> {
        move |cases: &[usize]| {
            crate::statistics::mean(&cases.iter().map(|&i| values[i]).collect::<Vec<_>>())
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_approximation() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let names: Vec<String> = (0..400).map(|i| format!("p{i:03}")).collect();
        let [low, high] = Bootstrap::new(&names, 4000, 7).interval(mean_of(&values)).unwrap();
        // Standard deviation 5.766 / √400, times 1.96, around 9.5; 4000 redraws leave an error of
        // about 0.02.
        assert!((low - 8.935).abs() < 0.05 && (high - 10.065).abs() < 0.05, "{low} {high}");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let names = patients(&["a", "b", "c"]);
        assert_eq!(Bootstrap::new(&names, 50, 1).draws, Bootstrap::new(&names, 50, 1).draws);
        assert_ne!(Bootstrap::new(&names, 50, 1).draws, Bootstrap::new(&names, 50, 2).draws);
    }

    #[test]
    fn cases_of_a_patient_are_drawn_together() {
        let bootstrap = Bootstrap::new(&patients(&["a", "b", "a"]), 200, 3);
        for cases in &bootstrap.draws {
            let count = |case| cases.iter().filter(|i| **i == case).count();
            assert_eq!(count(0), count(2));
        }
    }

    #[test]
    fn two_patients_are_redrawn_as_wholes() {
        // Patient a has 0.5 and 0.1, b has 0.2: the redraws aa, ab, ba and bb have means 0.3,
        // 0.267, 0.267 and 0.2.
        let bootstrap = Bootstrap::new(&patients(&["a", "b", "a"]), 400, 5);
        let [low, high] = bootstrap.interval(mean_of(&[0.5, 0.2, 0.1])).unwrap();
        assert!((low - 0.2).abs() < 1e-12 && (high - 0.3).abs() < 1e-12, "{low} {high}");
        assert_eq!((bootstrap.patients(|_| true), bootstrap.patients(|case| case != 1)), (2, 1));
    }

    #[test]
    fn one_patient_has_no_interval() {
        assert_eq!(Bootstrap::new(&patients(&["a", "a"]), 100, 1).interval(|_| Some(1.0)), None);
        assert_eq!(Bootstrap::new(&patients(&["a", "b"]), 100, 1).interval(|_| None), None);
    }
}
