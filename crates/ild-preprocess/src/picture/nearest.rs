//! Nearest-neighbour resize with OpenCV's `INTER_NEAREST` rule.

use ndarray::{Array2, ArrayView2};

/// Source index of each of `target` pixels along an axis of `source` pixels.
///
/// `min(⌊i · s⌋, source − 1)` with `s = 1 / (target / source)` in double precision, both divisions
/// rounded, as OpenCV does it. Exact arithmetic (`i · source / target`) gives another pixel for 34
/// sizes below 1500, 186 → 256 among them.
#[must_use]
pub fn nearest_indices(source: usize, target: usize) -> Vec<usize> {
    let scale = 1.0 / (target as f64 / source as f64);
    (0..target)
        .map(|i| ((i as f64 * scale).floor() as usize).min(source.saturating_sub(1)))
        .collect()
}

/// `image` (`[y, x]`) at `height` × `width`.
#[must_use]
pub fn resize_nearest<T: Copy>(image: ArrayView2<T>, height: usize, width: usize) -> Array2<T> {
    let (source_height, source_width) = image.dim();
    let rows = nearest_indices(source_height, height);
    let columns = nearest_indices(source_width, width);
    let image = image.as_standard_layout();
    let pixels = image.as_slice().unwrap_or_else(|| unreachable!("standard layout is one piece"));
    let mut resized = Vec::with_capacity(height * width);
    for y in rows {
        let row = &pixels[y * source_width..][..source_width];
        resized.extend(columns.iter().map(|&x| row[x]));
    }
    Array2::from_shape_vec((height, width), resized)
        .unwrap_or_else(|_| unreachable!("one value per target pixel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_opencvs_and_not_exact() {
        let exact: Vec<usize> = (0..256).map(|i| i * 186 / 256).collect();
        let ours = nearest_indices(186, 256);
        assert_eq!(exact.iter().zip(&ours).filter(|(a, b)| a != b).count(), 1);
        assert_eq!(nearest_indices(512, 256), (0..256).map(|i| 2 * i).collect::<Vec<_>>());
    }
}
