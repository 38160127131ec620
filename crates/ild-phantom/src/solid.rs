//! Signed distances to simple solids, mm: negative inside. Exact near the surface, good enough
//! elsewhere.

/// Ellipsoid around `centre` with half-axes `radii`.
pub(crate) fn ellipsoid(p: [f32; 3], centre: [f32; 3], radii: [f32; 3]) -> f32 {
    let scaled: [f32; 3] = std::array::from_fn(|i| (p[i] - centre[i]) / radii[i]);
    let length = norm(scaled);
    let slope = norm::<3>(std::array::from_fn(|i| scaled[i] / radii[i]));
    if slope > 0.0 {
        length * (length - 1.0) / slope
    } else {
        -radii[0].min(radii[1]).min(radii[2])
    }
}

/// Ellipse in a slice.
pub(crate) fn ellipse(p: [f32; 2], centre: [f32; 2], radii: [f32; 2]) -> f32 {
    squircle(p, centre, radii, 0.0)
}

/// Rounded box in a slice: `squareness` 0 is an ellipse, towards 1 a rectangle (Fernández-Guasti's
/// squircle).
pub(crate) fn squircle(p: [f32; 2], centre: [f32; 2], radii: [f32; 2], squareness: f32) -> f32 {
    let (u, v) = ((p[0] - centre[0]) / radii[0], (p[1] - centre[1]) / radii[1]);
    // Beyond the shape the product term would turn the surface inside out; held at its value on the
    // corner.
    let (uu, vv) = ((u * u).min(1.2), (v * v).min(1.2));
    let level = (u * u + v * v - squareness * uu * vv).max(0.0).sqrt();
    let slope_x = u * (1.0 - squareness * vv) / radii[0];
    let slope_y = v * (1.0 - squareness * uu) / radii[1];
    let slope = (slope_x * slope_x + slope_y * slope_y).sqrt();
    if slope > 0.0 { (level - 1.0) * level / slope } else { -radii[0].min(radii[1]) }
}

/// Axis-aligned box in a slice.
pub(crate) fn rectangle(p: [f32; 2], centre: [f32; 2], half: [f32; 2]) -> f32 {
    let d = [(p[0] - centre[0]).abs() - half[0], (p[1] - centre[1]).abs() - half[1]];
    let outside = [d[0].max(0.0), d[1].max(0.0)];
    (outside[0] * outside[0] + outside[1] * outside[1]).sqrt() + d[0].max(d[1]).min(0.0)
}

/// Distance from `p` to the segment `a`–`b`, and how far along it the nearest point lies (0 at `a`,
/// 1 at `b`).
pub(crate) fn segment<const N: usize>(p: [f32; N], a: [f32; N], b: [f32; N]) -> (f32, f32) {
    let along: [f32; N] = std::array::from_fn(|i| b[i] - a[i]);
    let to: [f32; N] = std::array::from_fn(|i| p[i] - a[i]);
    let squared = dot(along, along);
    let t = if squared > 0.0 { (dot(to, along) / squared).clamp(0.0, 1.0) } else { 0.0 };
    (norm::<N>(std::array::from_fn(|i| to[i] - t * along[i])), t)
}

/// Intersection of two solids with the edge rounded over about `radius` mm.
pub(crate) fn meet(a: f32, b: f32, radius: f32) -> f32 {
    let overlap = (radius - (a - b).abs()).max(0.0);
    a.max(b) + overlap * overlap / (4.0 * radius)
}

/// Union of two solids with the crease filled over about `radius` mm.
pub(crate) fn join(a: f32, b: f32, radius: f32) -> f32 {
    -meet(-a, -b, radius)
}

/// Share of a pixel of width `size` that lies inside a surface at signed distance `distance`.
#[inline]
pub(crate) fn coverage(distance: f32, size: f32) -> f32 {
    (0.5 - distance / size).clamp(0.0, 1.0)
}

/// Euclidean length.
pub(crate) fn norm<const N: usize>(v: [f32; N]) -> f32 {
    dot(v, v).sqrt()
}

fn dot<const N: usize>(a: [f32; N], b: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for i in 0..N {
        sum += a[i] * b[i];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The closed forms are first-order: exact on the surface and on the axes of a circle.
    const TOLERANCE_MM: f32 = 1e-4;

    #[test]
    fn distances_are_those_of_the_textbook_where_it_has_one() {
        assert!((ellipsoid([0.0, 0.0, 7.0], [0.0; 3], [5.0; 3]) - 2.0).abs() < TOLERANCE_MM);
        assert!((ellipse([3.0, 0.0], [0.0; 2], [4.0; 2]) + 1.0).abs() < TOLERANCE_MM);
        assert!(squircle([30.0, 0.0], [0.0; 2], [30.0, 20.0], 0.5).abs() < TOLERANCE_MM);
        assert!((rectangle([5.0, 7.0], [0.0; 2], [2.0, 3.0]) - 5.0).abs() < TOLERANCE_MM);
        assert_eq!(segment([5.0, 3.0], [0.0, 0.0], [10.0, 0.0]), (3.0, 0.5));
    }

    #[test]
    fn a_rounded_meeting_is_never_larger_than_the_sharp_one() {
        for (a, b) in [(-3.0, -4.0), (1.0, -8.0), (2.0, 2.0)] {
            assert!(meet(a, b, 6.0) >= f32::max(a, b));
        }
    }
}
