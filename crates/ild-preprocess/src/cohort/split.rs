//! Who is trained on, who chooses the checkpoint, who is the exam: by patient, never by slice.
//!
//! The draw is seeded and does not depend on the order of the files. It spreads the labels: for
//! each label, rarest first, every part that has none yet gets the patient with that label who
//! brings most labels the part still lacks; the other patients fill up the parts at random. That is
//! done for a few shuffles and the first best spread is taken. A label that fewer patients have
//! than there are parts goes to training first, then to test, then to validation.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The weights are fitted to it.
    Train,
    /// The checkpoint is chosen by it.
    Valid,
    /// Only measured.
    Test,
}

impl Part {
    /// In the order of [`Part`]s in ratios and tables.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// `train`, `valid`, `test`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// `npz_train` and so on.
    #[must_use]
    pub fn npz_folder(self) -> String {
        format!("npz_{}", self.name())
    }
}

/// What the patients of a fold are for in each run of a cross-validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FoldUse {
    /// Run `k` chooses its checkpoint by fold `k` and tests nothing, as nnU-Net does.
    #[default]
    Validate,
    /// Run `k` only measures fold `k`, and chooses its checkpoint by the next fold: nobody is
    /// measured by weights that were chosen on them.
    Test,
}

impl FoldUse {
    /// Part of the patients of `fold` in run `run` of `folds`.
    #[must_use]
    pub fn part(self, fold: usize, run: usize, folds: usize) -> Part {
        match self {
            Self::Validate if fold == run => Part::Valid,
            Self::Test if fold == run => Part::Test,
            Self::Test if fold == (run + 1) % folds => Part::Valid,
            _ => Part::Train,
        }
    }
}

/// A case as the split sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name.
    pub case: String,
    /// Whose scan it is; the cases of one patient stay together.
    pub patient: String,
    /// Label ids it holds.
    pub labels: BTreeSet<u8>,
}

/// How many shuffles compete.
const SHUFFLES: usize = 32;

/// Case → part, in about the shares `ratios` (train, valid, test) of the patients.
///
/// A part whose ratio is above zero gets one patient at least, as long as there are enough
/// patients. A patient of whom a case is in `kept` stays there, with all cases.
#[must_use]
pub fn draw(
    candidates: &[Candidate],
    ratios: [f64; 3],
    seed: u64,
    kept: &BTreeMap<String, Part>,
) -> BTreeMap<String, Part> {
    let patients = Patients::new(candidates, |case| kept.get(case).map(|&part| part as usize));
    let capacity = capacities(patients.labels.len(), &ratios);
    let part_of = patients.assign(&capacity, &[0, 2, 1], seed);
    patients.cases_of(candidates, &part_of, |part| Part::ALL[part])
}

/// Case → the one of `folds` folds in which it is validated; `kept` as in [`draw`].
#[must_use]
pub fn draw_folds(
    candidates: &[Candidate],
    folds: usize,
    seed: u64,
    kept: &BTreeMap<String, usize>,
) -> BTreeMap<String, usize> {
    let patients = Patients::new(candidates, |case| kept.get(case).copied());
    let capacity = capacities(patients.labels.len(), &vec![1.0; folds]);
    let order: Vec<usize> = (0..folds).collect();
    let fold_of = patients.assign(&capacity, &order, seed);
    patients.cases_of(candidates, &fold_of, |fold| fold)
}

/// How many of `n` patients each part gets: largest remainders, then at least one wherever a ratio
/// is above zero.
fn capacities(n: usize, ratios: &[f64]) -> Vec<usize> {
    let sum: f64 = ratios.iter().sum();
    let exact: Vec<f64> = ratios.iter().map(|ratio| ratio / sum * n as f64).collect();
    let mut capacity: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..ratios.len()).filter(|&i| ratios[i] > 0.0).collect();
    by_remainder
        .sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())));
    let missing = n - capacity.iter().sum::<usize>();
    for &i in by_remainder.iter().cycle().take(missing) {
        capacity[i] += 1;
    }
    for i in 0..ratios.len() {
        let largest = (0..ratios.len()).rev().max_by_key(|&j| capacity[j]).unwrap_or(i);
        if ratios[i] > 0.0 && capacity[i] == 0 && capacity[largest] > 1 {
            capacity[largest] -= 1;
            capacity[i] += 1;
        }
    }
    capacity
}

/// The patients, sorted by name.
struct Patients {
    /// Name and labels.
    labels: Vec<(String, BTreeSet<u8>)>,
    /// Where a patient is already.
    kept: Vec<Option<usize>>,
}

impl Patients {
    fn new(candidates: &[Candidate], kept: impl Fn(&str) -> Option<usize>) -> Self {
        let mut patients: BTreeMap<&str, (BTreeSet<u8>, Option<usize>)> = BTreeMap::new();
        for candidate in candidates {
            let (labels, place) = patients.entry(&candidate.patient).or_default();
            labels.extend(&candidate.labels);
            *place = place.or_else(|| kept(&candidate.case));
        }
        let (labels, kept) = patients
            .into_iter()
            .map(|(patient, (labels, place))| ((patient.to_owned(), labels), place))
            .unzip();
        Self { labels, kept }
    }

    /// Part of each patient; the best of [`SHUFFLES`] tries.
    fn assign(&self, capacity: &[usize], part_order: &[usize], seed: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        let mut best: Option<(usize, Vec<usize>)> = None;
        for _ in 0..SHUFFLES {
            order.shuffle(&mut rng);
            let parts = self.assign_once(&order, capacity, part_order);
            let spread = self.labels_in(&parts, capacity.len()).iter().map(BTreeSet::len).sum();
            if best.as_ref().is_none_or(|(most, _)| spread > *most) {
                best = Some((spread, parts));
            }
        }
        best.map(|(_, parts)| parts).unwrap_or_default()
    }

    fn assign_once(&self, order: &[usize], capacity: &[usize], part_order: &[usize]) -> Vec<usize> {
        let mut left = capacity.to_vec();
        let mut part_of = self.kept.clone();
        let mut held = vec![BTreeSet::new(); capacity.len()];
        for ((_, labels), part) in self.labels.iter().zip(&self.kept) {
            let Some(part) = *part else { continue };
            left[part] = left[part].saturating_sub(1);
            held[part].extend(labels);
        }
        for label in self.rarest_first() {
            for &part in part_order {
                if left[part] == 0 || held[part].contains(&label) {
                    continue;
                }
                let free = order
                    .iter()
                    .copied()
                    .filter(|&p| part_of[p].is_none() && self.labels[p].1.contains(&label));
                // `max_by_key` takes the last of equals; reversed, that is the first of the
                // shuffle.
                let brings = |&p: &usize| self.labels[p].1.difference(&held[part]).count();
                let Some(patient) = free.collect::<Vec<_>>().into_iter().rev().max_by_key(brings)
                else {
                    break;
                };
                part_of[patient] = Some(part);
                left[part] -= 1;
                held[part].extend(&self.labels[patient].1);
            }
        }
        let mut places = (0..capacity.len()).flat_map(|part| std::iter::repeat_n(part, left[part]));
        for &patient in order {
            if part_of[patient].is_none() {
                part_of[patient] = places.next();
            }
        }
        part_of.into_iter().map(Option::unwrap_or_default).collect()
    }

    fn rarest_first(&self) -> Vec<u8> {
        let mut patients_with: BTreeMap<u8, usize> = BTreeMap::new();
        for label in self.labels.iter().flat_map(|(_, labels)| labels) {
            *patients_with.entry(*label).or_default() += 1;
        }
        let mut labels: Vec<u8> = patients_with.keys().copied().collect();
        labels.sort_by_key(|label| patients_with[label]);
        labels
    }

    fn labels_in(&self, part_of: &[usize], parts: usize) -> Vec<BTreeSet<u8>> {
        let mut held = vec![BTreeSet::new(); parts];
        for ((_, labels), &part) in self.labels.iter().zip(part_of) {
            held[part].extend(labels);
        }
        held
    }

    fn cases_of<T>(
        &self,
        candidates: &[Candidate],
        part_of: &[usize],
        name: impl Fn(usize) -> T,
    ) -> BTreeMap<String, T> {
        let of_patient: BTreeMap<&str, usize> = self
            .labels
            .iter()
            .map(|(patient, _)| patient.as_str())
            .zip(part_of.iter().copied())
            .collect();
        candidates
            .iter()
            .map(|candidate| (candidate.case.clone(), name(of_patient[candidate.patient.as_str()])))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(labels: &[&[u8]]) -> Vec<Candidate> {
        let one = |(i, ids): (usize, &&[u8])| Candidate {
            case: format!("case{i:02}"),
            patient: format!("case{i:02}"),
            labels: ids.iter().copied().collect(),
        };
        labels.iter().enumerate().map(one).collect()
    }

    fn sizes(split: &BTreeMap<String, Part>) -> [usize; 3] {
        Part::ALL.map(|part| split.values().filter(|&&p| p == part).count())
    }

    #[test]
    fn small_cohorts_still_fill_every_part() {
        assert_eq!(capacities(10, &[70.0, 10.0, 20.0]), [7, 1, 2]);
        assert_eq!(capacities(3, &[70.0, 10.0, 20.0]), [1, 1, 1]);
        assert_eq!(capacities(2, &[70.0, 10.0, 20.0]).iter().sum::<usize>(), 2);
        assert_eq!(capacities(1, &[70.0, 10.0, 20.0]), [1, 0, 0]);
        assert_eq!(capacities(7, &[80.0, 20.0, 0.0]), [6, 1, 0]);
    }

    #[test]
    fn the_seed_decides_and_the_order_of_the_files_does_not() {
        let mut cases = cohort(&[&[1][..]; 40]);
        let split = draw(&cases, [70.0, 10.0, 20.0], 7, &BTreeMap::new());
        assert_eq!(sizes(&split), [28, 4, 8]);
        cases.reverse();
        assert_eq!(draw(&cases, [70.0, 10.0, 20.0], 7, &BTreeMap::new()), split);
        assert_ne!(draw(&cases, [70.0, 10.0, 20.0], 8, &BTreeMap::new()), split);
    }

    #[test]
    fn a_rare_label_reaches_every_part_when_three_patients_have_it() {
        let mut labels = vec![&[1u8, 2][..]; 27];
        labels.extend([&[1u8, 5][..]; 3]);
        for seed in 0..50 {
            let cases = cohort(&labels);
            let split = draw(&cases, [70.0, 10.0, 20.0], seed, &BTreeMap::new());
            for part in Part::ALL {
                let rare = cases
                    .iter()
                    .filter(|case| case.labels.contains(&5) && split[&case.case] == part)
                    .count();
                assert_eq!(rare, 1, "seed {seed}, {}", part.name());
            }
            assert_eq!(sizes(&split), [21, 3, 6]);
        }
    }

    #[test]
    fn scans_of_one_patient_stay_together() {
        let mut cases = cohort(&[&[1][..]; 20]);
        for (i, case) in cases.iter_mut().enumerate() {
            case.patient = format!("patient{}", i / 2);
        }
        let split = draw(&cases, [50.0, 20.0, 30.0], 1, &BTreeMap::new());
        for pair in cases.chunks(2) {
            assert_eq!(split[&pair[0].case], split[&pair[1].case]);
        }
    }

    #[test]
    fn what_is_decided_stays_when_labels_change_and_scans_arrive() {
        let mut labels = [&[1u8][..], &[2][..], &[3][..]].repeat(7);
        let ratios = [70.0, 10.0, 20.0];
        let first = draw(&cohort(&labels[..20]), ratios, 7, &BTreeMap::new());
        labels[7] = &[1, 2];
        let second = draw(&cohort(&labels), ratios, 7, &first);
        assert!(first.iter().all(|(case, part)| second[case] == *part));
        assert_eq!(second.len(), 21);
        let folds = draw_folds(&cohort(&labels[..20]), 5, 7, &BTreeMap::new());
        let more = draw_folds(&cohort(&labels), 5, 7, &folds);
        assert!(folds.iter().all(|(case, fold)| more[case] == *fold));
    }

    #[test]
    fn a_new_scan_of_a_known_patient_goes_where_the_patient_is() {
        let mut cases = cohort(&[&[1][..]; 20]);
        let first = draw(&cases, [50.0, 20.0, 30.0], 1, &BTreeMap::new());
        cases.extend(
            cases
                .clone()
                .into_iter()
                .map(|case| Candidate { case: format!("{}_again", case.case), ..case }),
        );
        let second = draw(&cases, [50.0, 20.0, 30.0], 1, &first);
        assert!(first.iter().all(|(case, part)| second[&format!("{case}_again")] == *part));
    }

    #[test]
    fn each_case_is_validated_in_one_fold() {
        let folds = draw_folds(&cohort(&[&[1][..]; 11]), 5, 3, &BTreeMap::new());
        let counts: Vec<usize> =
            (0..5).map(|fold| folds.values().filter(|&&f| f == fold).count()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 11);
        assert!(counts.iter().all(|&n| n == 2 || n == 3), "{counts:?}");
    }
}
