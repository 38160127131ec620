//! Who has what: classes of disease by patient.

use crate::draws::Draws;

/// Number of classes of the default label table, and of patients in a block.
pub(crate) const CLASSES: usize = 5;
/// How many classes the patients of a block have: 1.8 on average, so each class occurs in 36 % of
/// patients.
const COUNTS: [usize; CLASSES] = [1, 1, 2, 2, 3];
/// Stream of draws for cohort matters; patients use their own number.
const COHORT_STREAM: u64 = u64::MAX;

/// Label ids of the disease of patient `index`, lowest zone first.
///
/// Patients come in blocks of five in which every class occurs once or twice: in 20 to 40 % of
/// patients by construction, not by luck, and independent of how many patients there are.
pub(crate) fn classes(seed: u64, index: usize) -> Vec<u8> {
    let mut draws = Draws::new(seed, COHORT_STREAM - (index / CLASSES) as u64);
    let mut permutation = || {
        let mut ids: Vec<u8> = (1..=CLASSES as u8).collect();
        draws.shuffle(&mut ids);
        ids
    };
    let (first, mut deck) = (permutation(), permutation());
    let mut counts = COUNTS;
    draws.shuffle(&mut counts);
    let mut own = Vec::new();
    for (&class, count) in first.iter().zip(counts).take(index % CLASSES + 1) {
        own = vec![class];
        while own.len() < count {
            // Four of the five cards are dealt in all, so one that the patient does not hold is
            // always left.
            let card = deck.iter().position(|card| !own.contains(card)).unwrap_or(0);
            own.push(deck.remove(card));
        }
    }
    draws.shuffle(&mut own);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_occurs_in_20_to_50_percent_of_patients() {
        for seed in 0..50 {
            for cases in [10, 20, 30, 95] {
                for class in 1..=CLASSES as u8 {
                    let with =
                        (0..cases).filter(|&index| classes(seed, index).contains(&class)).count();
                    let share = with as f64 / cases as f64;
                    assert!(
                        (0.2..=0.5).contains(&share),
                        "seed {seed}, {cases} cases, class {class}: {share}"
                    );
                }
            }
        }
    }

    #[test]
    fn nobody_has_a_class_twice_and_a_larger_cohort_starts_with_the_smaller_one() {
        for index in 0..100 {
            let mut own = classes(5, index);
            let count = own.len();
            own.sort_unstable();
            own.dedup();
            assert!(own.len() == count && (1..=3).contains(&count));
        }
    }
}
