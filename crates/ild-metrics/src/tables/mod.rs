//! The tables of an evaluation, as data frames and CSV files. What each column means:
//! [`crate::METRICS`] and `docs/metrics.md`.

pub(crate) mod columns;
pub(crate) mod metric;
pub(crate) mod output;
pub(crate) mod parity;
pub(crate) mod printed;
pub(crate) mod summary;

use std::path::Path;

use polars::prelude::{CsvWriter, DataFrame, QuoteStyle, SerWriter};

use crate::cohort::{Cohort, ScoredCase, System};
use crate::tables::columns::{counts, frame, numbers, text};
use crate::{Evaluation, METRICS, Metric, Result, added_up, metric};

/// Writes a table as CSV beside its final name and renames it; a missing value is an empty field.
///
/// # Errors
/// When the file cannot be written.
pub fn write_csv(path: &Path, frame: DataFrame) -> Result<()> {
    write_csv_quoted(path, frame, QuoteStyle::Necessary)
}

pub(crate) fn write_csv_quoted(
    path: &Path,
    mut frame: DataFrame,
    quotes: QuoteStyle,
) -> Result<()> {
    Ok(ild_cli::write_atomic_unsynced(path, |file| {
        CsvWriter::new(file).with_quote_style(quotes).finish(&mut frame)
    })?)
}

/// `metrics.csv`: the older scripts' wide form, `case, <Class>_DSC …, <Class>_NSD …`, one row per
/// case of one system.
///
/// # Errors
/// When two classes share a name.
pub fn wide(cohort: &Cohort, system: &System) -> Result<DataFrame> {
    let mut columns = vec![text("case", system.cases.iter().map(|case| case.case.as_str()))];
    for (key, suffix) in [("dice", "DSC"), ("nsd_surfel", "NSD")] {
        let Some(metric) = metric(key) else { continue };
        for &class in &cohort.classes {
            columns.push(numbers(
                &format!("{}_{suffix}", cohort.table.name(class)),
                cohort.values(system, class, metric),
            ));
        }
    }
    frame(columns)
}

/// `cases.csv`: one row per system, case and class, every metric a column.
///
/// # Errors
/// None that are known.
pub fn cases(cohort: &Cohort) -> Result<DataFrame> {
    let rows: Vec<(&System, &ScoredCase, u8)> = cohort
        .systems
        .iter()
        .flat_map(|system| system.cases.iter().map(move |case| (system, case)))
        .flat_map(|(system, case)| cohort.classes.iter().map(move |&class| (system, case, class)))
        .collect();
    let score = |metric: &Metric| {
        rows.iter()
            .map(|(_, case, class)| case.scores.classes.get(class).and_then(metric.value))
            .collect::<Vec<_>>()
    };
    let confusion = |part: fn(&crate::Confusion) -> u64| {
        rows.iter()
            .map(|(_, case, class)| {
                case.scores.classes.get(class).map_or(0, |c| part(&c.confusion))
            })
            .collect::<Vec<_>>()
    };
    let mut columns = vec![
        text("system", rows.iter().map(|(system, ..)| system.name.as_str())),
        text("case", rows.iter().map(|(_, case, _)| case.case.as_str())),
        text("patient", rows.iter().map(|(_, case, _)| case.patient.as_str())),
        text("outcome", rows.iter().map(|(_, case, _)| case.outcome.word())),
        counts("label", rows.iter().map(|(.., class)| u64::from(*class))),
        text("class", rows.iter().map(|(.., class)| cohort.table.name(*class))),
        counts("tp", confusion(|c| c.tp)),
        counts("fp", confusion(|c| c.fp)),
        counts("fn", confusion(|c| c.fn_)),
        counts("slices_annotated", rows.iter().map(|(_, case, _)| case.scores.slices.len() as u64)),
        counts(
            "slices_not_annotated",
            rows.iter().map(|(_, case, _)| case.scores.slices_elsewhere as u64),
        ),
    ];
    columns.extend(METRICS.iter().map(|metric| numbers(metric.key, score(metric))));
    frame(columns)
}

/// `slices.csv`: one row per system, case, annotated slice and class that is in ground truth or
/// prediction there.
///
/// # Errors
/// None that are known.
pub fn slices(cohort: &Cohort) -> Result<DataFrame> {
    let mut rows = Vec::new();
    for system in &cohort.systems {
        for case in &system.cases {
            for (&z, classes) in &case.scores.slices {
                rows.extend(classes.iter().map(|(&class, counts)| {
                    (system.name.as_str(), case.case.as_str(), z as u64, class, *counts)
                }));
            }
        }
    }
    frame(vec![
        text("system", rows.iter().map(|row| row.0)),
        text("case", rows.iter().map(|row| row.1)),
        counts("slice", rows.iter().map(|row| row.2)),
        text("class", rows.iter().map(|row| cohort.table.name(row.3))),
        numbers("dice", rows.iter().map(|row| row.4.dice())),
        counts("tp", rows.iter().map(|row| row.4.tp)),
        counts("fp", rows.iter().map(|row| row.4.fp)),
        counts("fn", rows.iter().map(|row| row.4.fn_)),
    ])
}

/// `taken_for.csv`: one row per system and pair of classes, mL on the annotated slices of all cases.
///
/// # Errors
/// None that are known.
pub fn taken_for(cohort: &Cohort) -> Result<DataFrame> {
    let mut rows = Vec::new();
    for system in &cohort.systems {
        let sums = added_up(system.cases.iter().flat_map(|case| &case.scores.taken_for));
        rows.extend(sums.into_iter().map(|sum| (system.name.as_str(), sum)));
    }
    let name = |id: u8| if id == 0 { "no lesion".to_owned() } else { cohort.table.name(id) };
    frame(vec![
        text("system", rows.iter().map(|row| row.0)),
        text("ground_truth", rows.iter().map(|row| name(row.1.reference))),
        text("prediction", rows.iter().map(|row| name(row.1.predicted))),
        numbers("ml", rows.iter().map(|row| Some(row.1.ml))),
    ])
}

/// `presence.csv`: one row per system, case and class whose presence was stated.
///
/// # Errors
/// None that are known.
pub fn presence(evaluation: &Evaluation) -> Result<DataFrame> {
    let rows: Vec<_> = evaluation
        .presence
        .iter()
        .flat_map(|(system, statements)| statements.iter().map(move |s| (system.as_str(), s)))
        .collect();
    frame(vec![
        text("system", rows.iter().map(|row| row.0)),
        text("case", rows.iter().map(|row| row.1.case.as_str())),
        text("class", rows.iter().map(|row| evaluation.cohort.table.name(row.1.class))),
        numbers("presence", rows.iter().map(|row| Some(row.1.presence))),
        counts("present", rows.iter().map(|row| u64::from(row.1.present))),
    ])
}

/// `mean_dsc.csv`: for each system and class the mean over slices (the older scripts' number) and
/// the mean over cases, each with its n; then the mean over the classes, and the DSC with all
/// classes taken for one.
///
/// # Errors
/// None that are known.
pub fn mean_dsc(cohort: &Cohort) -> Result<DataFrame> {
    let Some(dice) = metric("dice") else { return frame(Vec::new()) };
    let mut rows = Vec::new();
    for system in &cohort.systems {
        let pooled: Vec<(usize, Option<f64>)> =
            cohort.classes.iter().map(|&class| cohort.pooled_slice_dice(system, class)).collect();
        for (&class, (slices, over_slices)) in cohort.classes.iter().zip(&pooled) {
            let summary = cohort.summary(system, class, dice);
            rows.push((
                system.name.as_str(),
                cohort.table.name(class),
                *over_slices,
                *slices,
                summary.mean,
                summary.n,
            ));
        }
        let over_slices =
            crate::statistics::mean(&pooled.iter().filter_map(|p| p.1).collect::<Vec<_>>());
        let headline = cohort.headline(system, dice);
        let slices = pooled.iter().map(|p| p.0).sum();
        rows.push((
            system.name.as_str(),
            "mean over classes".to_owned(),
            over_slices,
            slices,
            headline.mean,
            headline.values,
        ));
        let any_class = cohort.any_class_dice(system);
        rows.push((
            system.name.as_str(),
            "all classes as one".to_owned(),
            None,
            0,
            any_class.mean,
            any_class.n,
        ));
    }
    frame(vec![
        text("system", rows.iter().map(|row| row.0)),
        text("class", rows.iter().map(|row| row.1.as_str())),
        numbers("mean_slice_dsc", rows.iter().map(|row| row.2)),
        counts("n_slices", rows.iter().map(|row| row.3 as u64)),
        numbers("mean_volume_dsc", rows.iter().map(|row| row.4)),
        counts("n_volumes", rows.iter().map(|row| row.5 as u64)),
    ])
}

/// `dsc_summary.csv`: the distribution of the volume DSC for each system and class.
///
/// # Errors
/// None that are known.
pub fn dsc_summary(cohort: &Cohort) -> Result<DataFrame> {
    let Some(dice) = metric("dice") else { return frame(Vec::new()) };
    summaries(cohort, &[dice], false)
}

/// `metric_summary.csv`: the same for every metric.
///
/// # Errors
/// None that are known.
pub fn metric_summary(cohort: &Cohort) -> Result<DataFrame> {
    summaries(cohort, &METRICS.iter().collect::<Vec<_>>(), true)
}

fn summaries(cohort: &Cohort, metrics: &[&Metric], named: bool) -> Result<DataFrame> {
    let mut rows = Vec::new();
    for system in &cohort.systems {
        for &class in &cohort.classes {
            rows.extend(metrics.iter().map(|metric| {
                (system.name.as_str(), class, metric.key, cohort.summary(system, class, metric))
            }));
        }
    }
    let first = |pair: Option<[f64; 2]>| pair.map(|p| p[0]);
    let second = |pair: Option<[f64; 2]>| pair.map(|p| p[1]);
    let mut columns = vec![
        text("system", rows.iter().map(|row| row.0)),
        text("class", rows.iter().map(|row| cohort.table.name(row.1))),
    ];
    if named {
        columns.push(text("metric", rows.iter().map(|row| row.2)));
    }
    columns.extend([
        counts("n", rows.iter().map(|row| row.3.n as u64)),
        numbers("mean", rows.iter().map(|row| row.3.mean)),
        numbers("ci95_low", rows.iter().map(|row| first(row.3.interval))),
        numbers("ci95_high", rows.iter().map(|row| second(row.3.interval))),
        numbers("sd", rows.iter().map(|row| row.3.sd)),
        numbers("min", rows.iter().map(|row| first(row.3.range))),
        numbers("q1", rows.iter().map(|row| first(row.3.quartiles))),
        numbers("median", rows.iter().map(|row| row.3.median)),
        numbers("q3", rows.iter().map(|row| second(row.3.quartiles))),
        numbers("max", rows.iter().map(|row| second(row.3.range))),
    ]);
    frame(columns)
}
