//! Bicubic resizing of 8-bit pictures, equal to Pillow's `Image.resize` to the last grey level.
//!
//! What SAM 2's video predictor and MedSAM2's scripts do to their slices. Weights are whole numbers
//! of 2⁻²², and the picture is rounded to grey levels after the rows and again after the columns.

use ndarray::{Array2, ArrayView2};

/// Bits behind the point of a weight (`PRECISION_BITS`).
const BITS: u32 = 32 - 8 - 2;
/// Reach of the filter in source pixels, where nothing shrinks.
const REACH: f64 = 2.0;
/// The cubic's free parameter.
const A: f64 = -0.5;

/// The source pixels that make one pixel: those from `first` on, with these weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// As wide as a destination pixel when shrinking.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = REACH * stretch;
    let of_pixel = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let weights: Vec<f64> =
            (first..end).map(|j| cubic((j as f64 - centre + 0.5) * (1.0 / stretch))).collect();
        let total: f64 = weights.iter().sum();
        let whole = |weight: f64| (weight / total * f64::from(1 << BITS)).round() as i32;
        Taps { first, weights: weights.into_iter().map(whole).collect() }
    };
    (0..to).map(of_pixel).collect()
}

/// Along the rows.
fn rows(picture: ArrayView2<u8>, to: usize) -> Array2<u8> {
    if picture.ncols() == to {
        return picture.to_owned();
    }
    let taps = taps(picture.ncols(), to);
    Array2::from_shape_fn((picture.nrows(), to), |(y, x)| {
        let Taps { first, weights } = &taps[x];
        let pixels = picture.row(y);
        let sum: i32 =
            weights.iter().zip(*first..).map(|(weight, j)| weight * i32::from(pixels[j])).sum();
        ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
    })
}

/// `[y, x]` to `height` × `width`; a side that stays is not filtered.
///
/// # Panics
/// When a side of either is 0.
#[must_use]
pub fn resize_bicubic_u8(picture: ArrayView2<u8>, height: usize, width: usize) -> Array2<u8> {
    let wide = rows(picture, width);
    rows(wide.t(), height).t().as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_picture_stays_even_and_the_same_size_stays_as_it_is() {
        let even = Array2::from_elem((7, 9), 201);
        assert_eq!(resize_bicubic_u8(even.view(), 20, 3), Array2::from_elem((20, 3), 201));
        let steps = Array2::from_shape_fn((4, 5), |(y, x)| (50 * y + 10 * x) as u8);
        assert_eq!(resize_bicubic_u8(steps.view(), 4, 5), steps);
    }
}
