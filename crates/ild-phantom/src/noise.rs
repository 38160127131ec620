//! Random fields in space, by hashing the lattice: the value at a point depends on seed and point
//! alone, never on order.
//!
//! Only `+ − × ÷ √` are used here and in the rest of the phantom: IEEE 754 fixes their result to
//! the last bit, so the same seed gives the same voxels on every machine (library sines and powers
//! do not).

/// Largest integer at or below `value`; the library's `floor` is a function call on plain x86-64.
#[inline]
pub(crate) fn floor(value: f32) -> i32 {
    let truncated = value as i32;
    truncated - i32::from((truncated as f32) > value)
}

/// Mixes a lattice point into 32 well-spread bits (the finaliser of MurmurHash3).
#[inline]
pub(crate) fn hash(seed: u32, x: i32, y: i32, z: i32) -> u32 {
    let mut h = seed
        ^ (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// `[0, 1)` from a hash.
#[inline]
fn unit(hash: u32) -> f32 {
    (hash >> 8) as f32 / (1u32 << 24) as f32
}

/// Mean 0, variance 1, from the four bytes of a hash: their sum is close enough to normal for
/// detector noise (|value| ≤ 3.5).
#[inline]
pub(crate) fn normal(hash: u32) -> f32 {
    let bytes = (hash & 0xFF) + (hash >> 8 & 0xFF) + (hash >> 16 & 0xFF) + (hash >> 24);
    // The sum of four uniform bytes has mean 510 and variance 4·(256² − 1)/12.
    (bytes as f32 - 510.0) / 147.799_86
}

/// Tells the seeds of the two octaves of [`rough`] apart.
const SECOND_OCTAVE: u32 = 0x5bd1_e995;

#[inline]
fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Smooth value noise in `[−1, 1]` with one lattice point per unit; features are about one unit
/// wide.
pub(crate) fn value(seed: u32, p: [f32; 3]) -> f32 {
    let cell = p.map(floor);
    let t: [f32; 3] = std::array::from_fn(|axis| fade(p[axis] - cell[axis] as f32));
    let corner = |dx, dy, dz| unit(hash(seed, cell[0] + dx, cell[1] + dy, cell[2] + dz));
    let along_x = |dy, dz| mix(corner(0, dy, dz), corner(1, dy, dz), t[0]);
    let along_y = |dz| mix(along_x(0, dz), along_x(1, dz), t[1]);
    2.0 * mix(along_y(0), along_y(1), t[2]) - 1.0
}

/// Two octaves of [`value`], still within `[−1, 1]`.
pub(crate) fn rough(seed: u32, p: [f32; 3]) -> f32 {
    0.7 * value(seed, p) + 0.3 * value(seed ^ SECOND_OCTAVE, p.map(|c| 2.3 * c))
}

/// [`value`] noise on one plane of constant z, with the lattice drawn once: for fields that every
/// pixel of a slice asks for.
pub(crate) struct Plane {
    /// Lattice points per unit of length.
    density: f32,
    origin: [i32; 2],
    width: usize,
    values: Vec<f32>,
}

impl Plane {
    /// Covers `low..=high` (x, y) at height `z`; features are about `wavelength` wide. Same units
    /// for all.
    pub(crate) fn new(seed: u32, wavelength: f32, low: [f32; 2], high: [f32; 2], z: f32) -> Self {
        let density = 1.0 / wavelength;
        let origin = low.map(|c| floor(c * density));
        let [width, height] =
            [0, 1].map(|axis| (floor(high[axis] * density) - origin[axis]) as usize + 2);
        let below = floor(z * density);
        let t = fade(z * density - below as f32);
        let lattice = |x, y, z| 2.0 * unit(hash(seed, x, y, z)) - 1.0;
        let point = |index: usize| {
            let (x, y) = (origin[0] + (index % width) as i32, origin[1] + (index / width) as i32);
            mix(lattice(x, y, below), lattice(x, y, below + 1), t)
        };
        Self { density, origin, width, values: (0..width * height).map(point).collect() }
    }

    /// Value in `[−1, 1]`.
    #[inline]
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x * self.density, y * self.density);
        let (i, j) = (floor(x), floor(y));
        let (tx, ty) = (fade(x - i as f32), fade(y - j as f32));
        let first = (j - self.origin[1]) as usize * self.width + (i - self.origin[0]) as usize;
        let v = &self.values;
        mix(
            mix(v[first], v[first + 1], tx),
            mix(v[first + self.width], v[first + self.width + 1], tx),
            ty,
        )
    }
}

/// [`rough`] noise on one plane of constant z.
pub(crate) struct RoughPlane([Plane; 2]);

impl RoughPlane {
    /// As [`Plane::new`].
    pub(crate) fn new(seed: u32, wavelength: f32, low: [f32; 2], high: [f32; 2], z: f32) -> Self {
        Self([
            Plane::new(seed, wavelength, low, high, z),
            Plane::new(seed ^ SECOND_OCTAVE, wavelength / 2.3, low, high, z),
        ])
    }

    /// Value in `[−1, 1]`.
    #[inline]
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        0.7 * self.0[0].at(x, y) + 0.3 * self.0[1].at(x, y)
    }
}

/// Distance from `p` to the nearest and to the second-nearest of points strewn one per unit cell
/// (Worley noise). The walls of the cells are where the two are equal.
pub(crate) fn cells(seed: u32, p: [f32; 3]) -> [f32; 2] {
    let cell = p.map(floor);
    let mut nearest = [f32::MAX; 2];
    for dz in -1..=1 {
        for dy in -1..=1 {
            for dx in -1..=1 {
                let [x, y, z] = [cell[0] + dx, cell[1] + dy, cell[2] + dz];
                let h = hash(seed, x, y, z);
                let jitter = |shift: u32| (h >> shift & 0x3FF) as f32 / 1024.0;
                let d = [
                    x as f32 + jitter(0) - p[0],
                    y as f32 + jitter(10) - p[1],
                    z as f32 + jitter(20) - p[2],
                ];
                let squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
                if squared < nearest[0] {
                    nearest = [squared, nearest[0]];
                } else if squared < nearest[1] {
                    nearest[1] = squared;
                }
            }
        }
    }
    nearest.map(f32::sqrt)
}

/// `a` at `t = 0`, `b` at `t = 1`.
#[inline]
pub(crate) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// 0 below `low`, 1 above `high`, smooth between.
#[inline]
pub(crate) fn step(low: f32, high: f32, value: f32) -> f32 {
    fade(((value - low) / (high - low)).clamp(0.0, 1.0))
}

/// Piecewise linear through `(position, value)` knots in ascending order, constant outside.
pub(crate) fn through(knots: &[(f32, f32)], at: f32) -> f32 {
    let mut previous = knots[0];
    for &knot in knots {
        if at <= knot.0 {
            let span = knot.0 - previous.0;
            return if span > 0.0 {
                mix(previous.1, knot.1, ((at - previous.0) / span).clamp(0.0, 1.0))
            } else {
                knot.1
            };
        }
        previous = knot;
    }
    previous.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_noise_has_mean_zero_and_variance_one() {
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|i| f64::from(normal(hash(7, i, 3 * i, -i)))).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Four standard errors of the mean (1/√n = 0.0022) and of the variance.
        assert!(mean.abs() < 0.009, "{mean}");
        assert!((variance - 1.0).abs() < 0.012, "{variance}");
    }

    #[test]
    fn value_noise_is_smooth_and_bounded() {
        let mut last = value(1, [0.0, 0.4, -3.2]);
        for i in 1..5000 {
            let next = value(1, [i as f32 * 0.01 - 25.0, 0.4, -3.2]);
            assert!(next.abs() <= 1.0);
            // Slope of the fade is at most 1.5 per unit over a range of 2.
            assert!(i == 1 || (next - last).abs() <= 0.0301, "{last} → {next}");
            last = next;
        }
    }

    #[test]
    fn a_plane_is_the_field_at_that_height() {
        let plane = RoughPlane::new(5, 7.0, [-30.0, -20.0], [30.0, 25.0], 11.3);
        for (x, y) in [(-30.0, -20.0), (0.0, 0.1), (12.7, -3.3), (30.0, 25.0)] {
            // Rounding of coordinates and of the order of interpolation.
            assert!((plane.at(x, y) - rough(5, [x / 7.0, y / 7.0, 11.3 / 7.0])).abs() < 1e-4);
        }
    }

    #[test]
    fn knots_are_joined_by_lines() {
        let knots = [(0.0, 1.0), (10.0, 3.0), (20.0, 3.0)];
        assert_eq!(
            [-5.0, 0.0, 5.0, 15.0, 99.0].map(|z| through(&knots, z)),
            [1.0, 1.0, 2.0, 3.0, 3.0]
        );
    }
}
