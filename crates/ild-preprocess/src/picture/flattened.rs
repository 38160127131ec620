//! How much of the lung a window makes black or white.

use ild_io::{Voxels, with_voxels};
use ndarray::{ArrayView2, ArrayView3, Axis, Zip};
use serde::{Deserialize, Serialize};

use crate::picture::grey_level::Voxel;

/// HU of aerated and diseased lung: between air in the airways and solid tissue.
pub const LUNG_HU: [f64; 2] = [-950.0, -200.0];

/// Voxels in the lung's HU range, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flattened {
    /// Voxels of −950..−200 HU in the slices that were kept.
    pub lung_voxels: u64,
    /// Of these, how many are 0 or 255 in every channel: no structure is left there.
    pub flattened_voxels: u64,
}

impl Flattened {
    /// Share of the lung-range voxels that carry no grey any more; `None` without such voxels.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.lung_voxels > 0).then(|| self.flattened_voxels as f64 / self.lung_voxels as f64)
    }

    /// Adds the voxels of another slice or case.
    pub fn add(&mut self, other: Self) {
        self.lung_voxels += other.lung_voxels;
        self.flattened_voxels += other.flattened_voxels;
    }

    /// Counts slice `z`, whose picture is `grey` (`[y, x]`).
    #[must_use]
    pub fn of_slice(voxels: &Voxels, z: usize, grey: ArrayView2<u8>) -> Self {
        with_voxels!(voxels, array => count(array.index_axis(Axis(0), z), grey, |grey| grey == 0 || grey == 255))
    }

    /// As [`Flattened::of_slice`] for a colour picture `[y, x, channel]`.
    #[must_use]
    pub fn of_colour_slice(voxels: &Voxels, z: usize, colour: ArrayView3<u8>) -> Self {
        let lanes = colour.map_axis(Axis(2), |channels| {
            u8::from(channels.iter().any(|&grey| grey != 0 && grey != 255))
        });
        with_voxels!(voxels, array => count(array.index_axis(Axis(0), z), lanes.view(), |alive| alive == 0))
    }
}

fn count<T: Voxel>(
    values: ArrayView2<T>,
    picture: ArrayView2<u8>,
    flat: impl Fn(u8) -> bool,
) -> Flattened {
    let mut total = Flattened::default();
    let Some((first, last)) = T::within(LUNG_HU[0], LUNG_HU[1]) else { return total };
    for (values, picture) in values.outer_iter().zip(picture.outer_iter()) {
        // Per row in 32 bits, without branches: vector instructions.
        let (mut lung, mut flattened) = (0u32, 0u32);
        Zip::from(values).and(picture).for_each(|&v, &p| {
            let inside = u32::from(v >= first) & u32::from(v <= last);
            lung += inside;
            flattened += inside & u32::from(flat(p));
        });
        total.add(Flattened {
            lung_voxels: u64::from(lung),
            flattened_voxels: u64::from(flattened),
        });
    }
    total
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn every_voxel_type_counts_the_same_lung() {
        let hu = [-1000i16, -951, -950, -500, -200, -199, 40];
        let slice = |voxels| {
            Flattened::of_slice(&voxels, 0, ndarray::arr2(&[[0, 0, 0, 128, 255, 0, 0]]).view())
        };
        let values = Array3::from_shape_vec((1, 1, 7), hu.to_vec()).unwrap();
        let expected = Flattened { lung_voxels: 3, flattened_voxels: 2 };
        assert_eq!(slice(Voxels::I16(values.clone())), expected);
        assert_eq!(slice(Voxels::I32(values.mapv(i32::from))), expected);
        assert_eq!(slice(Voxels::F32(values.mapv(f32::from))), expected);
        assert_eq!(slice(Voxels::F64(values.mapv(f64::from))), expected);
        // These types hold no such value.
        assert_eq!(slice(Voxels::U8(values.mapv(|hu| hu as u8))), Flattened::default());
        assert_eq!(slice(Voxels::I8(values.mapv(|hu| hu as i8))), Flattened::default());
        assert_eq!(slice(Voxels::U16(values.mapv(|hu| hu as u16))), Flattened::default());
    }
}
