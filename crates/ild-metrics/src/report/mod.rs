//! `report.html`: the evaluation for a person who has never seen the project.

mod boxes;
pub mod page;
mod pictures;
mod presence;
pub(crate) mod taken_for;
pub(crate) mod whole;
mod words;

pub use pictures::png_picture;
pub(crate) use pictures::windowed;

use crate::chart::series_color;
use crate::cohort::{Cohort, Outcome, Role, System};
use crate::tables::printed::{interval, score};
use crate::{
    Better, Comparison, EvaluateSettings, Evaluation, METRICS, Metric, Provenance, Result, charts,
    metric,
};
use page::{Cell, LegendEntry, Page, Table, Tile};

/// More charts than this are folded away at first.
const CHARTS_OPEN: usize = 8;

/// The report as one HTML file.
///
/// # Errors
/// When a chart cannot be drawn or the template not filled in.
pub fn report(
    evaluation: &Evaluation,
    settings: &EvaluateSettings,
    provenance: &Provenance,
) -> Result<String> {
    let cohort = &evaluation.cohort;
    let system = &cohort.systems[0];
    let comparisons = Comparison::with_baselines(cohort);
    let (headlines, others): (Vec<_>, Vec<_>) = cohort
        .systems
        .iter()
        .enumerate()
        .filter(|(_, system)| !system.role.is_wrong_box())
        .partition(|(_, system)| matches!(system.role, Role::Evaluated | Role::Automatic));
    let tiles = |systems: Vec<(usize, &System)>| {
        systems.into_iter().map(|(i, system)| tile(cohort, i, system, provenance)).collect()
    };
    let mut svgs = charts(cohort)
        .into_iter()
        .map(|named| named.chart.inline_svg())
        .collect::<Result<Vec<String>>>()?
        .into_iter();
    let overview = svgs.next().unwrap_or_default();
    let charts: Vec<String> = svgs.collect();
    let mut tables = vec![overlap_table(cohort, system)];
    tables.extend(cohort.with_role(Role::Automatic).map(|found| overlap_table(cohort, found)));
    if !comparisons.is_empty() {
        tables.push(comparison_table(cohort, &comparisons));
    }
    tables.extend(boxes::table(cohort));
    tables.push(lesion_table(cohort));
    tables.extend(whole::tables(evaluation, provenance));
    tables.push(distance_table(cohort, system));
    tables.extend(cohort.with_role(Role::Automatic).map(|found| distance_table(cohort, found)));
    let mut figures = vec![taken_for::figure(cohort)?];
    figures.extend(presence::figure(evaluation)?);
    let page = Page {
        refresh_seconds: None,
        title: "How well do the segmentations match?".into(),
        subtitle: words::subtitle(cohort),
        lead: words::lead(cohort, &comparisons, provenance),
        headlines: tiles(headlines),
        tiles: tiles(others),
        notices: words::notices(evaluation, provenance),
        tables,
        figures,
        overview_title: "Every case".into(),
        overview,
        overview_note:
            "Each dot is the DSC of one case. The box spans the middle half of the cases, the thick line is the median, the thin line \
                        reaches from the worst to the best case."
                .into(),
        charts_title: format!("One chart per class, {}", system.name),
        charts_open: charts.len() <= CHARTS_OPEN,
        charts,
        pictures: pictures::pictures(system, &cohort.table, settings),
        pictures_note: format!(
            "Dashed: ground truth. Solid: {}. Slices of all cases were ordered by their DSC, averaged over the classes on the slice.",
            system.name
        ),
        legend: cohort.classes.iter().map(|&class| legend(cohort, class)).collect(),
        meaning: words::meaning(provenance, &system.name),
        definitions: METRICS.iter().map(|m| (format!("{} ({})", m.title, m.key), m.meaning.to_owned())).collect(),
        facts: words::facts(cohort, provenance),
        hashes: provenance.sha256.iter().map(|(path, hash)| (path.clone(), hash.clone())).collect(),
    };
    page.html()
}

fn css(color: plotters::style::RGBColor) -> String {
    format!("rgb({} {} {})", color.0, color.1, color.2)
}

fn legend(cohort: &Cohort, class: u8) -> LegendEntry {
    let [r, g, b] = cohort.table.color(class);
    LegendEntry { name: cohort.table.name(class), color: format!("rgb({r} {g} {b})") }
}

fn tile(cohort: &Cohort, index: usize, system: &System, provenance: &Provenance) -> Tile {
    let headline = cohort.headline(system, metric("dice").unwrap_or(&METRICS[0]));
    let failures = system.cases.iter().filter(|case| case.outcome != Outcome::Scored).count();
    let spread = headline
        .interval
        .map_or("no interval".to_owned(), |ends| format!("95 % interval {}", interval(Some(ends))));
    let failed = if failures == 0 {
        String::new()
    } else {
        format!(", {failures} without a usable prediction")
    };
    let told = match system.role {
        Role::Automatic => "without any prompt · ",
        _ if provenance.prompted_with_ground_truth(&system.name) => "boxes from ground truth · ",
        _ => "",
    };
    let lesions = cohort.lesions(system, None).f1();
    Tile {
        name: system.name.clone(),
        number: score(headline.mean),
        color: css(series_color(index)),
        at: headline.mean.map(|mean| 100.0 * mean),
        span: headline.interval.map(|[low, high]| [100.0 * low, 100.0 * (high - low)]),
        note: format!(
            "{told}mean DSC by class · {spread} · n {} patients, {} cases, {} classes, {} values{failed} · all classes as one {} · lesion F1 {}",
            headline.patients,
            headline.cases,
            headline.classes,
            headline.values,
            score(cohort.any_class_dice(system).mean),
            score(lesions)
        ),
    }
}

/// A mean with its interval and n; `digits` after the point.
fn cell(cohort: &Cohort, system: &System, class: u8, metric: &Metric, digits: usize) -> Cell {
    let summary = cohort.summary(system, class, metric);
    let signed = metric.key.starts_with("volume_error");
    let number = |v: f64| if signed { format!("{v:+.digits$}") } else { format!("{v:.digits$}") };
    let text = summary.mean.map_or("–".to_owned(), number);
    let spread = summary
        .interval
        .map_or(String::new(), |[low, high]| format!("{} to {} · ", number(low), number(high)));
    Cell::new(text).with_note(format!("{spread}n {}", summary.n))
}

/// One row per class, one column per metric and number of digits.
fn class_table(cohort: &Cohort, system: &System, columns: &[(&str, usize)]) -> Table {
    let columns: Vec<(&Metric, usize)> =
        columns.iter().filter_map(|(key, digits)| Some((metric(key)?, *digits))).collect();
    let row = |&class: &u8| {
        let mut cells =
            vec![Cell::new(cohort.table.name(class)).with_color(cohort.table.color(class))];
        cells.extend(
            columns.iter().map(|(metric, digits)| cell(cohort, system, class, metric, *digits)),
        );
        cells
    };
    let mut heads = vec!["Class".to_owned()];
    heads.extend(
        columns.iter().map(|(metric, _)| format!("{}{}", metric.title, arrow(metric.better))),
    );
    Table {
        title: String::new(),
        note: String::new(),
        heads,
        rows: cohort.classes.iter().map(row).collect(),
    }
}

fn overlap_table(cohort: &Cohort, system: &System) -> Table {
    let mut table = class_table(
        cohort,
        system,
        &[("dice", 3), ("nsd_surfel", 3), ("sensitivity", 3), ("precision", 3)],
    );
    table.heads.insert(2, "slice DSC ↑".into());
    for (row, &class) in table.rows.iter_mut().zip(&cohort.classes) {
        let (slices, mean) = cohort.pooled_slice_dice(system, class);
        row.insert(2, Cell::new(score(mean)).with_note(format!("n {slices} slices")));
    }
    table.title = format!("Overlap by class, {}", system.name);
    table.note = "Mean over cases, 95 % interval and number of cases n. ↑ higher is better, ↓ lower is better. – no case has a value: a class that is in \
                  neither ground truth nor prediction has no DSC, and surfaces can be compared only where both have the class."
        .into();
    table
}

fn distance_table(cohort: &Cohort, system: &System) -> Table {
    let columns = [
        ("hd95_surfel_mm", 1),
        ("assd_voxel_mm", 2),
        ("volume_error_ml", 2),
        ("volume_error_percent", 0),
        ("false_positive_elsewhere_ml", 2),
    ];
    Table {
        title: format!("Distances and volumes by class, {}", system.name),
        note: "Mean over cases, 95 % interval and n. Volume errors are prediction − ground truth."
            .into(),
        ..class_table(cohort, system, &columns)
    }
}

fn arrow(better: Better) -> &'static str {
    match better {
        Better::Higher => " ↑",
        Better::Lower => " ↓",
        Better::Neither => "",
    }
}

fn comparison_table(cohort: &Cohort, comparisons: &[Comparison]) -> Table {
    let dice = metric("dice").unwrap_or(&METRICS[0]);
    let difference = |paired: &crate::Paired| {
        let text = paired.difference.map_or("–".to_owned(), |d| format!("{d:+.3}"));
        let p = paired.sign_test_p.map_or(String::new(), |p| format!(" · p {p:.3}"));
        Cell::new(text).with_note(format!(
            "{}\nn {} · {} better{p}",
            interval(paired.interval),
            paired.n,
            paired.larger
        ))
    };
    let shown = || cohort.systems.iter().filter(|system| !system.role.is_wrong_box());
    let mut heads = vec!["Class".to_owned()];
    heads.extend(shown().map(|system| format!("{} ↑", system.name)));
    heads.extend(comparisons.iter().map(|c| format!("difference to {}", c.baseline)));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (i, &class) in cohort.classes.iter().enumerate() {
        let mut row =
            vec![Cell::new(cohort.table.name(class)).with_color(cohort.table.color(class))];
        row.extend(shown().map(|system| cell(cohort, system, class, dice, 3)));
        row.extend(comparisons.iter().map(|c| difference(&c.by_class[i].1)));
        rows.push(row);
    }
    let mut last = vec![Cell::new("Mean over classes")];
    last.extend(shown().map(|system| {
        let headline = cohort.headline(system, dice);
        Cell::new(score(headline.mean)).with_note(format!(
            "{}\nn {} patients",
            interval(headline.interval),
            headline.patients
        ))
    }));
    last.extend(comparisons.iter().map(|c| difference(&c.over_classes)));
    rows.push(last);
    let mut blind = vec![Cell::new("All classes as one")];
    blind.extend(shown().map(|system| {
        let summary = cohort.any_class_dice(system);
        Cell::new(score(summary.mean)).with_note(format!(
            "{} · n {}",
            interval(summary.interval),
            summary.n
        ))
    }));
    blind.extend(comparisons.iter().map(|_| Cell::new("")));
    rows.push(blind);
    Table {
        title: "Beside the baselines".into(),
        note: "DSC of the whole volume, the same cases scored in the same way. Differences are paired by case: mean, 95 % interval, in how many cases it is \
               better, and the p value of a two-sided sign test (not corrected for the number of classes). All classes as one: a lesion that was found \
               and given another class's name counts as found."
            .into(),
        heads,
        rows,
    }
}

/// Lesions of the two headlines, class by class.
fn lesion_table(cohort: &Cohort) -> Table {
    let headlines = [Role::Evaluated, Role::Automatic];
    let systems: Vec<&System> =
        headlines.into_iter().filter_map(|role| cohort.with_role(role)).collect();
    let mut rows = Vec::new();
    for system in &systems {
        let of_class = |&class: &u8| {
            let name = Cell::new(cohort.table.name(class)).with_color(cohort.table.color(class));
            lesion_row(name.with_note(&system.name), &cohort.lesions(system, Some(class)))
        };
        rows.extend(cohort.classes.iter().map(of_class));
        let all = Cell::new("All classes").with_note(&system.name);
        rows.push(lesion_row(all, &cohort.lesions(system, None)));
    }
    let heads = ["Class", "found", "below 1 mL", "1 to 10 mL", "above 10 mL", "invented", "F1 ↑"];
    Table {
        title: "Lesions found".into(),
        note: "A lesion is a connected region of one class on the annotated slices; all cases are counted together. It counts as found when enough of it is \
               covered (see the settings below); a predicted lesion that overlaps too little ground truth counts as invented."
            .into(),
        heads: heads.map(str::to_owned).to_vec(),
        rows,
    }
}

fn lesion_row(name: Cell, lesions: &crate::LesionScores) -> Vec<Cell> {
    let share = |part: u64, of: u64| {
        if of == 0 { Cell::new("–") } else { Cell::new(format!("{part} of {of}")) }
    };
    let mut cells = vec![name, share(lesions.found, lesions.reference)];
    cells.extend(lesions.strata.iter().map(|[of, found]| share(*found, *of)));
    cells.push(share(lesions.predicted - lesions.true_predicted, lesions.predicted));
    cells.push(Cell::new(score(lesions.f1())));
    cells
}
