//! The numbers of a learning curve from the summaries of evaluations.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{CurvePoint, CurveRow};
use crate::{Error, Result};

/// What `evaluate` writes of everything.
const SUMMARY: &str = "summary.json";
/// Systems that a curve is drawn of, by their role.
const ROLES: [&str; 2] = ["evaluated", "automatic"];

/// The rows of all points, by system, then by number of patients.
pub(super) fn rows(points: &[CurvePoint]) -> Result<Vec<CurveRow>> {
    let mut points: Vec<&CurvePoint> = points.iter().collect();
    points.sort_by_key(|point| point.patients);
    if let Some(twice) = points.windows(2).find(|two| two[0].patients == two[1].patients) {
        return Err(Error::refused(
            &twice[1].folder,
            "one evaluation for each number of patients",
            format!("two for {} patients", twice[0].patients),
            "name each number once",
        ));
    }
    let summaries = points.iter().map(|point| read(&point.folder)).collect::<Result<Vec<_>>>()?;
    same_cases(&points, &summaries)?;
    let of_role = |role| {
        let both = points.iter().zip(&summaries);
        both.filter_map(move |(point, summary)| row(point, summary, role))
    };
    Ok(ROLES.into_iter().flat_map(of_role).collect())
}

fn read(folder: &Path) -> Result<Value> {
    let path = folder.join(SUMMARY);
    let text = ild_io::read_text(&path)?;
    let refuse = |found: String| {
        let next = "name a folder that `ild-metrics evaluate` wrote";
        Error::refused(&path, "the summary of an evaluation", found, next)
    };
    let summary: Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    match summary["ild"]["systems"].is_array() {
        true => Ok(summary),
        false => Err(refuse("JSON without its systems".to_owned())),
    }
}

/// Refuses evaluations of other cases: a curve over them would show who was measured.
fn same_cases(points: &[&CurvePoint], summaries: &[Value]) -> Result<()> {
    let cases: Vec<BTreeSet<String>> = summaries.iter().map(cases_of).collect();
    let other = cases.iter().position(|own| *own != cases[0]);
    let Some(other) = other else { return Ok(()) };
    Err(Error::refused(
        &points[other].folder,
        format!("an evaluation of the {} cases that the others measure", cases[0].len()),
        format!("one of {} cases, not the same", cases[other].len()),
        "evaluate each number of patients on the same test cases",
    ))
}

/// Names of the measured cases.
fn cases_of(summary: &Value) -> BTreeSet<String> {
    let cases = summary["metric_per_case"].as_array().into_iter().flatten();
    let files = cases.filter_map(|case| Path::new(case["reference_file"].as_str()?).file_name());
    files.map(|name| name.to_string_lossy().into_owned()).collect()
}

fn row(point: &CurvePoint, summary: &Value, role: &str) -> Option<CurveRow> {
    let systems = summary["ild"]["systems"].as_array()?;
    let system = systems.iter().find(|system| system["role"] == role)?;
    let interval = |value: &Value| {
        let [low, high] = [0, 1].map(|end| value["interval"][end].as_f64());
        low.zip(high).map(|(low, high)| [low, high])
    };
    let (by_class, as_one) = (&system["mean_volume_dsc"], &system["all_classes_as_one_dsc"]);
    Some(CurveRow {
        system: system["name"].as_str().unwrap_or(role).to_owned(),
        training_patients: point.patients,
        dsc_by_class: by_class["mean"].as_f64(),
        interval: interval(by_class),
        dsc_as_one: as_one["mean"].as_f64(),
        interval_as_one: interval(as_one),
        measured_patients: by_class["patients"].as_u64().unwrap_or_default() as usize,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluation(folder: &Path, cases: &[&str], dsc: f64) {
        let per_case: Vec<Value> = cases
            .iter()
            .map(|case| json!({ "reference_file": format!("gt/{case}.npz") }))
            .collect();
        let measured =
            json!({ "mean": dsc, "interval": [dsc - 0.1, dsc + 0.1], "patients": cases.len() });
        let system = |role: &str| json!({ "name": role, "role": role, "mean_volume_dsc": measured, "all_classes_as_one_dsc": measured });
        let systems = [system("automatic"), system("baseline"), system("evaluated")];
        let summary = json!({ "metric_per_case": per_case, "ild": { "systems": systems } });
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(SUMMARY), summary.to_string()).unwrap();
    }

    #[test]
    fn evaluations_become_a_curve_for_each_system_in_order_of_patients() {
        let folder = tempfile::tempdir().unwrap();
        let point = |patients: usize, name: &str, cases: &[&str], dsc| {
            evaluation(&folder.path().join(name), cases, dsc);
            CurvePoint { patients, folder: folder.path().join(name) }
        };
        let points = [point(20, "a", &["p", "q"], 0.8), point(5, "b", &["q", "p"], 0.6)];
        let found = rows(&points).unwrap();
        let seen: Vec<_> = found.iter().map(|row| (&*row.system, row.training_patients)).collect();
        let wished = [("evaluated", 5), ("evaluated", 20), ("automatic", 5), ("automatic", 20)];
        assert_eq!(seen, wished);
        assert_eq!((found[1].dsc_by_class, found[1].measured_patients), (Some(0.8), 2));

        let other = [points[0].clone(), point(7, "c", &["p", "x"], 0.7)];
        let error = rows(&other).unwrap_err();
        assert!(Error::rejects(&error) && error.to_string().contains("not the same"), "{error}");
        let twice = [points[0].clone(), point(20, "d", &["p", "q"], 0.7)];
        assert!(rows(&twice).unwrap_err().to_string().contains("two for 20 patients"));
    }
}
