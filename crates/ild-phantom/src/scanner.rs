//! What the scanner adds: blur, noise with a grain, whole numbers, a round field of view.

use ndarray::{Array2, Zip};

use crate::noise::{hash, normal};
use crate::patient::Scanner;
use crate::solid::norm;
use crate::tubes::SliceGrid;

/// Lowest value that the scanner stores.
const FLOOR_HU: f32 = -1024.0;

/// Point spread of the reconstruction: `[1 2 1]/4` along rows and columns, which also averages
/// edges over the pixels they cross.
pub(crate) fn blur(image: &mut Array2<f32>) {
    let rows = image.nrows();
    for mut row in image.rows_mut() {
        let mut before = row[0];
        for x in 0..row.len() {
            let here = row[x];
            let after = row[(x + 1).min(row.len() - 1)];
            row[x] = 0.25 * before + 0.5 * here + 0.25 * after;
            before = here;
        }
    }
    // Whole rows at a time: a column at a time would wait for memory.
    let source = image.clone();
    for (y, mut row) in image.rows_mut().into_iter().enumerate() {
        let (above, below) = (source.row(y.saturating_sub(1)), source.row((y + 1).min(rows - 1)));
        Zip::from(&mut row)
            .and(above)
            .and(source.row(y))
            .and(below)
            .for_each(|out, &a, &here, &b| *out = 0.25 * a + 0.5 * here + 0.25 * b);
    }
}

/// Noise of unit variance with the spatial correlation of filtered back-projection: white noise,
/// blurred, less a wider blur of itself.
pub(crate) fn grain(seed: u32, slice: usize, shape: [usize; 2], sharpness: f32) -> Array2<f32> {
    let mut fine =
        Array2::from_shape_fn(shape, |(y, x)| normal(hash(seed, x as i32, y as i32, slice as i32)));
    blur(&mut fine);
    let mut coarse = fine.clone();
    blur(&mut coarse);
    blur(&mut coarse);
    let scale = 1.0 / deviation(sharpness);
    fine.zip_mut_with(&coarse, |f, &c| *f = (*f - sharpness * c) * scale);
    fine
}

/// Standard deviation of the filtered noise. The kernels are separable: `fine` is [1 2 1]/4,
/// `coarse` is its three-fold convolution.
fn deviation(sharpness: f32) -> f32 {
    const FINE: [f32; 7] = [0.0, 0.0, 16.0, 32.0, 16.0, 0.0, 0.0];
    const COARSE: [f32; 7] = [1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0];
    let dot = |a: [f32; 7], b: [f32; 7]| (0..7).map(|i| a[i] * b[i] / 4096.0).sum::<f32>();
    let square = |v: f32| v * v;
    let (ff, fc, cc) =
        (square(dot(FINE, FINE)), square(dot(FINE, COARSE)), square(dot(COARSE, COARSE)));
    (ff - 2.0 * sharpness * fc + square(sharpness) * cc).sqrt()
}

impl Scanner {
    /// HU as stored. `body` is the share of the way from the edge of the body to its middle, where
    /// noise is strongest.
    pub(crate) fn store(
        &self,
        hu: f32,
        grain: f32,
        body: f32,
        grid: &SliceGrid,
        at: [usize; 2],
    ) -> i16 {
        if self.round_field
            && norm(grid.position(at[0], at[1]))
                > 0.5 * grid.pixel * grid.shape[0].min(grid.shape[1]) as f32
        {
            return FLOOR_HU as i16;
        }
        let noisy = hu + grain * self.noise_hu * (0.55 + 0.45 * body);
        // Adding before the cast rounds to nearest for every stored value.
        ((noisy.clamp(FLOOR_HU, 3071.0) + 4096.5) as i32 - 4096) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grain_has_unit_variance_and_correlated_neighbours() {
        for sharpness in [0.1, 0.7] {
            let grain = grain(11, 3, [256, 256], sharpness);
            let n = grain.len() as f32;
            let variance = grain.iter().map(|g| g * g).sum::<f32>() / n;
            // Four standard errors with correlated samples.
            assert!((variance - 1.0).abs() < 0.05, "{variance}");
            let neighbours = grain
                .rows()
                .into_iter()
                .flat_map(|row| row.to_vec().windows(2).map(|w| w[0] * w[1]).collect::<Vec<_>>());
            let correlation = neighbours.sum::<f32>() / n;
            assert!((0.4..0.8).contains(&correlation), "{correlation}");
        }
    }
}
