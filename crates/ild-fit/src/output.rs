//! What a fit leaves: the weights with the rules in their metadata, and everything about how.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use ild_cli::FileError;
use ild_infer::find::{Fitted, HowFitted};
use ild_model::{FITTED, Weights};
use serde_json::{Value, json};

use crate::error::Result;
use crate::grid::{DEFAULT, Point, RULES, grid, rules};
use crate::run::Fit;
use crate::scores::OBJECTIVE;
use crate::settings::FitSettings;

/// The weights with rules.
pub const FITTED_FILE: &str = "fitted.safetensors";
const EVERYTHING: &str = "fit.json";
const TRIED: &str = "tried.csv";

/// Refuses a folder where something else lies under one of the names.
///
/// # Errors
/// Names it.
pub fn may_write(settings: &FitSettings) -> Result<()> {
    for name in [FITTED_FILE, EVERYTHING, TRIED] {
        ild_cli::outputs::may_write(&settings.output.join(name))?;
    }
    Ok(())
}

/// Writes all files; returns their paths. The weights come last: who sees them finds how they came
/// about beside them.
///
/// # Errors
/// When one cannot be written.
pub fn write(fit: &Fit, fitted: &Fitted, weights: Weights) -> Result<Vec<PathBuf>> {
    let paths = [EVERYTHING, TRIED, FITTED_FILE].map(|name| fit.settings.output.join(name));
    ild_cli::write_json_atomic(&paths[0], &fit.everything(fitted))?;
    ild_cli::write_bytes_atomic(&paths[1], fit.tried().as_bytes())?;
    let mut metadata = weights.metadata.clone();
    // Straight to text: through JSON's own numbers 0.6 would become 0.6000000238418579.
    let text = serde_json::to_string(fitted).map_err(FileError::at(&paths[2], "written"))?;
    metadata.insert(FITTED.to_owned(), text);
    weights.write_safetensors(&paths[2], &metadata)?;
    Ok(paths.into())
}

impl Fit<'_> {
    /// What stands in the metadata of the weights.
    pub(crate) fn fitted(&self) -> Fitted {
        let verdict = self.verdict;
        let at = |point: Point| rules(point).unwrap_or_default();
        Fitted {
            rules: at(verdict.chosen),
            how: HowFitted {
                patients: verdict.patients,
                cases: self.chosen.cases.len(),
                objective: OBJECTIVE.to_owned(),
                grid: grid(),
                tried: self.scores.tried().len(),
                at_default: verdict.at_default,
                at_best: verdict.at_best,
                best: at(verdict.best),
                gain_left_out: verdict.gain_left_out,
                gain_interval: verdict.gain_interval,
                verdict: verdict.words.clone(),
                patients_checked: self.chosen.checked.clone(),
                weights_sha256: self.engine.origin.sha256.clone(),
                program: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
                command: std::env::args_os()
                    .map(|arg| arg.to_string_lossy().into_owned())
                    .collect(),
                date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            },
        }
    }

    /// The same, and everybody's scores; names of cases stand here and not in the weights.
    fn everything(&self, fitted: &Fitted) -> Value {
        let scores = |point: Point| -> Value {
            let by_class = self.scores.tried().get(&point);
            let of_case = |i: usize| -> Value {
                let classes = self.scores.classes().iter().zip(by_class.into_iter().flatten());
                let dice = classes.map(|(class, values)| (class.to_string(), json!(values[i])));
                Value::Object(dice.collect())
            };
            let cases = self.chosen.cases.iter().enumerate();
            Value::Object(cases.map(|(i, (case, _))| (case.id.clone(), of_case(i))).collect())
        };
        json!({
            "fitted": fitted,
            "settings": self.settings,
            "patient_of": self.chosen.cases.iter().map(|(case, _)| &case.id)
                .zip(&self.chosen.patient_of).collect::<std::collections::BTreeMap<_, _>>(),
            "dsc_at_default": scores(DEFAULT),
            "dsc_at_best": scores(self.verdict.best),
        })
    }

    /// One row for each combination that was looked at.
    fn tried(&self) -> String {
        let mut text = RULES.iter().fold(String::new(), |text, rule| text + rule.flag + ",");
        text += "dsc_by_class\n";
        let cases: Vec<usize> = (0..self.chosen.cases.len()).collect();
        for (point, by_class) in self.scores.tried() {
            for (rule, value) in RULES.iter().zip(point) {
                let _ = write!(text, "{},", rule.values[*value]);
            }
            let dice = ild_metrics::mean_over_classes(by_class, &cases);
            let _ = writeln!(text, "{}", dice.map_or(String::new(), |dice| dice.to_string()));
        }
        text
    }

    /// What a person sees at the end.
    pub(crate) fn table(&self, fitted: &Fitted) -> String {
        let mut table = ild_cli::table(["rule", "default", "best here", "written"]);
        for (i, rule) in RULES.iter().enumerate() {
            let value = |point: Point| rule.values[point[i]].to_string();
            table.add_row([
                format!("--{}", rule.flag),
                value(DEFAULT),
                value(self.verdict.best),
                value(self.verdict.chosen),
            ]);
        }
        let number =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        table.add_row([
            "DSC by class, on these patients".to_owned(),
            number(self.verdict.at_default),
            number(self.verdict.at_best),
            String::new(),
        ]);
        format!(
            "{table}\nvalidation patients: {}, combinations tried: {}; {}\n{}",
            fitted.how.patients,
            fitted.how.tried,
            fitted.how.verdict,
            self.settings.output.join(FITTED_FILE).display()
        )
    }
}
