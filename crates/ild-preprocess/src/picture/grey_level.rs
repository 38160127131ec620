//! Voxel value → one of 256 grey levels, with numpy's arithmetic.
//!
//! `255 · (clip(v) − black) / (white − black)`, cut to a whole number. Integers and `f64` are
//! computed in `f64`, `f32` in `f32`, in this order of operations: the result is that of the older
//! scripts bit for bit. Integer volumes go through a table with one entry per value inside the
//! window, so that the formula is evaluated some hundred times, not millions.

use ild_io::{Voxels, with_voxels};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Zip};

/// From which range of values the grey levels are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// The window's bounds: a HU has the same grey in every scan.
    WindowBounds,
    /// The lowest and highest value of this very volume after clipping, as the older scripts did.
    ImageRange,
}

/// Where a ramp starts and ends, and what its input is clipped to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Values are first moved into this range.
    pub clip: [f64; 2],
    /// Value that becomes 0.
    pub black: f64,
    /// Value that becomes 255.
    pub white: f64,
}

impl Ramp {
    /// The ramp for `clip`, for a volume whose lowest and highest values are `range`.
    #[must_use]
    pub fn new(clip: [f64; 2], scaling: Scaling, range: [f64; 2]) -> Self {
        match scaling {
            Scaling::WindowBounds => Self { clip, black: clip[0], white: clip[1] },
            Scaling::ImageRange => {
                let [black, white] = range.map(|value| value.max(clip[0]).min(clip[1]));
                Self { clip, black, white }
            }
        }
    }

    fn grey_f64(&self, value: f64) -> u8 {
        // `as u8` cuts off and maps NaN (0/0, a constant volume) to 0, as numpy's cast does.
        ((value.max(self.clip[0]).min(self.clip[1]) - self.black) / (self.white - self.black)
            * 255.0) as u8
    }

    fn grey_f32(&self, value: f32) -> u8 {
        let [low, high] = self.clip.map(|bound| bound as f32);
        let (black, white) = (self.black as f32, self.white as f32);
        ((value.max(low).min(high) - black) / (white - black) * 255.0) as u8
    }
}

/// A voxel type: how it is counted and how it becomes grey.
pub trait Voxel: Copy + PartialOrd + Send + Sync + 'static {
    /// The value as a double.
    fn real(self) -> f64;
    /// The values of this type within `low..=high`, as first and last; `None` when there are none.
    fn within(low: f64, high: f64) -> Option<(Self, Self)>;
    /// The grey levels of many values; `grey` and `values` have the same shape.
    fn map(values: ArrayView2<Self>, ramp: &Ramp, grey: ArrayViewMut2<u8>);
}

/// More entries than this and a table is slower than the formula.
const TABLE_LIMIT: f64 = 65_536.0;

macro_rules! integer_voxel {
    ($($t:ty),*) => {$(
        impl Voxel for $t {
            fn real(self) -> f64 {
                self as f64
            }

            fn within(low: f64, high: f64) -> Option<(Self, Self)> {
                // The casts saturate: a bound that this type cannot reach is seen by its distance.
                let (first, last) = (low.ceil() as $t, high.floor() as $t);
                (first as f64 >= low && last as f64 <= high && first <= last).then_some((first, last))
            }

            fn map(values: ArrayView2<Self>, ramp: &Ramp, grey: ArrayViewMut2<u8>) {
                let (first, last) = (ramp.clip[0].floor() as $t, ramp.clip[1].ceil() as $t);
                if (last as f64) - (first as f64) >= TABLE_LIMIT {
                    return Zip::from(grey).and(values).for_each(|out, &v| *out = ramp.grey_f64(v as f64));
                }
                let table: Vec<u8> = (first..=last).map(|v| ramp.grey_f64(v as f64)).collect();
                Zip::from(grey).and(values).for_each(|out, &v| *out = table[(v.max(first).min(last).abs_diff(first)) as usize]);
            }
        }
    )*};
}
integer_voxel!(u8, i8, u16, i16, u32, i32, u64, i64);

impl Voxel for f32 {
    fn real(self) -> f64 {
        f64::from(self)
    }

    fn within(low: f64, high: f64) -> Option<(Self, Self)> {
        Some((low as f32, high as f32))
    }

    fn map(values: ArrayView2<Self>, ramp: &Ramp, grey: ArrayViewMut2<u8>) {
        Zip::from(grey).and(values).for_each(|out, &v| *out = ramp.grey_f32(v));
    }
}

impl Voxel for f64 {
    fn real(self) -> f64 {
        self
    }

    fn within(low: f64, high: f64) -> Option<(Self, Self)> {
        Some((low, high))
    }

    fn map(values: ArrayView2<Self>, ramp: &Ramp, grey: ArrayViewMut2<u8>) {
        Zip::from(grey).and(values).for_each(|out, &v| *out = ramp.grey_f64(v));
    }
}

/// Lowest and highest voxel value; `None` for an empty volume.
#[must_use]
pub fn value_range(voxels: &Voxels) -> Option<[f64; 2]> {
    with_voxels!(voxels, array => {
        let first = *array.first()?;
        let (mut low, mut high) = (first, first);
        for row in array.rows() {
            // Two comparisons without branches, so that they become vector instructions.
            for &v in row {
                low = if v < low { v } else { low };
                high = if v > high { v } else { high };
            }
        }
        Some([low.real(), high.real()])
    })
}

/// The grey levels of slice `z`, into `grey` (`[y, x]`).
pub fn grey_slice(voxels: &Voxels, z: usize, ramp: &Ramp, grey: ArrayViewMut2<u8>) {
    with_voxels!(voxels, array => Voxel::map(array.index_axis(Axis(0), z), ramp, grey));
}
