//! `ild-metrics learning-curve`: evaluations of the same cases by weights that were taught by more and
//! more patients.

mod read;
mod words;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde::{Serialize, Serializer};

use crate::Result;
use crate::chart::{Chart, Curve, Marks, Measured};

const TABLE: &str = "learning_curve.csv";
const EVERYTHING: &str = "learning_curve.json";
const PICTURES: [&str; 2] = ["learning_curve.svg", "learning_curve.png"];

/// How good with how many patients: evaluations of the same cases beside each other, with a plot.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CurveSettings {
    /// Number of patients that taught, and the folder that `evaluate` wrote; once for each number.
    #[arg(long, value_name = "N=DIR", value_delimiter = ',', required = true)]
    pub point: Vec<CurvePoint>,
    /// A line about how the points were made, for the records.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub note: Vec<String>,
    /// Folder for learning_curve.csv, .json, .svg and .png.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}

/// `N=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurvePoint {
    /// Patients that taught.
    pub patients: usize,
    /// The evaluation.
    pub folder: PathBuf,
}

impl FromStr for CurvePoint {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('=');
        let point = parts.and_then(|(n, folder)| Some((n.trim().parse().ok()?, folder)));
        match point {
            Some((patients, folder)) if patients > 0 && !folder.is_empty() => {
                Ok(Self { patients, folder: folder.into() })
            }
            _ => Err("expected N=DIR, a number of patients and an evaluation of theirs".to_owned()),
        }
    }
}

impl Serialize for CurvePoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}={}", self.patients, self.folder.display()))
    }
}

/// One number of a learning curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurveRow {
    /// Which predictions: prompted, automatic.
    pub system: String,
    /// Patients that taught.
    pub training_patients: usize,
    /// Mean over classes of the mean volume DSC.
    pub dsc_by_class: Option<f64>,
    /// Its 95 % interval: the measured patients redrawn.
    pub interval: Option<[f64; 2]>,
    /// All classes taken for one.
    pub dsc_as_one: Option<f64>,
    /// See `interval`.
    pub interval_as_one: Option<[f64; 2]>,
    /// Measured patients.
    pub measured_patients: usize,
}

/// A learning curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LearningCurve {
    /// By system, then by number of patients.
    pub rows: Vec<CurveRow>,
    /// How the points were made.
    pub notes: Vec<String>,
    /// What it says and what it does not.
    pub says: Vec<String>,
}

impl LearningCurve {
    /// Reads the evaluations.
    ///
    /// # Errors
    /// When one is missing or damaged, two are of one number, or they are not of the same cases.
    pub fn read(settings: &CurveSettings) -> Result<Self> {
        let rows = read::rows(&settings.point)?;
        let says = words::says(&rows);
        Ok(Self { rows, notes: settings.note.clone(), says })
    }

    /// Writes table, record and plot into `folder`; returns their paths.
    ///
    /// # Errors
    /// When one cannot be written; names it.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let [table, everything] = [TABLE, EVERYTHING].map(|name| folder.join(name));
        ild_cli::write_bytes_atomic(&table, self.csv().as_bytes())?;
        let pictures = PICTURES.map(|name| folder.join(name));
        let chart = self.chart();
        pictures.iter().try_for_each(|path| chart.save(path))?;
        ild_cli::write_json_atomic(&everything, self)?;
        Ok([table, everything].into_iter().chain(pictures).collect())
    }

    /// Refuses a folder where something else lies under one of the names.
    ///
    /// # Errors
    /// Names it.
    pub fn may_write(folder: &Path) -> Result<()> {
        for name in [TABLE, EVERYTHING].iter().chain(&PICTURES) {
            ild_cli::outputs::may_write(&folder.join(name))?;
        }
        Ok(())
    }

    fn csv(&self) -> String {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let ends = |interval: Option<[f64; 2]>| {
            let [low, high] = interval.map_or([None; 2], |ends| ends.map(Some));
            format!("{},{}", number(low), number(high))
        };
        let head = "system,training_patients,dsc_by_class,low,high,dsc_as_one,low_as_one,high_as_one,measured_patients\n";
        let rows = self.rows.iter().map(|row| {
            format!(
                "{},{},{},{},{},{},{}\n",
                row.system.replace([',', '"'], " "),
                row.training_patients,
                number(row.dsc_by_class),
                ends(row.interval),
                number(row.dsc_as_one),
                ends(row.interval_as_one),
                row.measured_patients
            )
        });
        std::iter::once(head.to_owned()).chain(rows).collect()
    }

    /// DSC by class against the number of patients, a curve for each system.
    #[must_use]
    pub fn chart(&self) -> Chart {
        let mut curves: Vec<Curve> = Vec::new();
        for row in &self.rows {
            let Some(y) = row.dsc_by_class else { continue };
            let point = Measured { x: row.training_patients as f64, y, interval: row.interval };
            match curves.iter_mut().find(|curve| curve.name == row.system) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve { name: row.system.clone(), points: vec![point] }),
            }
        }
        let measured = self.rows.first().map_or(0, |row| row.measured_patients);
        Chart {
            title: format!("Learning curve, the same {measured} patients measured"),
            x_label: "training patients".into(),
            y_label: "DSC by class, 95 %".into(),
            marks: Marks::Curves(curves),
        }
    }

    /// For the terminal.
    #[must_use]
    pub fn printed(&self) -> String {
        let mut table = ild_cli::table([
            "system",
            "training patients",
            "DSC by class (95 %)",
            "all classes as one (95 %)",
            "measured patients",
        ]);
        let cell = |value: Option<f64>, interval: Option<[f64; 2]>| {
            let value = value.map_or("–".to_owned(), |value| format!("{value:.3}"));
            let ends = interval.map(|[low, high]| format!(" ({low:.3} to {high:.3})"));
            value + &ends.unwrap_or_default()
        };
        for row in &self.rows {
            table.add_row([
                row.system.clone(),
                row.training_patients.to_string(),
                cell(row.dsc_by_class, row.interval),
                cell(row.dsc_as_one, row.interval_as_one),
                row.measured_patients.to_string(),
            ]);
        }
        let lines = self.notes.iter().chain(&self.says);
        lines.fold(table.to_string(), |text, line| text + "\n" + line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn row(training_patients: usize, dsc: f64, interval: [f64; 2]) -> CurveRow {
        CurveRow {
            system: "automatic".to_owned(),
            training_patients,
            dsc_by_class: Some(dsc),
            interval: Some(interval),
            dsc_as_one: Some(0.9),
            interval_as_one: None,
            measured_patients: 6,
        }
    }

    #[test]
    fn a_point_is_a_number_of_patients_and_a_folder() {
        let point: CurvePoint = "12=runs/a=b".parse().unwrap();
        assert_eq!((point.patients, point.folder), (12, PathBuf::from("runs/a=b")));
        for wrong in ["12", "=a", "0=a", "a=b", "3="] {
            assert!(wrong.parse::<CurvePoint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn table_and_plot_hold_every_point_with_its_interval() {
        let curve = LearningCurve {
            rows: vec![row(5, 0.7, [0.5, 0.8]), row(20, 0.8, [0.7, 0.9])],
            notes: vec!["25 %: 40 epochs".to_owned()],
            says: vec!["more".to_owned()],
        };
        let folder = tempfile::tempdir().unwrap();
        let written = curve.write(folder.path()).unwrap();
        assert!(written.len() == 4 && written.iter().all(|path| path.is_file()));
        let csv = std::fs::read_to_string(&written[0]).unwrap();
        assert!(csv.contains("automatic,20,0.8,0.7,0.9,0.9,,,6"), "{csv}");
        let svg = std::fs::read_to_string(&written[2]).unwrap();
        assert!(svg.contains("training patients") && svg.contains("automatic"));
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(curve.printed().contains("0.700 (0.500 to 0.800)"));
    }
}
