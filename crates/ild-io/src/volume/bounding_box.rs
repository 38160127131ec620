//! The tight box around a region of a slice, and the prompt that the model gets from it.

use ndarray::ArrayView2;

/// Half-open pixel box: columns `x0..x1`, rows `y0..y1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// First column.
    pub x0: usize,
    /// First row.
    pub y0: usize,
    /// One past the last column.
    pub x1: usize,
    /// One past the last row.
    pub y1: usize,
}

impl BoundingBox {
    /// Smallest box around the pixels of `slice` (`[y, x]`) for which `inside` holds; `None` when
    /// there are none.
    pub fn around<T: Copy>(slice: ArrayView2<T>, inside: impl Fn(T) -> bool) -> Option<Self> {
        let mut found: Option<Self> = None;
        for (y, row) in slice.rows().into_iter().enumerate() {
            let Some(first) = row.iter().position(|&v| inside(v)) else { continue };
            let last = row.iter().rposition(|&v| inside(v)).unwrap_or(first);
            let b = found.get_or_insert(Self { x0: first, y0: y, x1: last + 1, y1: y + 1 });
            b.x0 = b.x0.min(first);
            b.x1 = b.x1.max(last + 1);
            b.y1 = y + 1;
        }
        found
    }

    /// The prompt `[x_min, y_min, x_max, y_max]` in pixels: first and last pixel inside, each side
    /// moved outward by `shift_px` (`[x_min, x_max, y_min, y_max]`, the order of the reference's
    /// draws) and clamped to `[0, width]`, `[0, height]`.
    #[must_use]
    pub fn prompt_px(&self, shift_px: [usize; 4], width: usize, height: usize) -> [f64; 4] {
        let [left, right, up, down] = shift_px;
        [
            self.x0.saturating_sub(left) as f64,
            self.y0.saturating_sub(up) as f64,
            (self.x1 - 1 + right).min(width) as f64,
            (self.y1 - 1 + down).min(height) as f64,
        ]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn the_prompt_ends_at_the_last_pixel_plus_shift_clamped() {
        let mut slice = Array2::<u8>::zeros((20, 30));
        slice[[2, 3]] = 1;
        slice[[17, 28]] = 1;
        let tight = BoundingBox::around(slice.view(), |v| v == 1).unwrap();
        assert_eq!(tight, BoundingBox { x0: 3, y0: 2, x1: 29, y1: 18 });
        assert_eq!(tight.prompt_px([5; 4], 30, 20), [0.0, 0.0, 30.0, 20.0]);
        assert_eq!(tight.prompt_px([0, 1, 2, 0], 30, 20), [3.0, 0.0, 29.0, 17.0]);
        assert_eq!(BoundingBox::around(slice.view(), |v| v == 7), None);
    }
}
