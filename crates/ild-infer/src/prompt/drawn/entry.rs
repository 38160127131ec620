//! One drawn prompt.

use serde::Deserialize;

use super::Mismatch;
use super::label::LabelRef;
use super::shapes::{Point, box_on_slice, mismatch, points_on_slice, slices};
use crate::Scan;
use crate::coordinates::{CtSlice, Span};
use crate::prompt::{SlicePrompt, Track};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    label: LabelRef,
    pub(super) slice: Option<usize>,
    #[serde(rename = "box")]
    pub(super) corners: Option<Vec<f64>>,
    pub(super) points: Option<Vec<Point>>,
    pub(super) span: Option<[usize; 2]>,
}

impl Entry {
    pub(super) fn track(&self, scan: &Scan) -> Result<Track, Mismatch> {
        let label = self.label.id(&scan.label_table)?;
        match (&self.corners, &self.points, self.slice, self.span) {
            (Some(corners), None, None, None) => volume_box(corners, label, scan),
            (Some(corners), None, Some(slice), span) => {
                let &[x0, y0, x1, y1] = corners.as_slice() else {
                    return Err(mismatch("4 numbers beside `slice`", corners));
                };
                let prompt = box_on_slice([x0, y0, x1, y1], scan.slice_size())?;
                on_slice(CtSlice(slice), span, label, prompt, scan)
            }
            (None, Some(points), Some(slice), span) => {
                let prompt = points_on_slice(points, scan.slice_size())?;
                on_slice(CtSlice(slice), span, label, prompt, scan)
            }
            _ => Err((
                "a 3-D `box`, or `slice` with `box`, or `slice` with `points`".into(),
                "something else".into(),
            )),
        }
    }
}

fn volume_box(corners: &[f64], label: u8, scan: &Scan) -> Result<Track, Mismatch> {
    let &[x0, y0, z0, x1, y1, z1] = corners else {
        return Err(mismatch("6 numbers, or 4 beside `slice`", corners));
    };
    let slices = slices(z0, z1, scan.grid().shape_zyx[0])?;
    let span = scan.stack_span(slices).ok_or_else(|| not_in_stack(&format!("{z0} to {z1}")))?;
    let prompt = box_on_slice([x0, y0, x1, y1], scan.slice_size())?;
    Ok(Track { label, start: span.middle(), span, prompt })
}

fn on_slice(
    slice: CtSlice,
    span: Option<[usize; 2]>,
    label: u8,
    prompt: SlicePrompt,
    scan: &Scan,
) -> Result<Track, Mismatch> {
    let start = scan.position(slice).ok_or_else(|| not_in_stack(&slice.0.to_string()))?;
    let span = match span.map(|[z0, z1]| Span { first: CtSlice(z0), last: CtSlice(z1) }) {
        None => Span::whole(scan.z_index().len()),
        Some(span) if span.holds(slice) => scan.stack_span(span).unwrap_or(Span::only(start)),
        Some(span) => {
            let found = format!("[{}, {}]", span.first.0, span.last.0);
            return Err((format!("a `span` around slice {}", slice.0), found));
        }
    };
    Ok(Track { label, start, span, prompt })
}

fn not_in_stack(slices: &str) -> Mismatch {
    ("slices that the stack holds".into(), format!("slice {slices}, which it does not"))
}
