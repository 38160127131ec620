//! Which class was taken for which.

use std::collections::BTreeMap;

use serde::Serialize;

/// Volume that is `reference` in the ground truth and `predicted` in the prediction; id 0 is no
/// lesion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TakenFor {
    /// Label id in the ground truth.
    pub reference: u8,
    /// Label id in the prediction.
    pub predicted: u8,
    /// mL.
    pub ml: f64,
}

/// The volumes of several cases added up, by label ids.
#[must_use]
pub fn added_up<'a>(parts: impl IntoIterator<Item = &'a TakenFor>) -> Vec<TakenFor> {
    let mut sums: BTreeMap<(u8, u8), f64> = BTreeMap::new();
    for part in parts {
        *sums.entry((part.reference, part.predicted)).or_default() += part.ml;
    }
    sums.into_iter()
        .map(|((reference, predicted), ml)| TakenFor { reference, predicted, ml })
        .collect()
}
