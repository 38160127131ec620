//! Percentiles of the voxels above zero, for MR, whose values have no unit.

use ild_io::{Voxels, with_voxels};

use crate::picture::grey_level::Voxel;

/// The `low` and `high` percentiles (0..=100) of the voxels above zero, linearly interpolated as
/// `numpy.percentile` does; `None` when no voxel is above zero.
#[must_use]
pub fn positive_percentiles(voxels: &Voxels, low: f64, high: f64) -> Option<[f64; 2]> {
    match voxels {
        Voxels::F32(array) => {
            let mut positive: Vec<f32> = array.iter().copied().filter(|&v| v > 0.0).collect();
            Some([percentile_f32(&mut positive, low)?, percentile_f32(&mut positive, high)?])
        }
        _ => {
            let mut positive: Vec<f64> = with_voxels!(voxels, array => array.iter().map(|v| v.real()).filter(|&v| v > 0.0).collect());
            Some([percentile_f64(&mut positive, low)?, percentile_f64(&mut positive, high)?])
        }
    }
}

fn percentile_f64(values: &mut [f64], percent: f64) -> Option<f64> {
    let (below, above, weight) = neighbours(values, percent, f64::total_cmp)?;
    Some(if weight < 0.5 {
        below + (above - below) * weight
    } else {
        above - (above - below) * (1.0 - weight)
    })
}

/// numpy 2 keeps `f32` volumes in `f32`.
fn percentile_f32(values: &mut [f32], percent: f64) -> Option<f64> {
    let (below, above, weight) = neighbours(values, percent, f32::total_cmp)?;
    let (weight, rest) = (weight as f32, (1.0 - weight) as f32);
    Some(f64::from(if weight < 0.5 {
        below + (above - below) * weight
    } else {
        above - (above - below) * rest
    }))
}

/// The two order statistics around the percentile and how far it lies between them.
fn neighbours<T: Copy>(
    values: &mut [T],
    percent: f64,
    order: fn(&T, &T) -> std::cmp::Ordering,
) -> Option<(T, T, f64)> {
    let position = (values.len().checked_sub(1)?) as f64 * (percent / 100.0);
    let index = position.floor() as usize;
    let (_, &mut below, larger) = values.select_nth_unstable_by(index, order);
    let above = larger.iter().copied().min_by(order).unwrap_or(below);
    Some((below, above, position - position.floor()))
}
