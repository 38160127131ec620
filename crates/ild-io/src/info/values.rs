//! Range of the voxels, and whether they are label ids.

use ndarray::ArrayView;
use rayon::prelude::*;
use serde::Serialize;

use crate::volume::Number;
use crate::volume::hounsfield::{AIR_HU, LUNG_HU};
use crate::{Voxels, with_voxels};

/// More different values than this are no labels.
const MOST_LABELS: usize = 64;
/// Ids from here on are not counted; label maps of other programs go to a few thousand.
const LARGEST_ID: usize = 4096;

/// Summary of values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ValueRange {
    /// Smallest finite value.
    pub min: f64,
    /// Largest finite value.
    pub max: f64,
    /// Mean of the finite values.
    pub mean: f64,
    /// How many are NaN or infinite.
    pub not_finite: u64,
    /// Share within −1100..−900.
    pub air_share: f64,
    /// Share within −950..−200.
    pub lung_share: f64,
    /// Share below −1100, where padding lies.
    pub below_air_share: f64,
}

/// One label id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelCount {
    /// The id.
    pub id: usize,
    /// Its name, when the file or one beside it says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Voxels with this id.
    pub voxels: u64,
    /// Their volume, when the spacing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_ml: Option<f64>,
}

/// Range of all voxels, and the ids if they look like labels: whole, not negative, few.
pub(super) fn of_voxels(voxels: &Voxels, voxel_ml: f64) -> (ValueRange, Option<Vec<LabelCount>>) {
    let tally = with_voxels!(voxels, array => Tally::of(array.view()));
    let labels = tally.labels().map(|counts| label_counts(counts, Some(voxel_ml)));
    (tally.range(), labels)
}

/// Voxels of each id as rows, not yet named.
pub(super) fn label_counts(
    counts: impl IntoIterator<Item = (usize, u64)>,
    voxel_ml: Option<f64>,
) -> Vec<LabelCount> {
    let row = |(id, voxels)| LabelCount {
        id,
        name: None,
        voxels,
        volume_ml: voxel_ml.map(|ml| ml * voxels as f64),
    };
    counts.into_iter().map(row).collect()
}

/// Counts of one part of the voxels; parts are added up.
pub(super) struct Tally {
    n: u64,
    min: f64,
    max: f64,
    sum: f64,
    not_finite: u64,
    air: u64,
    lung: u64,
    below_air: u64,
    /// Voxels per id; `None` once a value was no id.
    ids: Option<Vec<u64>>,
}

impl Tally {
    pub(super) fn of<T: Number + Sync, D: ndarray::Dimension>(values: ArrayView<T, D>) -> Self {
        let values = values.as_standard_layout();
        let parts = values.as_slice().unwrap_or_default().par_chunks(1 << 20);
        parts.map(Self::of_part).reduce(Self::empty, Self::plus)
    }

    fn empty() -> Self {
        let ids = Some(vec![0; LARGEST_ID]);
        Self {
            n: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            not_finite: 0,
            air: 0,
            lung: 0,
            below_air: 0,
            ids,
        }
    }

    fn of_part<T: Number>(values: &[T]) -> Self {
        let mut tally = Self::empty();
        tally.n = values.len() as u64;
        for value in values.iter().map(|v| v.as_f64()) {
            if !value.is_finite() {
                tally.not_finite += 1;
                continue;
            }
            tally.min = tally.min.min(value);
            tally.max = tally.max.max(value);
            tally.sum += value;
            tally.air += u64::from(AIR_HU.contains(&value));
            tally.lung += u64::from(LUNG_HU.contains(&value));
            tally.below_air += u64::from(value < *AIR_HU.start());
        }
        tally.count_ids(values);
        tally
    }

    fn count_ids<T: Number>(&mut self, values: &[T]) {
        let Some(ids) = &mut self.ids else { return };
        for value in values.iter().map(|v| v.as_f64()) {
            if !(value >= 0.0 && value < LARGEST_ID as f64 && value.fract() == 0.0) {
                self.ids = None;
                return;
            }
            ids[value as usize] += 1;
        }
    }

    fn plus(mut self, other: Self) -> Self {
        self.n += other.n;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.not_finite += other.not_finite;
        self.air += other.air;
        self.lung += other.lung;
        self.below_air += other.below_air;
        self.ids = self.ids.zip(other.ids).map(|(mut a, b)| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        });
        self
    }

    pub(super) fn range(&self) -> ValueRange {
        let share = |count: u64| count as f64 / self.n.max(1) as f64;
        let finite = self.n - self.not_finite;
        let known = |value: f64| if finite > 0 { value } else { 0.0 };
        ValueRange {
            min: known(self.min),
            max: known(self.max),
            mean: known(self.sum / finite.max(1) as f64),
            not_finite: self.not_finite,
            air_share: share(self.air),
            lung_share: share(self.lung),
            below_air_share: share(self.below_air),
        }
    }

    /// Ids above 0 with their counts, if there are few different values.
    pub(super) fn labels(&self) -> Option<Vec<(usize, u64)>> {
        let ids = self.ids.as_ref()?;
        let present: Vec<(usize, u64)> =
            ids.iter().copied().enumerate().skip(1).filter(|(_, n)| *n > 0).collect();
        (present.len() <= MOST_LABELS).then_some(present)
    }
}
