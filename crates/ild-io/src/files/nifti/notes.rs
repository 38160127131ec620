//! What is odd about a header beside its geometry.

use super::Header;
use crate::HeaderNote;

/// Unit and scaling.
pub(super) fn of_header(header: &Header) -> Vec<HeaderNote> {
    let unit = (header.unit_mm != 1.0).then_some(HeaderNote::UnitOfLength { mm: header.unit_mm });
    unit.into_iter().chain(scaling(header)).collect()
}

fn scaling(header: &Header) -> Option<HeaderNote> {
    let (slope, inter) = (header.slope, header.inter);
    let taken = match (header.slope_is_set(), inter.is_finite(), header.scaling()) {
        (false, _, Some(_)) => format!(
            "scl_slope is {slope}: taken as 1, the intercept {inter} is added as SimpleITK does"
        ),
        (true, false, Some(_)) => {
            format!("scl_inter is {inter}: taken as 0, the slope {slope} is applied")
        }
        (_, true, _) if slope.is_finite() => return None,
        _ => format!(
            "scl_slope {slope} and scl_inter {inter} are no scaling; values are taken as stored"
        ),
    };
    Some(HeaderNote::Scaling { taken })
}

/// What a file is read as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Image,
    Labels,
}

/// An intent (`nifti1.h`, "NIFTI_INTENT") that speaks against reading the file as `role`.
pub(super) fn of_intent(header: &Header, role: Role) -> Option<HeaderNote> {
    let name = match header.intent {
        2..=24 => "a statistic",
        1002 | 1003 if role == Role::Image => "labels",
        1004 | 1005 => "matrices",
        1006 => "displacements",
        1007 => "vectors",
        1008 | 1009 => "points of a mesh",
        1010 => "quaternions",
        2001..=2005 => "a time series or shape",
        _ => return None,
    };
    Some(HeaderNote::Intent { code: header.intent, name: name.to_owned() })
}
