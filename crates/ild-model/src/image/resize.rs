//! Bilinear resizing, with and without antialiasing, equal to PyTorch's
//! `F.interpolate(align_corners=False)`.

use ndarray::{Array2, ArrayView2, Axis, Zip, parallel::prelude::*};

/// The source samples that make one destination sample: those from `first` on, with these weights.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Triangle filter; as wide as a destination pixel when shrinking (`_upsample_bilinear2d_aa` in
/// PyTorch).
fn antialiased(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let stretch = scale.max(1.0);
    let taps = |i: usize| {
        let centre = scale * (i as f32 + 0.5);
        let first = ((centre - stretch + 0.5) as isize).max(0) as usize;
        let end = ((centre + stretch + 0.5) as usize).min(from);
        let triangle = |j: usize| (1.0 - ((j as f32 - centre + 0.5) / stretch).abs()).max(0.0);
        let weights: Vec<f32> = (first..end).map(triangle).collect();
        let total: f32 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| weight / total).collect() }
    };
    (0..to).map(taps).collect()
}

/// Two neighbours, also when shrinking (`upsample_bilinear2d` in PyTorch).
fn plain(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let taps = |i: usize| {
        let source = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
        let first = (source as usize).min(from - 1);
        let right = if first + 1 < from { source - first as f32 } else { 0.0 };
        let weights = if first + 1 < from { vec![1.0 - right, right] } else { vec![1.0] };
        Taps { first, weights }
    };
    (0..to).map(taps).collect()
}

/// Along the rows of `image`, then along its columns.
fn separable(image: ArrayView2<f32>, columns: &[Taps], rows: &[Taps]) -> Array2<f32> {
    let mut wide = Array2::<f32>::zeros((image.nrows(), columns.len()));
    Zip::from(wide.rows_mut()).and(image.rows()).par_for_each(|mut out, row| {
        for (value, taps) in out.iter_mut().zip(columns) {
            *value = taps
                .weights
                .iter()
                .enumerate()
                .map(|(k, weight)| weight * row[taps.first + k])
                .sum();
        }
    });
    let mut out = Array2::<f32>::zeros((rows.len(), columns.len()));
    out.axis_iter_mut(Axis(0)).into_par_iter().zip(rows.par_iter()).for_each(|(mut row, taps)| {
        for (k, weight) in taps.weights.iter().enumerate() {
            row.scaled_add(*weight, &wide.row(taps.first + k));
        }
    });
    out
}

/// `[y, x]` to `height` × `width` with antialiasing; the same size is returned as it is.
///
/// # Panics
/// When a side of either is 0.
#[must_use]
pub fn resize_antialiased(image: ArrayView2<f32>, height: usize, width: usize) -> Array2<f32> {
    if image.dim() == (height, width) {
        return image.to_owned();
    }
    separable(image, &antialiased(image.ncols(), width), &antialiased(image.nrows(), height))
}

/// `[y, x]` to `height` × `width` without antialiasing, even when it shrinks.
///
/// # Panics
/// When a side of either is 0.
#[must_use]
pub fn resize_plain(image: ArrayView2<f32>, height: usize, width: usize) -> Array2<f32> {
    separable(image, &plain(image.ncols(), width), &plain(image.nrows(), height))
}
