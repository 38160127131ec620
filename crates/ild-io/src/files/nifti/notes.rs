//! What is odd about a header that can still be read.

use super::Header;
use crate::Geometry;
use crate::volume::case::SAME_GRID_MM;

/// Relative difference between pixdim and the sform's axes that 32-bit rounding does not explain.
const SPACING_RELATIVE: f64 = 1e-3;

/// One sentence for each oddity.
pub(crate) fn of_header(header: &Header, geometry: &Geometry) -> Vec<String> {
    let mut notes = Vec::new();
    let o = &header.orientation;
    let spacing = geometry.spacing_xyz_mm;
    if header.unit_mm != 1.0 {
        notes.push(format!("lengths are not in mm; multiplied by {}", header.unit_mm));
    }
    if !header.slope_is_set() && header.scaling().is_some() {
        notes.push(format!(
            "scl_slope is {}: taken as 1, the intercept {} is added as SimpleITK does",
            header.slope, header.inter
        ));
    } else if !header.slope.is_finite() || !header.inter.is_finite() {
        notes.push(format!(
            "scl_slope {} and scl_inter {} are no scaling; values are taken as stored",
            header.slope, header.inter
        ));
    }
    if o.pixdim[1..].iter().any(|p| !p.is_finite() || *p <= 0.0) {
        notes.push(format!("pixdim {:?} is no spacing; taken as {spacing:?} mm", &o.pixdim[1..]));
    }
    if o.sform_code > 0 && o.sform().is_none() {
        notes.push("the sform is not a usable matrix and is ignored".to_owned());
    }
    if o.sform_code <= 0 && o.qform_code <= 0 {
        notes.push(
            "neither sform nor qform: position and orientation in the patient are unknown"
                .to_owned(),
        );
    }
    if let Some(sform) = o.sform() {
        let lengths = sform.spacing_xyz_mm();
        if lengths.iter().zip(&spacing).any(|(a, b)| (a - b).abs() > SPACING_RELATIVE * b) {
            notes.push(format!(
                "pixdim says {spacing:?} mm but the sform's axes are {lengths:.4?} mm long"
            ));
        }
        if let Some(qform) = o.qform_of(spacing) {
            let apart = Geometry::new(geometry.shape_zyx, qform)
                .corner_distance_mm(&Geometry::new(geometry.shape_zyx, sform));
            if apart > SAME_GRID_MM {
                notes.push(format!(
                    "sform and qform disagree by up to {apart:.2} mm; the sform is used"
                ));
            }
        }
    }
    notes
}
