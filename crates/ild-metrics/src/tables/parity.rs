//! The older evaluation script's tables (`compute_metrics_flare22.py`), for those who have to
//! compare with its numbers.
//!
//! Its rules, which are not ours: both masks empty → 1; ground truth empty → 0; the stack of slices
//! is taken as it is, gaps or not; the spacing, stored as `(x, y, z)`, is applied to the axes `(z,
//! y, x)`, so its NSD is wrong unless voxels are cubes; numbers are rounded to four decimals.

use std::path::Path;

use ndarray::ArrayView3;
use polars::prelude::{Column, DataFrame, QuoteStyle};

use crate::cohort::Cohort;
use crate::statistics::mean;
use crate::tables::{write_csv, write_csv_quoted};
use crate::{
    AnnotatedCase, Confusion, EvaluateSettings, Labels, Mask, Prediction, Result, SurfelDistances,
};

/// DSC and NSD of every class of a case.
type Row = (String, Vec<[f64; 2]>);

/// Writes `metrics.csv`, `dsc_summary.csv` and `nsd_summary.csv` of the first system into `folder`.
///
/// Cases whose prediction is missing or does not lie on the annotated slices are left out, as that
/// script would stop at them.
///
/// # Errors
/// When a file cannot be written.
pub fn write_parity(cohort: &Cohort, settings: &EvaluateSettings, folder: &Path) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for case in &cohort.systems[0].cases {
        let Some(path) = &case.prediction_file else { continue };
        let truth = AnnotatedCase::read(&case.reference_file, settings.annotated, &cohort.table)?;
        match Prediction::read(path, &cohort.table) {
            Ok(prediction) if prediction.shape_zyx == <[usize; 3]>::from(truth.labels.dim()) => {
                let scores = cohort.classes.iter().map(|&class| {
                    scores(&truth, &prediction.labels, class, settings.nsd_tolerance_mm)
                });
                rows.push((format!("{}.npz", case.case), scores.collect()));
            }
            _ => tracing::warn!(
                "{}: left out of the parity tables, whose script reads only stacks of the annotated slices",
                case.case
            ),
        }
    }
    let names: Vec<String> = cohort.classes.iter().map(|&class| cohort.table.name(class)).collect();
    let mut columns =
        vec![Column::new("case".into(), rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>())];
    for (i, (suffix, file)) in
        [("DSC", "dsc_summary.csv"), ("NSD", "nsd_summary.csv")].into_iter().enumerate()
    {
        let values =
            |class: usize| rows.iter().map(move |row| row.1[class][i]).collect::<Vec<f64>>();
        let keys: Vec<String> = names.iter().map(|name| format!("{name}_{suffix}")).collect();
        columns.extend(
            keys.iter()
                .enumerate()
                .map(|(class, key)| Column::new(key.as_str().into(), values(class))),
        );
        let means: Vec<Option<f64>> = (0..keys.len()).map(|class| mean(&values(class))).collect();
        let frame = DataFrame::new_infer_height(vec![
            Column::new("".into(), keys),
            Column::new("0".into(), means),
        ])?;
        // The first column has no name, as pandas writes a series.
        write_csv_quoted(&folder.join(file), frame, QuoteStyle::Never)?;
    }
    write_csv(&folder.join("metrics.csv"), DataFrame::new_infer_height(columns)?)
}

fn scores(truth: &AnnotatedCase, predicted: &Labels, class: u8, tolerance_mm: f64) -> [f64; 2] {
    let Some(predicted) = predicted.of(class) else {
        return if truth.labels.iter().any(|&id| id == class) { [0.0; 2] } else { [1.0; 2] };
    };
    let confusion = confusion(truth.labels.view(), predicted, class);
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    match confusion.dice() {
        None => [1.0; 2],
        Some(_) if confusion.reference() == 0 => [0.0; 2],
        Some(dice) => {
            let masks = [truth.labels.view(), predicted].map(|labels| Mask { labels, id: class });
            let extent = masks[0].extent().zip(masks[1].extent()).map(|(a, b)| a.union(&b));
            // The mistake: x, y, z where z, y, x is meant.
            let spacing = truth.placement.geometry().spacing_xyz_mm;
            let surfel =
                extent.and_then(|extent| SurfelDistances::new(masks[0], masks[1], extent, spacing));
            [rounded(dice), surfel.map_or(0.0, |surfel| rounded(surfel.nsd(tolerance_mm)))]
        }
    }
}

fn confusion(reference: ArrayView3<u8>, predicted: ArrayView3<u8>, class: u8) -> Confusion {
    let mut counts = Confusion::default();
    for (&r, &p) in reference.iter().zip(&predicted) {
        counts.tp += u64::from(r == class && p == class);
        counts.fp += u64::from(r != class && p == class);
        counts.fn_ += u64::from(r == class && p != class);
    }
    counts
}
