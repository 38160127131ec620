//! Distance transform of a sampled function in one dimension.

/// `out[i] = min over q of f[q] + ((i − q) · spacing)²` by the lower envelope of parabolas
/// (Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012, section 2.1).
///
/// Infinite samples take no part; returns false, and leaves `out` alone, when there are no others.
pub(crate) fn lower_envelope(f: &[f64], spacing: f64, out: &mut [f64]) -> bool {
    let weight = spacing * spacing;
    // Parabolas of the envelope from left to right: their vertex, and where each takes over.
    let mut vertices: Vec<usize> = Vec::new();
    let mut from: Vec<f64> = Vec::new();
    for (q, &height) in f.iter().enumerate() {
        if height.is_infinite() {
            continue;
        }
        let mut start = f64::NEG_INFINITY;
        while let (Some(&p), Some(&since)) = (vertices.last(), from.last()) {
            let (a, b) = (p as f64, q as f64);
            start = ((height - f[p]) / weight + (b * b - a * a)) / (2.0 * (b - a));
            if start > since {
                break;
            }
            vertices.pop();
            from.pop();
            start = f64::NEG_INFINITY;
        }
        vertices.push(q);
        from.push(start);
    }
    let mut k = 0;
    for (i, out) in out.iter_mut().enumerate().take(f.len()) {
        while from.get(k + 1).is_some_and(|&next| next < i as f64) {
            k += 1;
        }
        let Some(&vertex) = vertices.get(k) else { return false };
        *out = f[vertex] + ((i as f64 - vertex as f64) * spacing).powi(2);
    }
    true
}
