//! The numbers of an entry: boxes and points that lie on the slice.

use ild_model::{SliceBox, SlicePoint, SliceSize};
use serde::Deserialize;

use super::Mismatch;
use crate::coordinates::{CtSlice, Span};
use crate::prompt::SlicePrompt;

/// A place on a slice.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    inside: bool,
}

pub(super) fn mismatch(expected: impl Into<String>, found: &[f64]) -> Mismatch {
    (expected.into(), format!("{found:?}"))
}

/// A box whose corners are pixels of the slice.
pub(super) fn box_on_slice(corners: [f64; 4], size: SliceSize) -> Result<SlicePrompt, Mismatch> {
    let [x0, y0, x1, y1] = corners;
    let last = [size.width - 1, size.height - 1];
    let inside = x0 >= 0.0
        && y0 >= 0.0
        && x1 <= last[0] as f64
        && y1 <= last[1] as f64
        && x0 <= x1
        && y0 <= y1;
    if inside {
        return Ok(SlicePrompt::Box(SliceBox::new(corners)));
    }
    let expected = format!(
        "x0 <= x1 within 0..={} and y0 <= y1 within 0..={} (both corners belong to the box)",
        last[0], last[1]
    );
    Err(mismatch(expected, &corners))
}

/// Slices `z0` to `z1` of a CT of `depth`.
pub(super) fn slices(z0: f64, z1: f64, depth: usize) -> Result<Span<CtSlice>, Mismatch> {
    let whole = z0.fract() == 0.0 && z1.fract() == 0.0;
    if whole && z0 >= 0.0 && z0 <= z1 && z1 < depth as f64 {
        return Ok(Span { first: CtSlice(z0 as usize), last: CtSlice(z1 as usize) });
    }
    Err(mismatch(format!("whole slices z0 <= z1 within 0..={}", depth - 1), &[z0, z1]))
}

/// Points on the slice, at least one of them inside the lesion.
pub(super) fn points_on_slice(points: &[Point], size: SliceSize) -> Result<SlicePrompt, Mismatch> {
    if !points.iter().any(|point| point.inside) {
        return Err((
            "a point inside the lesion".into(),
            format!("{} points, all outside it", points.len()),
        ));
    }
    let last = [(size.width - 1) as f64, (size.height - 1) as f64];
    let off =
        points.iter().find(|p| !((0.0..=last[0]).contains(&p.x) && (0.0..=last[1]).contains(&p.y)));
    match off {
        Some(point) => Err((
            format!("points on the slice, x within 0..={} and y within 0..={}", last[0], last[1]),
            format!("({}, {})", point.x, point.y),
        )),
        None => Ok(SlicePrompt::Points(
            points.iter().map(|p| (SlicePoint { x: p.x, y: p.y }, p.inside)).collect(),
        )),
    }
}
