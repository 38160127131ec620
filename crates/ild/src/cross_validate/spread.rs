//! The folds beside each other, and all patients together: two different things that are called
//! spread, kept apart.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::fold::Folds;

/// What is read of an evaluation: how it is called here, and where it stands in a system's summary.
const MEASURES: [(&str, &str); 2] =
    [("by class", "mean_volume_dsc"), ("all classes as one", "all_classes_as_one_dsc")];

/// DSC of one system by one measure.
#[derive(Debug, Serialize)]
struct Row {
    system: String,
    measure: &'static str,
    /// Of each fold, mean over its own test patients; `null` where nothing could be measured.
    folds: Vec<Option<f64>>,
    /// Mean of the folds, and their standard deviation (n − 1): how much a single split can mislead.
    mean_of_folds: Option<f64>,
    sd_between_folds: Option<f64>,
    /// Over all patients, each predicted once, with the interval of redrawn patients.
    together: Option<f64>,
    interval: Option<[f64; 2]>,
    patients: Option<u64>,
}

/// Writes `cross_validation.json` and prints its table.
pub fn report(folds: &Folds) -> anyhow::Result<()> {
    let read = |folder: &Path| -> anyhow::Result<Value> {
        let path = folder.join("evaluation/summary.json");
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
    };
    let each = folds.each().map(|fold| read(&folds.folder(fold))).collect::<Result<Vec<_>, _>>()?;
    let rows = rows(&each, &read(&folds.output())?);
    let path = folds.output().join("cross_validation.json");
    ild_cli::write_json_atomic(&path, &rows)?;

    let mut columns = vec!["system".to_owned(), "DSC".to_owned()];
    columns.extend(folds.each().map(|fold| format!("fold {fold}")));
    columns.extend(["mean ± SD of folds", "all patients (95 % interval)"].map(str::to_owned));
    let mut table = ild_cli::table(columns);
    for row in &rows {
        let mut cells = vec![row.system.clone(), row.measure.to_owned()];
        cells.extend(row.folds.iter().map(|value| number(*value)));
        cells.push(format!("{} ± {}", number(row.mean_of_folds), number(row.sd_between_folds)));
        let interval = row.interval.map_or_else(String::new, |[low, high]| {
            format!(" ({low:.3} to {high:.3}, n {})", row.patients.unwrap_or_default())
        });
        cells.push(format!("{}{interval}", number(row.together)));
        table.add_row(cells);
    }
    ild_cli::say(format_args!("\n{table}\n  {}", path.display()))?;
    Ok(())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

fn rows(each: &[Value], together: &Value) -> Vec<Row> {
    let systems = together["ild"]["systems"].as_array().into_iter().flatten();
    let names = systems.filter_map(|system| system["name"].as_str());
    names.flat_map(|name| MEASURES.map(|measure| row(name, measure, each, together))).collect()
}

fn row(system: &str, (measure, key): (&'static str, &str), each: &[Value], all: &Value) -> Row {
    let of = |summary: &Value| -> Value {
        let systems = summary["ild"]["systems"].as_array().into_iter().flatten();
        let found = systems.into_iter().find(|other| other["name"] == system);
        found.map_or(Value::Null, |system| system[key].clone())
    };
    let folds: Vec<Option<f64>> = each.iter().map(|fold| of(fold)["mean"].as_f64()).collect();
    let measured: Vec<f64> = folds.iter().flatten().copied().collect();
    let together = of(all);
    let bound = |i: usize| together["interval"][i].as_f64();
    Row {
        system: system.to_owned(),
        measure,
        mean_of_folds: mean(&measured),
        sd_between_folds: sd(&measured),
        folds,
        together: together["mean"].as_f64(),
        interval: bound(0).zip(bound(1)).map(|(low, high)| [low, high]),
        patients: together["patients"].as_u64(),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(mean: Option<f64>, patients: u64) -> Value {
        let dsc = json!({ "mean": mean, "interval": [0.1, 0.9], "patients": patients });
        json!({ "ild": { "systems": [
            { "name": "prediction", "mean_volume_dsc": dsc, "all_classes_as_one_dsc": dsc },
        ] } })
    }

    #[test]
    fn the_spread_of_folds_is_not_the_interval_of_patients() {
        let each = [summary(Some(0.6), 2), summary(Some(0.8), 2), summary(None, 0)];
        let rows = rows(&each, &summary(Some(0.65), 4));
        assert_eq!(rows.len(), 2);
        let row = &rows[0];
        assert_eq!(row.folds, [Some(0.6), Some(0.8), None]);
        assert!((row.mean_of_folds.unwrap() - 0.7).abs() < 1e-12);
        assert!((row.sd_between_folds.unwrap() - 0.02f64.sqrt()).abs() < 1e-12);
        assert_eq!(
            (row.together, row.interval, row.patients),
            (Some(0.65), Some([0.1, 0.9]), Some(4))
        );
    }
}
