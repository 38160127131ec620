//! From an epoch's draws to prepared items, on loader threads.

use std::sync::Arc;

use crate::data::augment::Augmentation;
use crate::data::dataset::{Sample, SliceDataset};
use crate::data::loader::Loader;
use crate::data::sampler::Draw;
use crate::error::Result;
use crate::random::{Purpose, stream};

/// How items are made.
#[derive(Clone, Copy, Debug)]
pub struct ItemSettings {
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
            let Draw { slice, label } = draws[position];
            let mut rng = stream(settings.seed, purpose, epoch, position);
            let item =
                data.draw(slice, label, settings.bbox_shift, &settings.augmentation, &mut rng);
            data.sample(slice, &item, settings.image_size)
        })
    }
}

/// Every label of every slice once: what validation looks at.
#[must_use]
pub fn every_label(data: &SliceDataset) -> Vec<Draw> {
    let of_slice = |(slice, labels): (usize, &&[u8])| {
        labels.iter().map(move |&label| Draw { slice, label: Some(label) }).collect::<Vec<_>>()
    };
    data.labels_present().iter().enumerate().flat_map(of_slice).collect()
}
