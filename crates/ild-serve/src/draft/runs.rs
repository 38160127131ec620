//! One axial slice of a label map, as runs of equal labels: small, and sent as it is.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Labels row by row, each with how often it follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runs(Vec<(u8, u32)>);

impl Runs {
    /// A slice of `pixels` without any label.
    #[must_use]
    pub fn empty(pixels: usize) -> Self {
        Self(vec![(0, pixels as u32)])
    }

    /// Of a slice, `[y, x]`.
    #[must_use]
    pub fn of(slice: ArrayView2<u8>) -> Self {
        Self::from_labels(slice.iter().copied())
    }

    fn from_labels(labels: impl Iterator<Item = u8>) -> Self {
        let mut runs: Vec<(u8, u32)> = Vec::new();
        for label in labels {
            match runs.last_mut() {
                Some((last, n)) if *last == label => *n += 1,
                _ => runs.push((label, 1)),
            }
        }
        Self(runs)
    }

    /// The slice, `[y, x]`; `None` when it has another number of pixels.
    #[must_use]
    pub fn slice(&self, [height, width]: [usize; 2]) -> Option<Array2<u8>> {
        let pixels: u64 = self.0.iter().map(|&(_, n)| u64::from(n)).sum();
        if pixels != (height * width) as u64 {
            return None;
        }
        let mut labels = Vec::with_capacity(height * width);
        for &(label, n) in &self.0 {
            labels.resize(labels.len() + n as usize, label);
        }
        Array2::from_shape_vec((height, width), labels).ok()
    }

    /// The slice turned by half a circle: from our rows to the back and columns to the left, to the
    /// page's rows to the front and columns to the right, and back.
    #[must_use]
    pub fn turned(&self) -> Self {
        Self(self.0.iter().rev().copied().collect())
    }

    /// Pixels of each label, added to `counts`.
    pub fn count(&self, counts: &mut [u64; 256]) {
        for &(label, n) in &self.0 {
            counts[usize::from(label)] += u64::from(n);
        }
    }

    /// Whether it holds any label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&(label, n)| label == 0 || n == 0)
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len() * size_of::<(u8, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr2, s};

    use super::*;

    #[test]
    fn a_slice_comes_back_and_a_wrong_size_does_not() {
        let slice = arr2(&[[0, 0, 1], [1, 2, 0]]);
        let runs = Runs::of(slice.view());
        assert_eq!(serde_json::to_string(&runs).unwrap(), "[[0,2],[1,2],[2,1],[0,1]]");
        assert_eq!(runs.slice([2, 3]), Some(slice.clone()));
        assert_eq!(runs.slice([3, 3]), None);
        let huge: Runs = serde_json::from_str("[[1,4294967295],[1,4294967295]]").unwrap();
        assert_eq!(huge.slice([2, 3]), None, "nothing is made room for");
        let turned = slice.slice(s![..;-1, ..;-1]);
        assert_eq!(runs.turned(), Runs::of(turned));
        assert!(Runs::empty(6).is_empty() && !runs.is_empty());
    }
}
