//! How far two sets of numbers are apart.

/// Largest absolute difference, and the same divided by the largest absolute expected value.
#[derive(Debug, Clone, Copy)]
pub struct Distance {
    pub absolute: f32,
    pub relative: f32,
}

pub fn distance(found: &[f32], expected: &[f32]) -> Distance {
    assert_eq!(found.len(), expected.len(), "as many numbers as expected");
    assert!(found.iter().all(|value| value.is_finite()), "finite numbers");
    let absolute = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    Distance { absolute, relative: absolute / largest.max(f32::MIN_POSITIVE) }
}

/// Intermediates: SAM 2 in f32 and in f64 differ by up to 1e-6 of the largest value; the order of
/// additions differs here too.
pub const INTERMEDIATE: f32 = 5e-5;
/// Logits of generated weights reach ±20; the reference in f32 is within 1.6e-5 of itself in f64.
pub const LOGITS: f32 = 2e-4;
/// Gradients pass through the network twice; the reference in f32 is within 3.6e-7 of itself in
/// f64, on gradients up to 0.1.
pub const GRADIENT: f32 = 2e-4;

/// Asserts, and prints what was measured.
pub fn assert_close(name: &str, found: &[f32], expected: &[f32], relative: f32) {
    let distance = distance(found, expected);
    println!("{name}: {distance:?}");
    assert!(distance.relative <= relative, "{name}: {distance:?}, allowed {relative}");
}

/// Asserts on the absolute difference, and prints what was measured.
pub fn assert_near(name: &str, found: &[f32], expected: &[f32], absolute: f32) {
    let distance = distance(found, expected);
    println!("{name}: {distance:?}");
    assert!(distance.absolute <= absolute, "{name}: {distance:?}, allowed {absolute}");
}
