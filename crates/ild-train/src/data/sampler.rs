//! Which slice comes when.

use std::collections::BTreeMap;

use clap::ValueEnum;
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::random::{Purpose, stream};

/// How the slices of an epoch are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrawOrder {
    /// Every slice once, in a new seeded order each epoch.
    #[default]
    Shuffled,
    /// Every slice once, by name: the reference's order.
    ByName,
    /// As many draws as there are slices: first a class, all alike, then a slice that holds it.
    ClassBalanced,
}

/// One item of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Index of the slice in the dataset.
    pub slice: usize,
    /// The label to segment; `None` lets the item draw among those present.
    pub label: Option<u8>,
}

/// The items of `epoch`, the same for the same seed; `labels_present[i]` are the label ids on slice
/// `i`.
#[must_use]
pub fn draws_of_epoch(
    labels_present: &[&[u8]],
    order: DrawOrder,
    seed: u64,
    epoch: usize,
) -> Vec<Draw> {
    let n = labels_present.len();
    let mut rng = stream(seed, Purpose::Order, epoch, 0);
    match order {
        DrawOrder::ByName => (0..n).map(|slice| Draw { slice, label: None }).collect(),
        DrawOrder::Shuffled => {
            let mut slices: Vec<usize> = (0..n).collect();
            slices.shuffle(&mut rng);
            slices.into_iter().map(|slice| Draw { slice, label: None }).collect()
        }
        DrawOrder::ClassBalanced => {
            let classes: Vec<(u8, Vec<usize>)> =
                slices_of_class(labels_present).into_iter().collect();
            let one = |_| {
                let (label, slices) = &classes[rng.random_range(0..classes.len())];
                Draw { slice: slices[rng.random_range(0..slices.len())], label: Some(*label) }
            };
            if classes.is_empty() { Vec::new() } else { (0..n).map(one).collect() }
        }
    }
}

/// Label id → slices that hold it.
#[must_use]
pub fn slices_of_class(labels_present: &[&[u8]]) -> BTreeMap<u8, Vec<usize>> {
    let mut classes: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (slice, labels) in labels_present.iter().enumerate() {
        for &label in *labels {
            classes.entry(label).or_default().push(slice);
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&[u8]; 6] = [&[1], &[1], &[1], &[1], &[1, 2], &[5]];

    #[test]
    fn a_shuffled_epoch_holds_every_slice_once_and_differs_from_the_next() {
        let first = draws_of_epoch(&LABELS, DrawOrder::Shuffled, 3, 0);
        let mut slices: Vec<usize> = first.iter().map(|draw| draw.slice).collect();
        assert_eq!(first, draws_of_epoch(&LABELS, DrawOrder::Shuffled, 3, 0));
        assert!(
            (1..20).any(|epoch| first != draws_of_epoch(&LABELS, DrawOrder::Shuffled, 3, epoch))
        );
        slices.sort_unstable();
        assert_eq!(slices, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_balanced_draw_shows_rare_classes_as_often_as_common_ones() {
        const EPOCHS: usize = 500; // 3000 draws: three standard deviations of a class's share are 0.026
        let mut seen: BTreeMap<u8, f64> = BTreeMap::new();
        for epoch in 0..EPOCHS {
            for draw in draws_of_epoch(&LABELS, DrawOrder::ClassBalanced, 1, epoch) {
                let label = draw.label.unwrap();
                assert!(LABELS[draw.slice].contains(&label));
                *seen.entry(label).or_default() += 1.0 / (EPOCHS * LABELS.len()) as f64;
            }
        }
        assert_eq!(seen.len(), 3);
        assert!(seen.values().all(|share| (share - 1.0 / 3.0).abs() < 0.03), "{seen:?}");
    }
}
