//! One label of many tumours → one label per tumour (`--tumor-id`).

use crate::{Components, LabelRuns, Neighbours};

/// More instances than 8-bit ids are left for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyInstances {
    /// Components of the label.
    pub instances: usize,
    /// First id they would get.
    pub first_id: usize,
}

/// Gives each 26-connected component of `tumor_id` its own id: `first_id` for the one that the
/// array meets first, and so on.
///
/// # Errors
/// When the ids would pass 255; the older scripts wrapped around there and mixed tumours with other
/// labels.
pub fn split_instances(
    runs: &mut LabelRuns,
    tumor_id: u8,
    first_id: usize,
) -> Result<usize, TooManyInstances> {
    let components = Components::new(runs, Neighbours::Volume26);
    let mut id_of = vec![None; components.voxels.len()];
    let mut instances = 0;
    for (run, &component) in runs.all().iter().zip(&components.of_run) {
        let id = &mut id_of[component as usize];
        if run.label == tumor_id && id.is_none() {
            *id = Some(first_id + instances);
            instances += 1;
        }
    }
    if first_id + instances > 256 {
        return Err(TooManyInstances { instances, first_id });
    }
    for (run, &component) in runs.all_mut().iter_mut().zip(&components.of_run) {
        if let Some(id) = id_of[component as usize] {
            run.label = id as u8;
        }
    }
    Ok(instances)
}

/// First instance id as the older scripts number them: two above the largest other label (they add
/// the 1-based instance number to the maximum plus one).
#[must_use]
pub fn reference_first_id(runs: &LabelRuns, tumor_id: u8) -> usize {
    2 + runs
        .all()
        .iter()
        .map(|run| run.label)
        .filter(|&id| id != tumor_id)
        .max()
        .map_or(0, usize::from)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn three_tumours_and_an_organ() -> LabelRuns {
        let labels = Array3::from_shape_vec(
            (1, 3, 7),
            vec![3, 3, 0, 3, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0],
        )
        .unwrap();
        LabelRuns::new(labels.view(), &[])
    }

    #[test]
    fn each_tumour_gets_its_own_id_in_the_order_of_the_array() {
        let mut runs = three_tumours_and_an_organ();
        let first = reference_first_id(&runs, 3);
        assert_eq!(split_instances(&mut runs, 3, first), Ok(3));
        assert_eq!(runs.all().iter().map(|run| run.label).collect::<Vec<_>>(), [3, 4, 1, 5, 1]);
    }

    #[test]
    fn ids_beyond_8_bits_are_refused() {
        let mut runs = three_tumours_and_an_organ();
        assert_eq!(
            split_instances(&mut runs, 3, 254),
            Err(TooManyInstances { instances: 3, first_id: 254 })
        );
        assert_eq!(split_instances(&mut runs, 3, 253), Ok(3));
    }
}
