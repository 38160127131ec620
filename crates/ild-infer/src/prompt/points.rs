//! Points inside and outside a lesion.

use serde::Deserialize;

use super::boxes::Mismatch;
use crate::{Prompt, Scan};

/// A place on a slice.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Column.
    pub x: f64,
    /// Row.
    pub y: f64,
    /// Whether the lesion is there.
    pub inside: bool,
}

/// The prompt made of `points`; at least one of them must be inside the lesion.
pub(super) fn prompt(points: &[Point], scan: &Scan) -> Result<Prompt, Mismatch> {
    let [_, height, width] = scan.stack_shape();
    if !points.iter().any(|point| point.inside) {
        return Err((
            "a point inside the lesion".into(),
            format!("{} points, all outside it", points.len()),
        ));
    }
    let off = points
        .iter()
        .find(|p| !(p.x >= 0.0 && p.y >= 0.0 && p.x < width as f64 && p.y < height as f64));
    match off {
        Some(point) => Err((
            format!("points on the slice, {width} × {height} px"),
            format!("({}, {})", point.x, point.y),
        )),
        None => Ok(Prompt::Points(points.iter().map(|p| ([p.x, p.y], p.inside)).collect())),
    }
}
