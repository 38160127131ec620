//! What the lesion head should say of a slice.

use candle_core::{Device, Result, Tensor};
use ndarray::Array2;

use crate::data::dataset::{LABEL_SIZE, Sample};

/// What the target of the head is made with.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseTarget {
    /// Label ids in the order of the head's class channels.
    pub classes: Vec<u8>,
    /// Rows and columns of the head's maps.
    pub side: usize,
    /// Weight of each class, mean 1; rare classes weigh more.
    pub weights: Vec<f32>,
}

/// Target of a batch of `b` slices; `k` classes.
#[derive(Clone, Debug)]
pub struct Dense {
    /// `[b, 1, 256, 256]`, 1 where there is a lesion of any class.
    pub lesion: Tensor,
    /// `[b, 1, 256, 256]`, 0 where nobody knows; `None` where all is known.
    pub known: Option<Tensor>,
    /// `[b, h, w, k]`: how much each pixel of the head's map counts for each class; sums to the
    /// class's weight over each slice and class that is there.
    pub class: Tensor,
    /// Slices and classes that are there: what `class` is divided by.
    pub regions: usize,
    /// `[b, 1 + k]`: whether there is any lesion, and one of each class.
    pub present: Tensor,
}

impl DenseTarget {
    /// Weights ∝ 1/√n for classes on `n` slices each, so that a rare class is not drowned.
    #[must_use]
    pub fn new(classes: Vec<u8>, slices_of_class: &[usize], side: usize) -> Self {
        let raw: Vec<f32> =
            slices_of_class.iter().map(|&n| 1.0 / (n.max(1) as f32).sqrt()).collect();
        let mean = raw.iter().sum::<f32>() / raw.len().max(1) as f32;
        Self { classes, side, weights: raw.iter().map(|weight| weight / mean).collect() }
    }

    /// Pixels of each class in each cell of the head's map: `[h·w·k]`, the pixels of each class,
    /// and those that are known to be of a class the head does not have.
    fn counts(&self, labels: &Array2<u8>) -> (Vec<f32>, Vec<f32>) {
        let k = self.classes.len();
        let mut cells = vec![0.0; self.side * self.side * k];
        let mut totals = vec![0.0; k];
        for ((y, x), id) in labels.indexed_iter().filter(|(_, id)| **id != 0) {
            let Some(c) = self.classes.iter().position(|class| class == id) else { continue };
            let cell = |at: usize| at * self.side / LABEL_SIZE;
            cells[(cell(y) * self.side + cell(x)) * k + c] += 1.0;
            totals[c] += 1.0;
        }
        (cells, totals)
    }
}

impl Dense {
    /// The target of these slices.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(samples: &[&Sample], target: &DenseTarget, device: &Device) -> Result<Self> {
        let (b, k, side) = (samples.len(), target.classes.len(), target.side);
        let (mut class, mut present, mut regions) = (Vec::new(), Vec::new(), 0);
        for sample in samples {
            let (mut cells, totals) = target.counts(&sample.labels);
            for cell in cells.chunks_exact_mut(k) {
                for (c, count) in cell.iter_mut().enumerate().filter(|(_, count)| **count > 0.0) {
                    *count *= target.weights[c] / totals[c];
                }
            }
            class.extend(cells);
            let there = totals.iter().map(|&n| f32::from(u8::from(n > 0.0)));
            regions += totals.iter().filter(|n| **n > 0.0).count();
            present.push(f32::from(u8::from(totals.iter().any(|&n| n > 0.0))));
            present.extend(there);
        }
        let full = (b, 1, LABEL_SIZE, LABEL_SIZE);
        let is_class = |id: u8| target.classes.contains(&id);
        let lesion = samples
            .iter()
            .flat_map(|sample| sample.labels.iter().map(|&id| f32::from(u8::from(is_class(id)))));
        let known = samples.iter().any(|sample| sample.known.is_some()).then(|| {
            let all = Array2::ones((LABEL_SIZE, LABEL_SIZE));
            samples
                .iter()
                .flat_map(|sample| {
                    let known = sample.known.as_ref().unwrap_or(&all);
                    known.iter().map(|&known| f32::from(known)).collect::<Vec<f32>>()
                })
                .collect::<Vec<f32>>()
        });
        Ok(Self {
            lesion: Tensor::from_vec(lesion.collect::<Vec<f32>>(), full, device)?,
            known: known.map(|known| Tensor::from_vec(known, full, device)).transpose()?,
            class: Tensor::from_vec(class, (b, side, side, k), device)?,
            regions,
            present: Tensor::from_vec(present, (b, 1 + k), device)?,
        })
    }
}
