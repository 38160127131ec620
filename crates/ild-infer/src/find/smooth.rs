//! Smoothing along z, in millimetres and not across gaps.

use ndarray::{ArrayViewMut3, Axis};

/// Beyond this many standard deviations a weight is nothing.
const REACH: f64 = 3.0;

/// Gaussian of `sigma_mm` along the first axis of `maps` (`[n, h, w]`) whose slices lie at `z_mm`
/// (ascending). `breaks[i]`: slices `i` and `i + 1` are no neighbours, and nothing is mixed over
/// them. Weights are those of the slices that are there, so borders keep their level.
pub fn smooth_z(mut maps: ArrayViewMut3<f32>, z_mm: &[f64], breaks: &[bool], sigma_mm: f64) {
    let n = maps.dim().0;
    let weights: Vec<Vec<(usize, f32)>> =
        (0..n).map(|i| weights(i, z_mm, breaks, sigma_mm)).collect();
    if weights.iter().all(|w| w.len() == 1) {
        return;
    }
    maps.axis_iter_mut(Axis(1)).for_each(|mut row| {
        let before = row.to_owned(); // [n, w]
        for (mut out, weights) in row.outer_iter_mut().zip(&weights) {
            out.fill(0.0);
            for &(j, weight) in weights {
                out.scaled_add(weight, &before.index_axis(Axis(0), j));
            }
        }
    });
}

/// The slices that count for slice `i`, and how much.
fn weights(i: usize, z_mm: &[f64], breaks: &[bool], sigma_mm: f64) -> Vec<(usize, f32)> {
    let weight = |j: usize| (-0.5 * ((z_mm[j] - z_mm[i]) / sigma_mm).powi(2)).exp();
    let near = |j: usize| (z_mm[j] - z_mm[i]).abs() <= REACH * sigma_mm;
    let broken = |j: usize| breaks.get(j).copied().unwrap_or(false);
    let below = (0..i).rev().take_while(|&j| near(j) && !broken(j));
    let above = (i + 1..z_mm.len()).take_while(|&j| near(j) && !broken(j - 1));
    let slices: Vec<usize> = below.chain([i]).chain(above).collect();
    let sum: f64 = slices.iter().map(|&j| weight(j)).sum();
    slices.into_iter().map(|j| (j, (weight(j) / sum) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn peak() -> Array3<f32> {
        let mut maps = Array3::zeros((5, 1, 2));
        maps[[2, 0, 0]] = 1.0;
        maps
    }

    #[test]
    fn a_peak_spreads_by_millimetres_and_a_level_stays() {
        let mut maps = peak();
        maps.slice_mut(ndarray::s![.., .., 1]).fill(0.7);
        smooth_z(maps.view_mut(), &[0.0, 2.0, 4.0, 6.0, 8.0], &[], 2.0);
        let ratio = maps[[1, 0, 0]] / maps[[2, 0, 0]];
        assert!(maps[[2, 0, 0]] < 1.0 && maps[[3, 0, 0]] > 0.0);
        // exp(-1/2), and each slice's own sum of weights.
        assert!((0.5..0.8).contains(&ratio), "{ratio}");
        assert!(maps.slice(ndarray::s![.., 0, 1]).iter().all(|v| (v - 0.7).abs() < 1e-6));
    }

    #[test]
    fn thick_slices_and_gaps_are_left_alone() {
        let mut thick = peak();
        smooth_z(thick.view_mut(), &[0.0, 10.0, 20.0, 30.0, 40.0], &[], 2.0);
        assert_eq!(thick, peak());
        let mut broken = peak();
        let breaks = [false, true, true, false];
        smooth_z(broken.view_mut(), &[0.0, 2.0, 4.0, 6.0, 8.0], &breaks, 2.0);
        assert_eq!(broken, peak());
    }
}
