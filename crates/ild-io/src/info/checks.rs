//! What is worth a warning.

use super::ValueRange;
use crate::volume::geometry::VISIBLE_SHEAR;
use crate::{Geometry, HeaderNote, Voxels, hounsfield_doubt};

/// Pixels of a CT are square; more difference than this is a reformat or a wrong header.
const SQUARE_RELATIVE: f64 = 0.01;

pub(super) fn of_geometry(geometry: &Geometry) -> Vec<String> {
    let mut out: Vec<String> =
        geometry.implausible_spacing().iter().map(ToString::to_string).collect();
    let [x, y, z] = geometry.spacing_xyz_mm;
    if (x - y).abs() > SQUARE_RELATIVE * x.max(y)
        && geometry.affine.axis_codes().ends_with(['S', 'I'])
    {
        out.push(format!("pixels are not square: {x} × {y} mm"));
    }
    let origin_is_zero = (0..3).all(|row| geometry.affine.0[row][3] == 0.0);
    if [x, y, z] == [1.0; 3] && origin_is_zero {
        out.push(
            "spacing 1 × 1 × 1 mm at origin 0: a header that was probably never filled in"
                .to_owned(),
        );
    }
    if geometry.shape_zyx.contains(&1) {
        let axis = ["z", "y", "x"][geometry.shape_zyx.iter().position(|&n| n == 1).unwrap_or(0)];
        out.push(format!("a single slice along {axis}"));
    }
    let shear = geometry.affine.shear();
    if shear > VISIBLE_SHEAR {
        out.push(HeaderNote::NotRightAngled { degrees: shear.asin().to_degrees() }.to_string());
    }
    out
}

pub(super) fn of_labels(range: &ValueRange) -> Vec<String> {
    if range.max > 255.0 {
        vec![format!("label ids up to {}: as a label map it is refused, ids end at 255", range.max)]
    } else {
        Vec::new()
    }
}

pub(super) fn of_image(voxels: &Voxels, range: &ValueRange) -> Vec<String> {
    let mut out = Vec::new();
    if range.not_finite > 0 {
        out.push(format!(
            "{} values are NaN or infinite; as a scan it is refused",
            range.not_finite
        ));
    }
    out.extend(hounsfield_doubt(voxels));
    if range.below_air_share > 0.0 {
        out.push(format!(
            "{:.1} % of the values lie below -1100 HU (padding outside the field of view)",
            100.0 * range.below_air_share
        ));
    }
    out
}

/// Slices that an NPZ leaves out between its first and its last.
pub(super) fn of_slices(z_index: &[usize]) -> Option<String> {
    let gaps: Vec<String> = z_index
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > 1)
        .map(|pair| format!("{}→{}", pair[0], pair[1]))
        .collect();
    if gaps.is_empty() {
        return None;
    }
    let shown = gaps.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let more = if gaps.len() > 5 { ", …" } else { "" };
    Some(format!(
        "neighbouring slices are not neighbours in the patient at {} places (z {shown}{more})",
        gaps.len()
    ))
}
