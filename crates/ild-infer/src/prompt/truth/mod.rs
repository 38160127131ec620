//! Start boxes from the case's own labels, to measure a model with: no result made from them is a
//! prediction for a new patient.

pub mod by_class;
pub mod by_piece;
pub mod misplaced;

use ndarray::ArrayView3;

/// The ids that the reference segments: every value that occurs except the smallest, which it takes
/// for background.
#[must_use]
pub fn reference_ids(labels: ArrayView3<u8>) -> Vec<u8> {
    all_values(labels).into_iter().skip(1).collect()
}

/// The ids that occur, without background.
#[must_use]
pub fn ids(labels: ArrayView3<u8>) -> Vec<u8> {
    all_values(labels).into_iter().filter(|&id| id != 0).collect()
}

fn all_values(labels: ArrayView3<u8>) -> Vec<u8> {
    let mut seen = [false; 256];
    for &id in labels {
        seen[usize::from(id)] = true;
    }
    (0..=255).filter(|&id| seen[usize::from(id)]).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn the_reference_takes_the_smallest_value_for_background() {
        let labels = Array3::from_shape_fn((1, 1, 3), |(_, _, x)| [2u8, 4, 7][x]);
        assert_eq!(reference_ids(labels.view()), [4, 7]);
        assert_eq!(ids(labels.view()), [2, 4, 7]);
    }
}
