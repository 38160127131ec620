//! Whether a lung mask can be believed.

use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::Geometry;

/// Adult lungs on CT, from a fibrotic lung in expiration to a large man in inspiration, mL.
const PLAUSIBLE_ML: [f64; 2] = [800.0, 10_000.0];
/// Smaller share of one lung than this: one lung is missing, or the mask leaks on one side.
const SMALLER_LUNG_SHARE: f64 = 0.15;
/// Where the air around or inside the patient is looked for, HU, and how near −1000 its most
/// frequent value must be.
const AIR_HU: [i16; 2] = [-1150, -850];
const AIR_TOLERANCE_HU: i32 = 60;
/// Share of the voxels that must be air for the check to mean something.
const AIR_SHARE: f64 = 0.005;

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LungCheck {
    /// What was looked at.
    pub name: String,
    /// Whether it is as in a chest CT.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

/// Volumes and checks of a lung mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LungQuality {
    /// Whole mask, mL.
    pub volume_ml: f64,
    /// The two sides of the patient's middle (low and high column indices), mL.
    pub sides_ml: [f64; 2],
    /// What was checked.
    pub checks: Vec<LungCheck>,
}

impl LungQuality {
    /// What failed, in words; empty when the mask can be believed.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| format!("{}: {}", check.name, check.found))
            .collect()
    }
}

pub(super) fn judge(mask: &Array3<bool>, hu: &Array3<i16>, geometry: &Geometry) -> LungQuality {
    let voxel_ml = geometry.voxel_volume_ml();
    let sides_ml = sides(mask).map(|voxels| voxels as f64 * voxel_ml);
    let volume_ml: f64 = sides_ml.iter().sum();
    let smaller = sides_ml[0].min(sides_ml[1]) / volume_ml.max(f64::MIN_POSITIVE);
    let check = |name: &str, passed: bool, found: String| LungCheck {
        name: name.to_owned(),
        passed,
        found,
    };
    let codes = geometry.affine.axis_codes();
    let checks = vec![
        check("axial slices", codes.ends_with(['S', 'I']), format!("axes point to {codes}")),
        air_check(hu),
        check(
            "lung volume",
            (PLAUSIBLE_ML[0]..=PLAUSIBLE_ML[1]).contains(&volume_ml),
            format!("{volume_ml:.0} mL"),
        ),
        check(
            "two lungs",
            smaller >= SMALLER_LUNG_SHARE,
            format!("{:.0} and {:.0} mL on the two sides", sides_ml[0], sides_ml[1]),
        ),
    ];
    LungQuality { volume_ml, sides_ml, checks }
}

/// Lung voxels on the two sides of the middle between the mask's outermost columns.
fn sides(mask: &Array3<bool>) -> [u64; 2] {
    let mut per_column = vec![0u64; mask.dim().2];
    for row in mask.rows() {
        for (count, &inside) in per_column.iter_mut().zip(row) {
            *count += u64::from(inside);
        }
    }
    let Some(first) = per_column.iter().position(|&n| n > 0) else { return [0, 0] };
    let last = per_column.iter().rposition(|&n| n > 0).unwrap_or(first);
    let middle = (first + last).div_ceil(2);
    [per_column[..middle].iter().sum(), per_column[middle..].iter().sum()]
}

fn air_check(hu: &Array3<i16>) -> LungCheck {
    let mut histogram = vec![0u64; (AIR_HU[1] - AIR_HU[0]) as usize];
    for &v in hu {
        if (AIR_HU[0]..AIR_HU[1]).contains(&v) {
            histogram[(v - AIR_HU[0]) as usize] += 1;
        }
    }
    let share = histogram.iter().sum::<u64>() as f64 / hu.len().max(1) as f64;
    let peak = histogram
        .iter()
        .enumerate()
        .max_by_key(|&(_, n)| n)
        .map_or(0, |(i, _)| i as i32 + i32::from(AIR_HU[0]));
    let name = "air near -1000 HU".to_owned();
    if share < AIR_SHARE {
        return LungCheck {
            name,
            passed: false,
            found: format!("{:.1} % of the voxels; are these Hounsfield units?", 100.0 * share),
        };
    }
    LungCheck {
        name,
        passed: (peak + 1000).abs() <= AIR_TOLERANCE_HU,
        found: format!("most frequent value of air is {peak} HU"),
    }
}
