//! `<case>.json`: everything about a result.

use ndarray::Array3;
use serde_json::{Value, json};

use crate::Engine;
use crate::coordinates::CtSlice;
use crate::merge::spread::Disagreement;
use crate::run::case::Segmented;
use crate::settings::Resolved;

/// How voxels that several labels claim are given away.
const OVERLAP_RULE: &str = "higher probability; of equal ones the lower id";

/// Everything about a result whose label map on the output grid is `labels`.
#[must_use]
pub fn of(
    done: &Segmented,
    labels: &Array3<u8>,
    settings: &Resolved,
    engine: Option<&Engine>,
) -> Value {
    let scan = &done.scan;
    json!({
        "case": scan.id,
        "program": format!("ild-infer {}", env!("CARGO_PKG_VERSION")),
        "prompt": done.provenance,
        "model": engine.map(|engine| &engine.origin),
        "window": scan.windowing,
        "labels": rows(done, labels),
        "label_table": scan.label_table,
        "overlap": { "rule": OVERLAP_RULE, "voxels": done.merger.overlapping() },
        "islands": { "smallest_ml": settings.smallest_ml, "dropped": done.dropped },
        "gaps": {
            "count": scan.placement.gaps(),
            "rule": settings.journey.gap,
        },
        "parity": settings.flags.parity,
        "propagate": settings.flags.propagate,
        "preset": scan.preset,
        "bbox_shift_px": settings.journey.bbox_shift,
        "stop_after": settings.journey.stop_after,
        // Axial, as slices are numbered here; the files are stored as the CT is.
        "grid": {
            "shape_zyx": scan.grid().shape_zyx,
            "spacing_xyz_mm": scan.grid().spacing_xyz_mm,
            "affine_ras": scan.grid().affine.0,
            "stored": scan.grid().stored_codes(),
            "header_notes": scan.grid().notes,
        },
        "slices": scan.z_index().len(),
        "slices_encoded": done.encoded,
        "notes": scan.notes,
    })
}

/// One row per label that the model was asked about.
fn rows(done: &Segmented, labels: &Array3<u8>) -> Vec<Value> {
    let scan = &done.scan;
    let voxel_ml = scan.grid().voxel_volume_ml();
    let mut voxels = [0u64; 256];
    for &id in labels {
        voxels[usize::from(id)] += 1;
    }
    let on_stack = scan.placement.of_ct(labels.view());
    let spread =
        (!done.merger.spread.is_empty()).then(|| done.merger.spread.by_label(on_stack.view()));
    let rows = done.merger.per_label.iter().map(|(&id, prediction)| {
        let slices: Vec<CtSlice> = prediction
            .masks
            .iter()
            .filter(|(_, patch)| patch.is_some())
            .map(|(&slice, _)| scan.ct_slice(slice))
            .collect();
        let scores = prediction.mean_scores();
        let mut row = json!({
            "id": id,
            "name": scan.label_table.name(id),
            "color": scan.label_table.color(id),
            "voxels": voxels[usize::from(id)],
            "volume_ml": voxels[usize::from(id)] as f64 * voxel_ml,
            "slices": slices.first().zip(slices.last()),
            "slices_visited": prediction.masks.len(),
            "mean_predicted_iou": scores.map(|[iou, _]| iou),
            "mean_object_score": scores.map(|[_, object]| object),
        });
        if let Some(spread) = &spread {
            row["views"] = views(spread.get(&id).copied().unwrap_or_default(), voxel_ml);
        }
        row
    });
    rows.collect()
}

/// What several views make of a label.
fn views(found: Disagreement, voxel_ml: f64) -> Value {
    json!({
        "undecided_ml": found.undecided_voxels as f64 * voxel_ml,
        "mean_distance": found.mean_distance,
    })
}
