//! From an epoch's draws to prepared items, on loader threads.

use std::sync::Arc;

use rand::Rng;
use rand::seq::SliceRandom;

use crate::data::augment::Augmentation;
use crate::data::dataset::{Sample, SliceDataset};
use crate::data::loader::Loader;
use crate::data::prompts::Questions;
use crate::data::sampler::{Draw, DrawOrder, draws_of_epoch};
use crate::error::Result;
use crate::random::{Purpose, stream};

/// Slices with a label for each slice declared free of disease in an epoch.
const LABELLED_PER_HEALTHY: usize = 4;

/// What is asked about a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// One box around everything of one label: the reference's items.
    OneLabel,
    /// So many questions about lesions, classes and nothing; slices declared free of disease among
    /// the others.
    Mixed(usize),
}

/// How items are made.
#[derive(Clone, Copy, Debug)]
pub struct ItemSettings {
    /// What is asked.
    pub asking: Asking,
    /// Input size of the model, pixels.
    pub image_size: usize,
    /// Largest outward move of a box side, pixels of the label.
    pub bbox_shift: usize,
    /// Image augmentation.
    pub augmentation: Augmentation,
    /// Seed of the run.
    pub seed: u64,
    /// Threads that prepare items.
    pub threads: usize,
    /// Slices of a clip; 1 is a slice alone.
    pub clip_slices: usize,
}

impl ItemSettings {
    /// The items at `positions` of `draws`; item `i` of an epoch gets the random numbers of `(seed,
    /// epoch, i)`, whichever thread or process makes it.
    #[must_use]
    pub fn load(
        &self,
        data: &Arc<SliceDataset>,
        draws: Vec<Draw>,
        positions: Vec<usize>,
        purpose: Purpose,
        epoch: usize,
    ) -> Loader<Result<Sample>> {
        let (data, settings) = (Arc::clone(data), *self);
        Loader::start(positions.len(), self.threads, move |i| {
            let position = positions[i];
            let mut rng = stream(settings.seed, purpose, epoch, position);
            settings.item(&data, draws[position], purpose, &mut rng)
        })
    }

    fn item(
        &self,
        data: &SliceDataset,
        Draw { slice, label }: Draw,
        purpose: Purpose,
        rng: &mut impl Rng,
    ) -> Result<Sample> {
        match self.asking {
            Asking::OneLabel => {
                let item = data.draw(slice, label, self.bbox_shift, &self.augmentation, rng);
                data.sample(slice, &item, self.image_size)
            }
            Asking::Mixed(count) => {
                let questions = Questions {
                    count,
                    bbox_shift: self.bbox_shift,
                    image_size: self.image_size,
                    ignored: data.ignored(),
                };
                let (warp, validates) =
                    (self.augmentation.draw(rng), purpose == Purpose::Validation);
                let mut sample = data.asked(slice, &questions, &warp, validates, rng)?;
                if self.clip_slices > 1 && !validates {
                    data.follow(&mut sample, slice, self.clip_slices, self.image_size, rng)?;
                }
                Ok(sample)
            }
        }
    }

    /// The draws of an epoch.
    #[must_use]
    pub fn draws(&self, data: &SliceDataset, order: DrawOrder, epoch: usize) -> Vec<Draw> {
        let mut draws = draws_of_epoch(&data.labels_present(), order, self.seed, epoch);
        let healthy = self.healthy_draws(data);
        if healthy > 0 {
            let mut rng = stream(self.seed, Purpose::Healthy, epoch, 0);
            let first = data.slices().len();
            let mut indices: Vec<usize> = (first..first + data.healthy().len()).collect();
            indices.shuffle(&mut rng);
            for slice in indices.into_iter().take(healthy) {
                draws.insert(rng.random_range(0..=draws.len()), Draw { slice, label: None });
            }
        }
        draws
    }

    /// How many items an epoch has.
    #[must_use]
    pub fn per_epoch(&self, data: &SliceDataset) -> usize {
        data.slices().len() + self.healthy_draws(data)
    }

    fn healthy_draws(&self, data: &SliceDataset) -> usize {
        match self.asking {
            Asking::OneLabel => 0,
            Asking::Mixed(_) => {
                data.healthy().len().min(data.slices().len().div_ceil(LABELLED_PER_HEALTHY))
            }
        }
    }

    /// What validation looks at: every label of every slice, or every slice with all its lesions and
    /// those declared free of disease.
    #[must_use]
    pub fn validation_draws(&self, data: &SliceDataset) -> Vec<Draw> {
        match self.asking {
            Asking::OneLabel => every_label(data),
            Asking::Mixed(_) => {
                let slices = data.slices().len() + data.healthy().len();
                (0..slices).map(|slice| Draw { slice, label: None }).collect()
            }
        }
    }
}

/// Every label of every slice once.
#[must_use]
pub fn every_label(data: &SliceDataset) -> Vec<Draw> {
    let of_slice = |(slice, labels): (usize, &&[u8])| {
        labels.iter().map(move |&label| Draw { slice, label: Some(label) }).collect::<Vec<_>>()
    };
    data.labels_present().iter().enumerate().flat_map(of_slice).collect()
}
