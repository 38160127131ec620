//! A part of the patients such that who is in a smaller part is in every larger one, and every part
//! has the labels in about the shares of all.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::cohort::split::Candidate;

/// The cases of this share (0 to 1) of the patients.
///
/// Patients with and without labels are taken apart, the same share of each and of those with labels
/// one at least. They are lined up once by `seed`: at every place stands the patient with whom the
/// line so far holds each label about as often as all patients do. A share is a beginning of the line.
#[must_use]
pub fn cases_of_share(candidates: &[Candidate], share: f64, seed: u64) -> BTreeSet<String> {
    let mut patients: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for candidate in candidates {
        patients.entry(&candidate.patient).or_default().extend(&candidate.labels);
    }
    let (ill, free): (Vec<_>, Vec<_>) =
        patients.into_iter().partition(|(_, labels)| !labels.is_empty());
    let count = |n: usize| (share * n as f64).round() as usize;
    let least = usize::from(!ill.is_empty());
    let (of_ill, of_free) = (count(ill.len()).max(least), count(free.len()));
    let mut chosen: BTreeSet<&str> = in_line(ill, seed).into_iter().take(of_ill).collect();
    chosen.extend(in_line(free, seed).into_iter().take(of_free));
    let theirs = candidates.iter().filter(|case| chosen.contains(case.patient.as_str()));
    theirs.map(|case| case.case.clone()).collect()
}

fn in_line(mut left: Vec<(&str, BTreeSet<u8>)>, seed: u64) -> Vec<&str> {
    left.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let n = left.len() as f64;
    let mut share: BTreeMap<u8, f64> = BTreeMap::new();
    for (_, labels) in &left {
        labels.iter().for_each(|&label| *share.entry(label).or_default() += 1.0 / n);
    }
    let mut held: BTreeMap<u8, f64> = share.keys().map(|&label| (label, 0.0)).collect();
    let mut line = Vec::new();
    while !left.is_empty() {
        let wish = line.len() as f64 + 1.0;
        let off = |labels: &BTreeSet<u8>| -> f64 {
            let with = |label: &u8| held[label] + f64::from(u8::from(labels.contains(label)));
            share.iter().map(|(label, share)| (with(label) - wish * share).powi(2)).sum()
        };
        let best = (0..left.len()).min_by(|&a, &b| off(&left[a].1).total_cmp(&off(&left[b].1)));
        let (patient, labels) = left.remove(best.unwrap_or(0));
        labels.iter().for_each(|label| *held.entry(*label).or_default() += 1.0);
        line.push(patient);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 patients with one label of four each, two scans of the first, and 4 without any.
    fn cohort() -> Vec<Candidate> {
        let patient = |i: usize, scan: usize| Candidate {
            case: format!("c{i:02}{scan}"),
            patient: format!("p{i:02}"),
            labels: if i < 16 { [(i % 4) as u8 + 1].into() } else { BTreeSet::new() },
        };
        (0..20).map(|i| patient(i, 0)).chain([patient(0, 1)]).collect()
    }

    #[test]
    fn a_smaller_part_is_in_every_larger_one_and_all_is_all() {
        let cohort = cohort();
        for seed in 0..5 {
            let parts = [0.25, 0.5, 0.75, 1.0].map(|share| cases_of_share(&cohort, share, seed));
            assert!(parts.windows(2).all(|two| two[0].is_subset(&two[1]) && two[0] != two[1]));
            assert_eq!(parts[3].len(), cohort.len());
            assert_eq!(parts[0].contains("c000"), parts[0].contains("c001"), "one patient");
        }
    }

    #[test]
    fn every_part_has_the_labels_in_the_shares_of_all() {
        let cohort = cohort();
        let labels = |part: &BTreeSet<String>| {
            let mut count = [0; 5];
            let patients: BTreeMap<&str, &Candidate> = cohort
                .iter()
                .filter(|case| part.contains(&case.case))
                .map(|case| (case.patient.as_str(), case))
                .collect();
            patients.values().for_each(|case| {
                count[usize::from(case.labels.first().copied().unwrap_or(0))] += 1;
            });
            count
        };
        for seed in 0..5 {
            assert_eq!(labels(&cases_of_share(&cohort, 0.25, seed)), [1, 1, 1, 1, 1]);
            assert_eq!(labels(&cases_of_share(&cohort, 0.5, seed)), [2, 2, 2, 2, 2]);
        }
        assert_ne!(cases_of_share(&cohort, 0.25, 1), cases_of_share(&cohort, 0.25, 2));
        assert_eq!(cases_of_share(&cohort, 0.01, 1).len() % 2, 1, "one patient with labels stays");
    }
}
