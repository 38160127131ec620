//! The columns of every table: one list that names each metric, says which definition it follows,
//! and finds its value.

use crate::ClassScores;

/// Whether more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// A score.
    Higher,
    /// An error.
    Lower,
    /// Neither: a quantity.
    Neither,
}

/// A number that a class has in a case.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Column name.
    pub key: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Definition in words.
    pub meaning: &'static str,
    /// Direction.
    pub better: Better,
    /// The value; `None` where the definition gives none.
    pub value: fn(&ClassScores) -> Option<f64>,
}

macro_rules! metrics {
    ($($key:literal, $title:literal, $better:ident, $meaning:literal, $value:expr;)*) => {
        &[$(Metric { key: $key, title: $title, meaning: $meaning, better: Better::$better, value: $value }),*]
    };
}

/// Every metric, in the order of the columns.
pub const METRICS: &[Metric] = metrics! {
    "dice", "DSC", Higher, "2·TP / (2·TP + FP + FN) over all annotated voxels of the case; no value when the class is in neither map, 0 when it is in one only",
        |c| c.confusion.dice();
    "mean_slice_dice", "slice DSC", Higher, "mean of the DSC of the annotated slices where the class is in ground truth or prediction",
        ClassScores::mean_slice_dice;
    "iou", "IoU", Higher, "TP / (TP + FP + FN)", |c| c.confusion.iou();
    "sensitivity", "sensitivity", Higher, "TP / (TP + FN); no value without the class in the ground truth", |c| c.confusion.sensitivity();
    "precision", "precision", Higher, "TP / (TP + FP); no value without the class in the prediction", |c| c.confusion.precision();
    "volume_reference_ml", "volume, ground truth (mL)", Neither, "voxels × voxel volume, annotated slices", |c| Some(c.reference_ml());
    "volume_predicted_ml", "volume, prediction (mL)", Neither, "voxels × voxel volume, annotated slices", |c| Some(c.predicted_ml());
    "volume_error_ml", "volume error (mL)", Neither, "prediction − ground truth; no value when the class is in neither map",
        |c| c.confusion.dice().map(|_| c.predicted_ml() - c.reference_ml());
    "volume_error_percent", "volume error (%)", Neither, "of the ground truth's volume; no value without it",
        |c| (c.confusion.reference() > 0).then(|| 100.0 * (c.predicted_ml() - c.reference_ml()) / c.reference_ml());
    "nsd_surfel", "NSD", Higher, "share of both surfaces within the tolerance of the other (surface-distance: surface elements weighted by area); no value when either is empty",
        |c| c.surfel.map(|s| s.nsd);
    "hd95_surfel_mm", "HD95 surfel (mm)", Lower, "larger of the two area-weighted 95th percentiles (surface-distance)", |c| c.surfel.map(|s| s.hd95_mm);
    "asd_gt_to_pred_surfel_mm", "ASD ground truth → prediction (mm)", Lower, "area-weighted mean distance (surface-distance)",
        |c| c.surfel.map(|s| s.asd_reference_to_predicted_mm);
    "asd_pred_to_gt_surfel_mm", "ASD prediction → ground truth (mm)", Lower, "area-weighted mean distance (surface-distance)",
        |c| c.surfel.map(|s| s.asd_predicted_to_reference_mm);
    "hd95_voxel_mm", "HD95 voxel (mm)", Lower, "95th percentile of both directions' border-voxel distances together (MedPy)", |c| c.border.map(|b| b.hd95_mm);
    "assd_voxel_mm", "ASSD voxel (mm)", Lower, "mean of both directions' border-voxel distances together (MedPy)", |c| c.border.map(|b| b.assd_mm);
    "lesions_reference", "lesions, ground truth", Neither, "26-connected components", |c| Some(c.lesions.reference as f64);
    "lesions_found", "lesions found", Neither, "components of the ground truth of which the asked share is predicted", |c| Some(c.lesions.found as f64);
    "lesions_predicted", "lesions, prediction", Neither, "26-connected components", |c| Some(c.lesions.predicted as f64);
    "lesions_true", "predicted lesions that are true", Neither, "components of the prediction of which the asked share is in the ground truth",
        |c| Some(c.lesions.true_predicted as f64);
    "lesion_sensitivity", "lesion sensitivity", Higher, "found / in the ground truth", |c| c.lesions.sensitivity();
    "lesion_precision", "lesion precision", Higher, "true / predicted", |c| c.lesions.precision();
    "lesion_f1", "lesion F1", Higher, "harmonic mean of lesion sensitivity and precision; 0 when lesions are on one side only", |c| c.lesions.f1();
    "false_positive_elsewhere_ml", "volume on slices not annotated (mL)", Lower,
        "predicted where nobody looked: not known to be wrong, kept out of every other number", |c| Some(c.predicted_elsewhere as f64 * c.voxel_ml);
};

/// The metric with this column name.
#[must_use]
pub fn metric(key: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_in_neither_map_has_no_scores_and_no_volume() {
        let scores = ClassScores { voxel_ml: 0.001, ..ClassScores::default() };
        for metric in METRICS {
            let value = (metric.value)(&scores);
            match metric.better {
                Better::Neither if !metric.key.starts_with("volume_error") => {
                    assert_eq!(value, Some(0.0), "{}", metric.key)
                }
                _ if metric.key == "false_positive_elsewhere_ml" => assert_eq!(value, Some(0.0)),
                _ => assert_eq!(value, None, "{}", metric.key),
            }
        }
    }
}
