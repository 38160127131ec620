//! `ild-metrics compare A B`: two evaluations of the same cases, case by case.

pub(crate) mod comparison;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use polars::prelude::{CsvReadOptions, DataFrame, DataType, SerReader};
use serde::Serialize;

use crate::statistics::holm::holm;
use crate::tables::printed::{interval, too_few};
use crate::tables::write_csv;
use crate::{
    Bootstrap, Error, METRICS, PATIENTS_FOR_A_CLAIM, Paired, Result, metric, paired,
    paired_over_classes, tables::columns,
};

/// The table that `evaluate` writes and that is compared.
const TABLE: &str = "cases.csv";
/// In place of a class, in the row of their mean.
const MEAN: &str = "mean over classes";

/// Compare two evaluations of the same cases: paired differences with interval and sign test.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CompareSettings {
    /// Folder that `evaluate` wrote.
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another one; differences are A − B.
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Which predictions of A, by their name there [default: the evaluated ones, not the
    /// baselines].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_a: Option<String>,
    /// Which predictions of B.
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_b: Option<String>,
    /// Metrics to compare, by column name.
    #[arg(
        long,
        value_name = "KEY",
        value_delimiter = ',',
        default_value = "dice,nsd_surfel,hd95_surfel_mm"
    )]
    pub metric: Vec<String>,
    /// Redraws of the patients behind each 95 % interval.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub bootstrap: usize,
    /// Folder for comparison.csv and comparison.json [default: only the printed table].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
}

/// Differences between two evaluations.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Name of the first predictions.
    pub a: String,
    /// Name of the second.
    pub b: String,
    /// Cases in both.
    pub cases: usize,
    /// Patients they are of.
    pub patients: usize,
    /// Cases that only one of them has; they are in no difference.
    pub only_in_one: Vec<String>,
    /// One row per metric and class, and one for the mean over classes.
    pub rows: Vec<ComparedRow>,
}

/// One difference.
#[derive(Clone, Debug, Serialize)]
pub struct ComparedRow {
    /// Column name of the metric.
    pub metric: String,
    /// Class, or `mean over classes`.
    pub class: String,
    /// The difference A − B.
    #[serde(flatten)]
    pub paired: Paired,
    /// The sign test's p among all comparisons of its kind, classes or means (Holm's correction).
    pub corrected_p: Option<f64>,
}

impl Compared {
    /// Compares the tables of two evaluations; `seed` is that of the bootstrap.
    ///
    /// # Errors
    /// When a table is missing or damaged, a metric or system is unknown, no case is in both, or
    /// the ground truths differ.
    pub fn run(settings: &CompareSettings, seed: u64) -> Result<Self> {
        let a = Table::read(&settings.a, settings.system_a.as_deref(), &settings.metric)?;
        let b = Table::read(&settings.b, settings.system_b.as_deref(), &settings.metric)?;
        let (in_a, in_b): (BTreeSet<&String>, BTreeSet<&String>) =
            (a.patients.keys().collect(), b.patients.keys().collect());
        let cases: Vec<&String> = in_a.intersection(&in_b).copied().collect();
        if cases.is_empty() {
            let found = format!("none ({} and {} cases)", in_a.len(), in_b.len());
            let next = "compare evaluations of the same cases, against one folder of ground truth";
            return Err(Error::refused(
                &settings.b,
                "cases that the other evaluation has too",
                found,
                next,
            ));
        }
        same_truth(&a, &b, &cases, &settings.b)?;
        let patient_of: Vec<String> = cases.iter().map(|case| a.patients[*case].clone()).collect();
        let bootstrap = Bootstrap::new(&patient_of, settings.bootstrap, seed);
        let classes: Vec<&String> =
            a.classes.iter().filter(|class| b.classes.contains(class)).collect();
        let mut rows = Vec::new();
        for (i, key) in settings.metric.iter().enumerate() {
            let values = |table: &Table, class: &String| {
                cases.iter().map(|case| table.value(case, class, i)).collect::<Vec<_>>()
            };
            let of = |table: &Table| {
                classes.iter().map(|class| values(table, class)).collect::<Vec<_>>()
            };
            let (of_a, of_b) = (of(&a), of(&b));
            let row = |class: &str, paired| ComparedRow {
                metric: key.clone(),
                class: class.to_owned(),
                paired,
                corrected_p: None,
            };
            rows.extend(
                classes
                    .iter()
                    .enumerate()
                    .map(|(c, class)| row(class, paired(&of_a[c], &of_b[c], &bootstrap))),
            );
            rows.push(row(MEAN, paired_over_classes(&of_a, &of_b, &bootstrap)));
        }
        correct(&mut rows);
        let only_in_one = in_a.symmetric_difference(&in_b).map(|case| (*case).clone()).collect();
        let patients = bootstrap.patients(|_| true);
        Ok(Self {
            cases: cases.len(),
            patients,
            a: a.name(&settings.a),
            b: b.name(&settings.b),
            only_in_one,
            rows,
        })
    }

    /// Writes `comparison.csv` and `comparison.json`; returns them.
    ///
    /// # Errors
    /// When a file cannot be written; names it.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let paths = ["comparison.csv", "comparison.json"].map(|name| folder.join(name));
        let numbers =
            |value: fn(&Paired) -> Option<f64>| self.rows.iter().map(move |row| value(&row.paired));
        let counts = |value: fn(&Paired) -> usize| {
            self.rows.iter().map(move |row| value(&row.paired) as u64)
        };
        let frame = columns::frame(vec![
            columns::text("metric", self.rows.iter().map(|row| row.metric.as_str())),
            columns::text("class", self.rows.iter().map(|row| row.class.as_str())),
            columns::counts("n", counts(|p| p.n)),
            columns::numbers("difference", numbers(|p| p.difference)),
            columns::numbers("ci95_low", numbers(|p| p.interval.map(|i| i[0]))),
            columns::numbers("ci95_high", numbers(|p| p.interval.map(|i| i[1]))),
            columns::counts("larger", counts(|p| p.larger)),
            columns::counts("smaller", counts(|p| p.smaller)),
            columns::counts("equal", counts(|p| p.equal)),
            columns::numbers("sign_test_p", numbers(|p| p.sign_test_p)),
            columns::counts("patients", counts(|p| p.patients)),
            columns::numbers("holm_p", self.rows.iter().map(|row| row.corrected_p)),
        ])?;
        write_csv(&paths[0], frame)?;
        ild_cli::write_json_atomic(&paths[1], self)?;
        Ok(paths.to_vec())
    }

    /// The table on the terminal.
    #[must_use]
    pub fn printed(&self) -> String {
        let mut table = ild_cli::table([
            "metric",
            "class",
            "A − B",
            "95 % interval",
            "n",
            "larger",
            "smaller",
            "equal",
            "sign test p",
            "Holm p",
        ]);
        let shown = |p: Option<f64>| p.map_or("–".to_owned(), |p| format!("{p:.4}"));
        for ComparedRow { metric, class, paired, corrected_p } in &self.rows {
            let difference = paired.difference.map_or("–".to_owned(), |d| format!("{d:+.4}"));
            let counts =
                [paired.n, paired.larger, paired.smaller, paired.equal].map(|n| n.to_string());
            let [n, larger, smaller, equal] = counts;
            table.add_row([
                metric.clone(),
                class.clone(),
                difference,
                interval(paired.interval),
                n,
                larger,
                smaller,
                equal,
                shown(paired.sign_test_p),
                shown(*corrected_p),
            ]);
        }
        let alone = if self.only_in_one.is_empty() {
            String::new()
        } else {
            format!("\nin one evaluation only: {}", self.only_in_one.join(", "))
        };
        let few = if self.patients < PATIENTS_FOR_A_CLAIM {
            format!("\n{}", too_few(self.patients))
        } else {
            String::new()
        };
        format!(
            "A: {}\nB: {}\n{table}\n{} cases of {} patients in both; Holm p: corrected for the number of classes and metrics{few}{alone}",
            self.a, self.b, self.cases, self.patients
        )
    }
}

/// Classes are one family of comparisons and means over them another, over all metrics.
fn correct(rows: &mut [ComparedRow]) {
    for means in [false, true] {
        let of_kind = |row: &&mut ComparedRow| (row.class == MEAN) == means;
        let p: Vec<_> = rows.iter_mut().filter(of_kind).map(|row| row.paired.sign_test_p).collect();
        let corrected = holm(&p);
        rows.iter_mut().filter(of_kind).zip(corrected).for_each(|(row, p)| row.corrected_p = p);
    }
}

/// The ground truth of both evaluations must hold the same number of voxels in every case and
/// class.
fn same_truth(a: &Table, b: &Table, cases: &[&String], path: &Path) -> Result<()> {
    for case in cases {
        for class in a.classes.iter().filter(|class| b.classes.contains(class)) {
            let counts = [a, b].map(|table| {
                table.rows.get(&((*case).clone(), class.clone())).map(|row| row.reference)
            });
            if counts[0] != counts[1] {
                return Err(Error::refused(
                    path.join(TABLE),
                    "the same ground truth in both evaluations",
                    format!(
                        "{class} in case {case} with {:?} and {:?} voxels",
                        counts[0].unwrap_or(0),
                        counts[1].unwrap_or(0)
                    ),
                    "evaluate both against one folder of ground truth",
                ));
            }
        }
    }
    Ok(())
}

/// The rows of one system.
struct Table {
    system: String,
    patients: BTreeMap<String, String>,
    classes: Vec<String>,
    rows: BTreeMap<(String, String), Row>,
}

struct Row {
    reference: u64,
    values: Vec<Option<f64>>,
}

impl Table {
    fn read(folder: &Path, system: Option<&str>, metrics: &[String]) -> Result<Self> {
        let path = folder.join(TABLE);
        if let Some(unknown) = metrics.iter().find(|key| metric(key).is_none()) {
            let known: Vec<&str> = METRICS.iter().map(|metric| metric.key).collect();
            return Err(Error::refused(
                &path,
                format!("a metric of {}", known.join(", ")),
                format!("`{unknown}`"),
                "",
            ));
        }
        let next = "give a folder that `ild-metrics evaluate` wrote";
        let refused =
            |found: String| Error::refused(&path, "the table of an evaluation", found, next);
        let options = CsvReadOptions::default().with_infer_schema_length(Some(0));
        let frame =
            options.try_into_reader_with_file_path(Some(path.clone())).and_then(SerReader::finish);
        let frame = frame.map_err(|cause| refused(cause.to_string()))?;
        let text = |name: &str| {
            strings(&frame, name).ok_or_else(|| refused(format!("no column `{name}`")))
        };
        let number = |name: &str| {
            Ok::<_, Error>(text(name)?.iter().map(|v| v.parse::<f64>().ok()).collect::<Vec<_>>())
        };
        let (systems, cases, patients, classes) =
            (text("system")?, text("case")?, text("patient")?, text("class")?);
        let (tp, missed) = (number("tp")?, number("fn")?);
        let values = metrics.iter().map(|key| number(key)).collect::<Result<Vec<_>>>()?;
        let wanted =
            system.map(str::to_owned).or_else(|| systems.first().cloned()).unwrap_or_default();
        let mut table = Self {
            system: wanted.clone(),
            patients: BTreeMap::new(),
            classes: Vec::new(),
            rows: BTreeMap::new(),
        };
        for i in (0..cases.len()).filter(|&i| systems[i] == wanted) {
            table.patients.insert(cases[i].clone(), patients[i].clone());
            if !table.classes.contains(&classes[i]) {
                table.classes.push(classes[i].clone());
            }
            let reference = (tp[i].unwrap_or(0.0) + missed[i].unwrap_or(0.0)) as u64;
            let row = Row { reference, values: values.iter().map(|column| column[i]).collect() };
            table.rows.insert((cases[i].clone(), classes[i].clone()), row);
        }
        if table.rows.is_empty() {
            let known: BTreeSet<String> = systems.into_iter().collect();
            return Err(Error::refused(
                &path,
                format!("predictions called `{wanted}`"),
                format!("{known:?}"),
                "",
            ));
        }
        Ok(table)
    }

    fn value(&self, case: &str, class: &str, metric: usize) -> Option<f64> {
        self.rows.get(&(case.to_owned(), class.to_owned()))?.values[metric]
    }

    fn name(&self, folder: &Path) -> String {
        format!("{} ({})", self.system, folder.display())
    }
}

/// A column as text; an empty field is an empty string.
fn strings(frame: &DataFrame, name: &str) -> Option<Vec<String>> {
    let column = frame.column(name).ok()?.cast(&DataType::String).ok()?;
    Some(
        column
            .str()
            .ok()?
            .iter()
            .map(|value| columns::uncell(value.unwrap_or_default()).to_owned())
            .collect(),
    )
}
