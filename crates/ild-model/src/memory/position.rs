//! Position codes: of a place on the map, of a distance in time, and the angles by which queries
//! and keys are turned.

use std::f64::consts::TAU;

use candle_core::{Device, Result, Tensor};

/// `temperature` of the sine codes and `rope_theta` of the rotation, the same in every model.
const TEMPERATURE: f64 = 10_000.0;
/// Added to the number of rows by the reference, so that no map divides by zero.
const EPS: f64 = 1e-6;

/// Sine code of every token of a square map (SAM 2's `PositionEmbeddingSine`, normalised): half of
/// the channels for the row, half for the column; sine and cosine alternate.
///
/// # Shapes
/// - returns `[1, side², channels]`
///
/// # Errors
/// When the device is out of memory.
pub fn sine_of_places(side: usize, channels: usize, device: &Device) -> Result<Tensor> {
    let half = channels / 2;
    let code = |index: usize, channel: usize| {
        let place = (index + 1) as f64 / (side as f64 + EPS) * TAU;
        let angle = place / wavelength(channel, half);
        (if channel.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    let mut values = Vec::with_capacity(side * side * channels);
    for token in 0..side * side {
        for index in [token / side, token % side] {
            values.extend((0..half).map(|channel| code(index, channel)));
        }
    }
    Tensor::from_vec(values, (1, side * side, channels), device)
}

/// Sine code of distances in time (SAM 2's `get_1d_sine_pe`): all sines, then all cosines.
///
/// # Shapes
/// - returns `[distances, channels]`
///
/// # Errors
/// When the device is out of memory.
pub fn sine_of_distances(distances: &[f64], channels: usize, device: &Device) -> Result<Tensor> {
    let half = channels / 2;
    let mut values = Vec::with_capacity(distances.len() * channels);
    for distance in distances {
        let angle = |channel: usize| distance / wavelength(channel, half);
        values.extend((0..half).map(|channel| angle(channel).sin() as f32));
        values.extend((0..half).map(|channel| angle(channel).cos() as f32));
    }
    Tensor::from_vec(values, (distances.len(), channels), device)
}

/// `10000^(2·⌊channel/2⌋ / half)`
fn wavelength(channel: usize, half: usize) -> f64 {
    TEMPERATURE.powf(2.0 * (channel / 2) as f64 / half as f64)
}

/// The rotation of tokens of a square map (SAM 2's `compute_axial_cis`): a pair of neighbouring
/// channels is a point in the plane; the first half of the pairs turns with the column, the second
/// with the row.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// `[side², width/2]`
    pub cos: Tensor,
    /// `[side², width/2]`
    pub sin: Tensor,
}

impl Rotation {
    /// For a map of `side` × `side` tokens and queries of `width` channels.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(side: usize, width: usize, device: &Device) -> Result<Self> {
        let quarter = width / 4;
        let angles: Vec<f64> = (0..side * side)
            .flat_map(|token| [token % side, token / side])
            .flat_map(|index| (0..quarter).map(move |i| (index, i)))
            .map(|(index, i)| index as f64 * TEMPERATURE.powf(-4.0 * i as f64 / width as f64))
            .collect();
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|angle| of(*angle) as f32).collect();
            Tensor::from_vec(values, (side * side, 2 * quarter), device)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    /// `x` with its first `turned` tokens rotated; the table is used anew for each map of tokens,
    /// and what comes behind (object pointers) has no place.
    ///
    /// # Shapes
    /// - `x`: `[b, n, width]`, `turned` a multiple of `side²`; returns the same
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn apply(&self, x: &Tensor, turned: usize) -> Result<Tensor> {
        ild_ops::rotary(x, &self.cos, &self.sin, turned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tensor: &Tensor, i: usize) -> Vec<f32> {
        tensor.get(i).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_last_row_and_column_of_a_map_are_a_full_turn() {
        let code = sine_of_places(3, 8, &Device::Cpu).unwrap().squeeze(0).unwrap();
        let last = row(&code, 8);
        // Channels 0 and 1 of each half have wavelength 1: sin 2π and cos 2π.
        for (value, expected) in [(last[0], 0.0), (last[1], 1.0), (last[4], 0.0), (last[5], 1.0)] {
            assert!((value - expected).abs() < 1e-5, "{last:?}");
        }
        assert_eq!(row(&code, 1)[..4], row(&code, 0)[..4], "the row comes first");
    }

    #[test]
    fn no_distance_is_sine_0_and_cosine_1() {
        let code = sine_of_distances(&[0.0, 0.5], 6, &Device::Cpu).unwrap();
        assert_eq!(row(&code, 0), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let half = row(&code, 1);
        assert_eq!(half[0], half[1], "frequencies come in pairs");
        assert!((half[0] - 0.5f32.sin()).abs() < 1e-6);
    }

    #[test]
    fn columns_turn_the_first_pairs_and_rows_the_last() {
        let rotation = Rotation::new(4, 8, &Device::Cpu).unwrap();
        assert_eq!(row(&rotation.cos, 0), [1.0; 4]);
        let (right, below) = (row(&rotation.cos, 1), row(&rotation.cos, 4));
        assert!((right[0] - 1f32.cos()).abs() < 1e-6 && right[2..] == [1.0, 1.0], "{right:?}");
        assert!((below[2] - 1f32.cos()).abs() < 1e-6 && below[..2] == [1.0, 1.0], "{below:?}");
    }
}
