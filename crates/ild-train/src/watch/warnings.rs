//! What in the course of a run deserves a word, and what to do about it.

use std::collections::BTreeMap;

use ild_io::LabelTable;

use crate::watch::history::{EpochRecord, StepRecord};

/// A class drawn less often than this share of an equal share is hardly seen.
const HARDLY: f64 = 0.2;
/// More steps of an epoch than this with a clipped gradient, and clipping decides the step.
const MOSTLY: f64 = 0.5;
/// More of the time than this spent waiting for slices is worth another thread.
const WAITING: f64 = 0.2;
/// Without a better epoch for this share of the run (and at least [`PATIENCE`] epochs) something
/// is wrong.
const STALE: f64 = 0.3;
const PATIENCE: usize = 3;

/// The warnings, the most telling first. `steps` are those of the last epoch; `clip_norm` is 0 where
/// nothing is clipped.
#[must_use]
pub fn warnings(
    history: &[EpochRecord],
    steps: &[StepRecord],
    clip_norm: f64,
    table: &LabelTable,
) -> Vec<String> {
    let Some(last) = history.last() else { return Vec::new() };
    let mut out = Vec::new();
    out.extend(not_better(history));
    out.extend(not_segmented(last, table));
    out.extend(hardly_drawn(history, table));
    let clipped = steps.iter().filter(|step| step.gradient_norm > clip_norm).count();
    let share = clipped as f64 / steps.len().max(1) as f64;
    if clip_norm > 0.0 && share > MOSTLY {
        out.push(format!(
            "The gradient was longer than --clip-norm {clip_norm} in {:.0} % of the last epoch's steps: its length no longer counts. Lower --lr, or raise --clip-norm.",
            100.0 * share
        ));
    }
    if last.waiting_share > WAITING {
        out.push(format!(
            "{:.0} % of the time went by waiting for slices: raise --loader-threads, or put the npy folder on a faster disk.",
            100.0 * last.waiting_share
        ));
    }
    if last.validation.is_none() {
        out.push(
            "There are no validation slices: the best epoch is chosen by the training loss, which always falls."
                .to_owned(),
        );
    }
    out
}

/// The validation has stood still while the training loss went on falling.
fn not_better(history: &[EpochRecord]) -> Option<String> {
    let last = history.last().filter(|epoch| epoch.validation.is_some())?;
    let best = history.iter().rfind(|epoch| epoch.is_best)?;
    let since = last.epoch - best.epoch;
    let too_long = since >= PATIENCE && since as f64 >= STALE * history.len() as f64;
    (too_long && last.train.total() < best.train.total()).then(|| {
        format!(
            "Validation has not been better since epoch {} while the training loss fell from {:.3} to {:.3}: the model learns these slices by heart. \
             Stop earlier (--patience), vary the slices (--augment-flip, --augment-rotate …), or add patients; best.safetensors is of epoch {}.",
            best.epoch,
            best.train.total(),
            last.train.total(),
            best.epoch
        )
    })
}

/// Classes that the validation holds and no answer meets.
fn not_segmented(last: &EpochRecord, table: &LabelTable) -> Option<String> {
    let validation = last.validation.as_ref()?;
    let mean = validation.mean_dice().filter(|mean| *mean > 0.3)?;
    let lost = validation.dice_of_class.iter().filter(|(_, dice)| dice.mean() < 0.1);
    let names: Vec<String> = lost.map(|(&id, _)| table.name(id)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} is not segmented (Dice below 0.1 where the mean is {mean:.2}): look at its labels, or draw it more often (--draw class-balanced).",
            names.join(", ")
        )
    })
}

fn hardly_drawn(history: &[EpochRecord], table: &LabelTable) -> Option<String> {
    let mut drawn: BTreeMap<u8, usize> = BTreeMap::new();
    for (&id, &n) in history.iter().flat_map(|epoch| &epoch.drawn) {
        *drawn.entry(id).or_default() += n;
    }
    let equal = drawn.values().sum::<usize>() as f64 / drawn.len().max(1) as f64;
    let rare = drawn.iter().filter(|(_, n)| (**n as f64) < HARDLY * equal);
    let names: Vec<String> =
        rare.map(|(&id, n)| format!("{} ({n} times)", table.name(id))).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Hardly drawn: {}, where an equal share would be {equal:.0}. --draw class-balanced draws all classes alike.",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::history::{ClassDice, MeanLoss, Validation};

    fn epoch(number: usize, train: f32, is_best: bool, dice: [f64; 2]) -> EpochRecord {
        let mut loss = MeanLoss::default();
        loss.add(&[train], &[0.0]);
        let of = |value: f64| {
            let mut dice = ClassDice::default();
            dice.add(value);
            dice
        };
        EpochRecord {
            epoch: number,
            step: 10 * number as u64,
            lr: 1e-4,
            train: loss,
            train_head: None,
            validation: Some(Validation {
                loss,
                dice_of_class: [(1, of(dice[0])), (5, of(dice[1]))].into(),
                ..Validation::default()
            }),
            is_best,
            drawn: [(1, 50), (5, 50)].into(),
            seconds: 1.0,
            items_per_second: 1.0,
            waiting_share: 0.0,
        }
    }

    fn step(gradient_norm: f64) -> StepRecord {
        StepRecord { step: 1, epoch: 1, loss: 1.0, lr: 1e-4, gradient_norm }
    }

    fn said(history: &[EpochRecord], norms: &[f64]) -> Vec<String> {
        let steps: Vec<StepRecord> = norms.iter().map(|&norm| step(norm)).collect();
        warnings(history, &steps, 1.0, &LabelTable::default())
    }

    #[test]
    fn a_run_that_goes_well_is_not_commented() {
        let history: Vec<_> = (1..=6).map(|n| epoch(n, 1.0 / n as f32, true, [0.8, 0.9])).collect();
        assert_eq!(said(&history, &[0.4, 0.5, 2.0]), Vec::<String>::new());
        assert!(said(&[], &[]).is_empty());
    }

    #[test]
    fn each_trouble_has_its_sentence() {
        let mut history: Vec<_> =
            (1..=6).map(|n| epoch(n, 1.0 / n as f32, n == 2, [0.8, 0.05])).collect();
        for epoch in &mut history {
            epoch.drawn = [(1, 97), (5, 3)].into();
            epoch.waiting_share = 0.5;
        }
        let words = said(&history, &[3.0, 3.0, 0.1]);
        let expected = [
            "not been better since epoch 2",
            "Honeycombing is not segmented",
            "Honeycombing (18 times)",
            "67 % of the last epoch's steps",
            "50 % of the time",
        ];
        assert_eq!(words.len(), expected.len(), "{words:?}");
        for (sentence, part) in words.iter().zip(expected) {
            assert!(sentence.contains(part), "{sentence}");
        }
        history[5].validation = None;
        assert!(said(&history, &[]).iter().any(|text| text.contains("no validation slices")));
    }
}
