//! A mask on one slice, stored within its bounding box: whole slices would cost more memory than the
//! CT.

use ild_io::BoundingBox;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Zip, s};

/// A mask on one slice, stored within its bounding box.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePatch {
    corner: [usize; 2],
    mask: Array2<bool>,
}

impl SlicePatch {
    pub(super) fn new(mask: ArrayView2<bool>) -> Option<Self> {
        let b = BoundingBox::around(mask, |v| v)?;
        Some(Self { corner: [b.y0, b.x0], mask: mask.slice(s![b.y0..b.y1, b.x0..b.x1]).to_owned() })
    }

    /// Sets `value` where the mask is.
    pub fn paint<T: Copy>(&self, slice: &mut ArrayViewMut2<T>, value: T) {
        let [y, x] = self.corner;
        let (h, w) = self.mask.dim();
        Zip::from(slice.slice_mut(s![y..y + h, x..x + w])).and(&self.mask).for_each(
            |out, &inside| {
                if inside {
                    *out = value;
                }
            },
        );
    }

    /// Number of pixels.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.mask.iter().filter(|&&v| v).count()
    }
}
