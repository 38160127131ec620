//! Random fields in space, by hashing the lattice: the value at a point depends on seed and point alone, never on order.
//!
//! Only `+ − × ÷ √` are used here and in the rest of the phantom: IEEE 754 fixes their result to the last bit, so the same
//! seed gives the same voxels on every machine (library sines and powers do not).

/// Largest integer at or below `value`; the library's `floor` is a function call on plain x86-64.
#[inline]
pub(crate) fn floor(value: f32) -> i32 {
    let truncated = value as i32;
    truncated - i32::from((truncated as f32) > value)
}

/// Mixes a lattice point into 32 well-spread bits (the finaliser of MurmurHash3).
#[inline]
pub(crate) fn hash(seed: u32, x: i32, y: i32, z: i32) -> u32 {
    let mut h = seed ^ (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ (z as u32).wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// `[0, 1)` from a hash.
#[inline]
fn unit(hash: u32) -> f32 {
    (hash >> 8) as f32 / (1u32 << 24) as f32
}

/// Mean 0, variance 1, from the four bytes of a hash: their sum is close enough to normal for detector noise (|value| ≤ 3.5).
#[inline]
pub(crate) fn normal(hash: u32) -> f32 {
    let bytes = (hash & 0xFF) + (hash >> 8 & 0xFF) + (hash >> 16 & 0xFF) + (hash >> 24);
    // The sum of four uniform bytes has mean 510 and variance 4·(256² − 1)/12.
    (bytes as f32 - 510.0) / 147.799_86
}

#[inline]
fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Smooth value noise in `[−1, 1]` with one lattice point per unit; features are about one unit wide.
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
    0.7 * value(seed, p) + 0.3 * value(seed ^ 0x5bd1_e995, p.map(|c| 2.3 * c))
}

/// Distance from `p` to the nearest and to the second-nearest of points strewn one per unit cell (Worley noise).
/// The walls of the cells are where the two are equal.
pub(crate) fn cells(seed: u32, p: [f32; 3]) -> [f32; 2] {
    let cell = p.map(floor);
    let mut nearest = [f32::MAX; 2];
    for dz in -1..=1 {
        for dy in -1..=1 {
            for dx in -1..=1 {
                let [x, y, z] = [cell[0] + dx, cell[1] + dy, cell[2] + dz];
                let h = hash(seed, x, y, z);
                let jitter = |shift: u32| (h >> shift & 0x3FF) as f32 / 1024.0;
                let d = [x as f32 + jitter(0) - p[0], y as f32 + jitter(10) - p[1], z as f32 + jitter(20) - p[2]];
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
            return if span > 0.0 { mix(previous.1, knot.1, ((at - previous.0) / span).clamp(0.0, 1.0)) } else { knot.1 };
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
    fn knots_are_joined_by_lines() {
        let knots = [(0.0, 1.0), (10.0, 3.0), (20.0, 3.0)];
        assert_eq!([-5.0, 0.0, 5.0, 15.0, 99.0].map(|z| through(&knots, z)), [1.0, 1.0, 2.0, 3.0, 3.0]);
    }
}
