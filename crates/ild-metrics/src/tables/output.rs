//! What an evaluation leaves behind.
//!
//! ```text
//! report.html          everything a reader needs, one file, opens offline
//! metrics.csv          case, <Class>_DSC …, <Class>_NSD …: the older scripts' form
//! mean_dsc.csv         mean over slices and mean over cases, each with its n
//! dsc_summary.csv      distribution of the volume DSC with its interval
//! cases.csv            every metric of every case and class, baselines too
//! slices.csv           every annotated slice
//! metric_summary.csv   distribution of every metric
//! summary.json         nnU-Net's shape, and everything else under `ild`
//! taken_for.csv        which class was taken for which, mL
//! whole_ct.csv         with --truth: every case and class over the whole CT
//! healthy.csv          with --healthy: what was invented in healthy patients, mL
//! presence.csv         stated presence of each class beside the truth, where predictions state it
//! plots/               one DSC chart per class and an overview, PNG and SVG
//! parity/              with --parity: the older script's tables
//! ```

use std::path::{Path, PathBuf};

use crate::chart::{Bar, BoxGroup, Chart, Marks};
use crate::cohort::{Cohort, System};
use crate::whole::table::{healthy, whole_ct};
use crate::{
    EvaluateSettings, Evaluation, METRICS, Metric, Provenance, Result, metric, report, summary,
    tables, write_parity,
};

/// Tables that every evaluation writes.
const ALWAYS: [&str; 7] = [
    "metrics.csv",
    "mean_dsc.csv",
    "dsc_summary.csv",
    "cases.csv",
    "slices.csv",
    "metric_summary.csv",
    "taken_for.csv",
];

/// A chart and the name of its file, without ending.
pub struct NamedChart {
    /// For the file.
    pub file: String,
    /// What is drawn.
    pub chart: Chart,
}

/// Writes all files into `settings.output`; returns them. What an earlier evaluation left there is
/// taken away first: a table that this one does not write would be read as one of it.
///
/// # Errors
/// When a file cannot be written or taken away; names it.
pub fn write_evaluation(
    evaluation: &Evaluation,
    settings: &EvaluateSettings,
    provenance: &Provenance,
) -> Result<Vec<PathBuf>> {
    let (cohort, folder) = (&evaluation.cohort, settings.output.as_path());
    take_away_earlier(folder)?;
    let mut files = Files { folder, written: Vec::new() };
    files.add("metrics.csv", |path| {
        tables::write_csv(path, tables::wide(cohort, &cohort.systems[0])?)
    })?;
    files.add("mean_dsc.csv", |path| tables::write_csv(path, tables::mean_dsc(cohort)?))?;
    files.add("dsc_summary.csv", |path| tables::write_csv(path, tables::dsc_summary(cohort)?))?;
    files.add("cases.csv", |path| tables::write_csv(path, tables::cases(cohort)?))?;
    files.add("slices.csv", |path| tables::write_csv(path, tables::slices(cohort)?))?;
    files.add("metric_summary.csv", |path| {
        tables::write_csv(path, tables::metric_summary(cohort)?)
    })?;
    files.add("taken_for.csv", |path| tables::write_csv(path, tables::taken_for(cohort)?))?;
    if let Some(whole) = &evaluation.whole {
        let write = |path: &Path| tables::write_csv(path, whole_ct(cohort, whole)?);
        files.add("whole_ct.csv", write)?;
    }
    if !evaluation.healthy.is_empty() {
        let write = |path: &Path| tables::write_csv(path, healthy(cohort, &evaluation.healthy)?);
        files.add("healthy.csv", write)?;
    }
    if !evaluation.presence.is_empty() {
        let write = |path: &Path| tables::write_csv(path, tables::presence(evaluation)?);
        files.add("presence.csv", write)?;
    }
    let mut charts = charts(cohort);
    charts.extend(report::taken_for::charts(cohort));
    for NamedChart { file, chart } in &charts {
        for ending in ["png", "svg"] {
            files.add(&format!("plots/{file}.{ending}"), |path| chart.save(path))?;
        }
    }
    if settings.parity {
        files.add("parity", |path| write_parity(cohort, settings, path))?;
    }
    let page = report::report(evaluation, settings, provenance)?;
    files.add("report.html", |path| Ok(ild_cli::write_bytes_atomic(path, page.as_bytes())?))?;
    // Last: whoever sees the summary finds everything else beside it.
    let summary = summary(evaluation, provenance);
    files.add("summary.json", |path| Ok(ild_cli::write_json_atomic(path, &summary)?))?;
    Ok(files.written)
}

/// Refuses a folder where somebody else's file lies in the place of a table or of the page; asked
/// before anything is measured.
///
/// # Errors
/// Names the first such file.
pub fn may_write_evaluation(folder: &Path) -> Result<()> {
    for name in ["summary.json", "report.html"].iter().chain(&ALWAYS) {
        ild_cli::outputs::may_write(&folder.join(name))?;
    }
    Ok(())
}

/// Removes the summary of an earlier evaluation, and then what only some evaluations write.
fn take_away_earlier(folder: &Path) -> Result<()> {
    let summary = folder.join("summary.json");
    if !summary.is_file() {
        return Ok(());
    }
    let mut left = vec![summary];
    left.extend(["whole_ct.csv", "healthy.csv", "presence.csv"].map(|name| folder.join(name)));
    for (below, beginnings) in
        [("plots", &["dsc_", "taken_for"][..]), ("parity", &["metrics", "dsc_", "nsd_"][..])]
    {
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            beginnings.iter().any(|beginning| name.starts_with(beginning))
        };
        let below = ild_io::cohort::list(&folder.join(below)).unwrap_or_default();
        left.extend(below.into_iter().filter(ours));
    }
    for path in left.iter().filter(|path| path.is_file() && ild_cli::outputs::is_ours(path)) {
        ild_cli::outputs::remove(path)?;
    }
    Ok(())
}

struct Files<'a> {
    folder: &'a Path,
    written: Vec<PathBuf>,
}

impl Files<'_> {
    fn add(&mut self, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = self.folder.join(name);
        write(&path)?;
        self.written.push(path);
        Ok(())
    }
}

/// An overview of all systems, then for each class the DSC of each case of the evaluated
/// predictions.
#[must_use]
pub fn charts(cohort: &Cohort) -> Vec<NamedChart> {
    let dice = metric("dice").unwrap_or(&METRICS[0]);
    let mut charts =
        vec![NamedChart { file: "dsc_overview".to_owned(), chart: overview(cohort, dice) }];
    let system = &cohort.systems[0];
    charts.extend(cohort.classes.iter().map(|&class| NamedChart {
        file: format!("dsc_{}", cohort.table.file_name(class)),
        chart: of_class(cohort, system, class, dice),
    }));
    charts
}

fn overview(cohort: &Cohort, dice: &Metric) -> Chart {
    let shown = || cohort.systems.iter().filter(|system| !system.role.is_wrong_box());
    let group = |&class: &u8| BoxGroup {
        name: cohort.table.name(class),
        values: shown()
            .map(|system| cohort.values(system, class, dice).into_iter().flatten().collect())
            .collect(),
    };
    let series = shown().map(|system| system.name.clone()).collect();
    Chart {
        title: "DSC of each case, by class".into(),
        x_label: "DSC of the whole volume".into(),
        y_label: String::new(),
        marks: Marks::Boxes { series, groups: cohort.classes.iter().map(group).collect() },
    }
}

fn of_class(cohort: &Cohort, system: &System, class: u8, dice: &Metric) -> Chart {
    let values = cohort.values(system, class, dice);
    let bars = system
        .cases
        .iter()
        .zip(values)
        .map(|(case, value)| Bar { name: case.case.clone(), value })
        .collect();
    Chart {
        title: cohort.table.name(class),
        x_label: "DSC of the whole volume (dashed: mean)".into(),
        y_label: String::new(),
        marks: Marks::Bars { bars, mean_line: true },
    }
}
