//! Losses of the lesion head, and how well it segments slices without a prompt.

use std::collections::BTreeMap;

use ild_model::LesionProbabilities;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::optimiser::dense_loss::DenseLoss;
use crate::peers::Peers;
use crate::run::exact;

/// Mean losses of the head over some slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadLoss {
    #[serde(with = "exact")]
    total_sum: f64,
    #[serde(with = "exact")]
    lesion_sum: f64,
    #[serde(with = "exact")]
    class_sum: f64,
    #[serde(with = "exact")]
    present_sum: f64,
    /// Number of slices.
    pub slices: usize,
}

impl HeadLoss {
    /// Adds the loss of a batch of `slices` slices.
    ///
    /// # Errors
    /// When a loss is no f32.
    pub fn add(&mut self, loss: &DenseLoss, slices: usize) -> candle_core::Result<()> {
        let of = |t: &candle_core::Tensor| -> candle_core::Result<f64> {
            Ok(f64::from(t.to_scalar::<f32>()?) * slices as f64)
        };
        self.total_sum += of(&loss.total)?;
        self.lesion_sum += of(&loss.lesion)?;
        self.class_sum += of(&loss.class)?;
        self.present_sum += of(&loss.present)?;
        self.slices += slices;
        Ok(())
    }

    /// Adds the slices of another mean.
    pub fn merge(&mut self, other: Self) {
        self.total_sum += other.total_sum;
        self.lesion_sum += other.lesion_sum;
        self.class_sum += other.class_sum;
        self.present_sum += other.present_sum;
        self.slices += other.slices;
    }

    pub(crate) fn sum_over(&mut self, peers: &dyn Peers) {
        let mut sums =
            [self.total_sum, self.lesion_sum, self.class_sum, self.present_sum, self.slices as f64];
        peers.sum_f64(&mut sums);
        let [total_sum, lesion_sum, class_sum, present_sum, slices] = sums;
        *self = Self { total_sum, lesion_sum, class_sum, present_sum, slices: slices as usize };
    }

    /// Mean loss; 0 without slices.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.total_sum / self.slices.max(1) as f64
    }

    /// Mean loss of where, of which class, and of whether at all.
    #[must_use]
    pub fn parts(&self) -> [f64; 3] {
        [self.lesion_sum, self.class_sum, self.present_sum]
            .map(|sum| sum / self.slices.max(1) as f64)
    }
}

/// Pixels that two masks share and hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// In both.
    pub both: u64,
    /// In the prediction.
    pub predicted: u64,
    /// In the truth.
    pub truth: u64,
}

impl Overlap {
    fn add(&mut self, predicted: bool, truth: bool) {
        self.both += u64::from(predicted && truth);
        self.predicted += u64::from(predicted);
        self.truth += u64::from(truth);
    }

    /// `2·both / (predicted + truth)`; `None` where both are empty.
    #[must_use]
    pub fn dice(&self) -> Option<f64> {
        let all = self.predicted + self.truth;
        (all > 0).then(|| 2.0 * self.both as f64 / all as f64)
    }
}

/// What the head found on slices that nobody prompted. Pixels of all slices are counted together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadScore {
    /// Losses.
    pub loss: HeadLoss,
    /// Label id → pixels, `S·p > 0.5` and the most probable class.
    pub of_class: BTreeMap<u8, Overlap>,
    /// Pixels of any class.
    pub any: Overlap,
    /// Pixels found on slices declared free of disease.
    pub on_healthy: u64,
}

impl HeadScore {
    /// Adds a slice; `known` is 0 where nobody knows the truth.
    ///
    /// # Errors
    /// None at present.
    pub fn add(
        &mut self,
        found: &LesionProbabilities,
        classes: &[u8],
        labels: &Array2<u8>,
        known: Option<&Array2<u8>>,
    ) -> Result<()> {
        let chosen = found.classes_above(0.5);
        let healthy = labels.iter().all(|&id| id == 0);
        for (place, &truth) in labels.indexed_iter() {
            if known.is_some_and(|known| known[place] == 0) {
                continue;
            }
            let predicted = chosen[place].map(|c| classes[c]);
            self.any.add(predicted.is_some(), truth != 0);
            self.on_healthy += u64::from(healthy && predicted.is_some());
            for id in predicted
                .into_iter()
                .chain((truth != 0 && Some(truth) != predicted).then_some(truth))
            {
                self.of_class.entry(id).or_default().add(predicted == Some(id), truth == id);
            }
        }
        Ok(())
    }

    pub(crate) fn sum_over(&mut self, peers: &dyn Peers) {
        self.loss.sum_over(peers);
        let mut sums = vec![0.0; 4 * 256];
        let put = |sums: &mut Vec<f64>, i: usize, o: &Overlap| {
            sums[3 * i] = o.both as f64;
            sums[3 * i + 1] = o.predicted as f64;
            sums[3 * i + 2] = o.truth as f64;
        };
        self.of_class.iter().for_each(|(id, o)| put(&mut sums, usize::from(*id), o));
        put(&mut sums, 0, &self.any); // label 0 is background and has no entry of its own
        sums[3 * 256] = self.on_healthy as f64;
        peers.sum_f64(&mut sums);
        let at = |i: usize| Overlap {
            both: sums[3 * i] as u64,
            predicted: sums[3 * i + 1] as u64,
            truth: sums[3 * i + 2] as u64,
        };
        self.any = at(0);
        let ids = (1..=u8::MAX).map(|id| (id, at(usize::from(id))));
        self.of_class = ids.filter(|(_, o)| o.predicted + o.truth > 0).collect();
        self.on_healthy = sums[3 * 256] as u64;
    }

    /// Mean over the classes that are there or were found of their Dice.
    #[must_use]
    pub fn mean_dice(&self) -> Option<f64> {
        let dice: Vec<f64> = self.of_class.values().filter_map(Overlap::dice).collect();
        (!dice.is_empty()).then(|| dice.iter().sum::<f64>() / dice.len() as f64)
    }
}
