//! A progression as JSON, CSV, page and printed table.

use std::path::{Path, PathBuf};

use ndarray::Array3;

use super::aligned::{Alignment, Slice};
use super::output::{PARTS, drawn};
use super::{ClassChange, Progression, QuantifyInput, QuantifySettings};
use crate::Result;
use crate::report::page::{Cell, LegendEntry, Page, Picture, Table, Tile};
use crate::tables::{columns, write_csv};

/// Heights of the lung, from its top, of which slices are shown.
const SHOWN_HEIGHTS: [f64; 3] = [0.25, 0.5, 0.75];

/// Writes `progression.json`, `progression.csv` and `progression.html` into `folder`; returns them.
///
/// # Errors
/// When a file cannot be written; names it.
pub fn write_progression(
    found: &Progression,
    inputs: &[QuantifyInput; 2],
    settings: &QuantifySettings,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let paths =
        ["progression.json", "progression.csv", "progression.html"].map(|name| folder.join(name));
    ild_cli::write_json_atomic(&paths[0], found)?;
    write_csv(&paths[1], table(found)?)?;
    ild_cli::write_bytes_atomic(&paths[2], page(found, inputs, settings)?.html()?.as_bytes())?;
    Ok(paths.to_vec())
}

/// One row per class.
fn table(found: &Progression) -> Result<polars::prelude::DataFrame> {
    let rows: Vec<&ClassChange> = found.rows().collect();
    let lung = found.lung;
    let numbers = |name: &str, value: &dyn Fn(&ClassChange) -> Option<f64>| {
        columns::numbers(name, rows.iter().map(|row| value(row)))
    };
    let beyond = |row: &&ClassChange| match row.beyond_error {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let mut out = vec![
        columns::text("baseline", rows.iter().map(|_| found.baseline.case.as_str())),
        columns::text("followup", rows.iter().map(|_| found.followup.case.as_str())),
        columns::counts("label", rows.iter().map(|row| u64::from(row.label))),
        columns::text("class", rows.iter().map(|row| row.name.as_str())),
        numbers("baseline_ml", &|row| Some(row.baseline_ml)),
        numbers("followup_ml", &|row| Some(row.followup_ml)),
        numbers("change_ml", &|row| Some(row.change_ml)),
        numbers("uncertainty_ml", &|row| row.uncertainty_ml),
        columns::text("beyond_error", rows.iter().map(beyond)),
        numbers("baseline_percent", &|row| row.baseline_percent),
        numbers("followup_percent", &|row| row.followup_percent),
        numbers("change_points", &|row| row.change_points),
        numbers("uncertainty_points", &|row| row.uncertainty_points),
        numbers("baseline_lung_ml", &|_| lung.map(|lung| lung.baseline_ml)),
        numbers("followup_lung_ml", &|_| lung.map(|lung| lung.followup_ml)),
    ];
    for (key, _, value) in PARTS {
        out.push(numbers(&format!("{key}_change_ml"), &|row| row.regions_ml.as_ref().map(value)));
    }
    for (key, _, value) in PARTS {
        let points = |row: &ClassChange| row.regions_points.as_ref().map(value);
        out.push(numbers(&format!("{key}_change_points"), &points));
    }
    columns::frame(out)
}

/// `+3.1 ± 2.0`.
fn signed(change: f64, uncertainty: Option<f64>, digits: usize) -> String {
    let change = format!("{change:+.digits$}");
    // What is rounded to nothing has no sign.
    let change = match change.trim_start_matches(['+', '-']) {
        zero if zero.chars().all(|c| c == '0' || c == '.') => zero.to_owned(),
        _ => change,
    };
    match uncertainty {
        Some(half) => format!("{change} ± {half:.digits$}"),
        None => change,
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// The table on the terminal.
#[must_use]
pub fn printed_progression(found: &Progression) -> String {
    let heads = [
        "class",
        "earlier mL",
        "later mL",
        "change mL",
        "earlier %",
        "later %",
        "change, % of lung",
    ];
    let mut table = ild_cli::table(heads);
    for row in found.rows() {
        table.add_row(cells(row));
    }
    let mut out = table.to_string();
    if let Some(lung) = found.lung {
        out += &format!(
            "\nlung {:.0} mL, then {:.0} mL ({} %)",
            lung.baseline_ml,
            lung.followup_ml,
            signed(lung.change_percent, None, 1)
        );
    }
    for notice in &found.notices {
        out += &format!("\n{notice}");
    }
    out += &format!("\n{}", error_words(found));
    out + &format!("\n{}", found.intended_use)
}

fn cells(row: &ClassChange) -> Vec<String> {
    let share = |percent: Option<f64>| or_dash(percent.map(|percent| format!("{percent:.2}")));
    vec![
        row.name.clone(),
        format!("{:.1}", row.baseline_ml),
        format!("{:.1}", row.followup_ml),
        signed(row.change_ml, row.uncertainty_ml, 1),
        share(row.baseline_percent),
        share(row.followup_percent),
        or_dash(row.change_points.map(|points| signed(points, row.uncertainty_points, 2))),
    ]
}

fn error_words(found: &Progression) -> String {
    match &found.errors {
        None => {
            "How far the masks' volumes are off is not known (--evaluation says it): a change may \
                 be no more than that."
                .to_owned()
        }
        Some(errors) => format!(
            "±: 95 % of the changes of an unchanged patient, from the errors of volumes in {} \
             (annotated slices; both dates taken as independent).",
            errors.from.display()
        ),
    }
}

fn page(
    found: &Progression,
    inputs: &[QuantifyInput; 2],
    settings: &QuantifySettings,
) -> Result<Page> {
    let heads = [
        "Class",
        "earlier (mL)",
        "later (mL)",
        "change (mL)",
        "earlier (% of lung)",
        "later (% of lung)",
        "change (points)",
    ];
    let row = |row: &ClassChange| cells(row).into_iter().map(Cell::new).collect::<Vec<_>>();
    let mut rows: Vec<Vec<Cell>> = found.rows().map(row).collect();
    if let Some(lung) = found.lung {
        let texts = [
            "lung".to_owned(),
            format!("{:.0}", lung.baseline_ml),
            format!("{:.0}", lung.followup_ml),
            signed(lung.followup_ml - lung.baseline_ml, None, 0),
        ];
        let empty = std::iter::repeat_n("–".to_owned(), heads.len() - texts.len());
        rows.push(texts.into_iter().chain(empty).map(Cell::new).collect());
    }
    let mut tables = vec![Table {
        title: "Both dates".into(),
        note: error_words(found),
        heads: heads.map(str::to_owned).to_vec(),
        rows,
    }];
    tables.extend(found.lung.map(|_| region_table(found)));
    let hashes = settings.hashes()?;
    let [baseline, followup] = inputs;
    Ok(Page {
        title: format!("What changed? {} → {}", found.baseline.case, found.followup.case),
        subtitle: "Two label maps of one patient; for research use".into(),
        lead: vec![lead(found)],
        tiles: tiles(found, baseline),
        notices: found.notices.clone(),
        tables,
        pictures: matched(baseline, followup),
        pictures_note: "The earlier and the later date at the same share of the lung's height. For these \
                        pictures only, the later lung is moved and turned in its slice onto the earlier one by the \
                        lung masks (centre and longer axis; nothing is stretched); no number is made of it. Grey line: lung."
            .into(),
        legend: legend(found, baseline),
        meaning: vec![
            "Volumes are counted in each mask by itself. Nothing is laid over anything: a lesion that \
             moved is no change, one that grew by as much as another shrank is none either."
                .to_owned(),
            format!("Thirds are parts of the lung's height at each date, not lobes. {}", found.intended_use),
        ],
        facts: vec![
            ("Program".to_owned(), format!("ild-metrics {}", env!("CARGO_PKG_VERSION"))),
            ("Earlier mask".into(), settings.shown(&settings.mask)),
            ("Later mask".into(), or_dash(settings.followup.as_ref().map(|p| settings.shown(p)))),
        ],
        hashes,
        ..Page::default()
    })
}

fn lead(found: &Progression) -> String {
    let total = &found.total;
    let change = signed(total.change_ml, None, 1);
    let share = total
        .baseline_percent
        .zip(total.followup_percent)
        .map(|(before, after)| format!(", {before:.1} % and then {after:.1} % of the lung"))
        .unwrap_or_default();
    let beyond: Vec<String> = found
        .classes
        .iter()
        .filter(|class| class.beyond_error == Some(true))
        .map(|class| {
            format!("{} ({} mL)", class.name, signed(class.change_ml, class.uncertainty_ml, 1))
        })
        .collect();
    let words = match (&found.errors, beyond.is_empty()) {
        (None, _) => "Whether that is more than the error of the masks is not known.".to_owned(),
        (Some(_), true) => "No class changed by more than the model's own error.".to_owned(),
        (Some(_), false) => {
            format!("More than the model's own error changed: {}.", beyond.join(", "))
        }
    };
    format!(
        "The marked lesions take {:.1} mL and then {:.1} mL ({change} mL){share}. {words}",
        total.baseline_ml, total.followup_ml
    )
}

fn tiles(found: &Progression, input: &QuantifyInput) -> Vec<Tile> {
    let shown = found.classes.iter().filter(|class| class.baseline_ml + class.followup_ml > 0.0);
    let tile = |class: &ClassChange| {
        let [r, g, b] = input.table.color(class.label);
        Tile {
            name: class.name.clone(),
            number: format!("{} mL", signed(class.change_ml, None, 1)),
            color: format!("rgb({r} {g} {b})"),
            at: None,
            span: None,
            note: or_dash(class.uncertainty_ml.map(|ml| format!("± {ml:.1} mL"))),
        }
    };
    shown.map(tile).collect()
}

fn legend(found: &Progression, input: &QuantifyInput) -> Vec<LegendEntry> {
    let shown = found.classes.iter().filter(|class| class.baseline_ml + class.followup_ml > 0.0);
    let entry = |class: &ClassChange| {
        let [r, g, b] = input.table.color(class.label);
        LegendEntry { name: class.name.clone(), color: format!("rgb({r} {g} {b})") }
    };
    shown.map(entry).collect()
}

fn region_table(found: &Progression) -> Table {
    let row = |class: &ClassChange| {
        let cells = PARTS.iter().map(|(.., value)| {
            or_dash(class.regions_points.as_ref().map(|points| signed(value(points), None, 2)))
        });
        std::iter::once(class.name.clone()).chain(cells).map(Cell::new).collect()
    };
    let heads = PARTS.iter().map(|(_, head, _)| (*head).to_owned());
    Table {
        title: "Change in each region (percentage points of its lung)".into(),
        note: String::new(),
        heads: std::iter::once("Class".to_owned()).chain(heads).collect(),
        rows: found.rows().map(row).collect(),
    }
}

/// Slices of both dates at the same share of the lung's height, the later lung laid onto the earlier.
fn matched(baseline: &QuantifyInput, followup: &QuantifyInput) -> Vec<Picture> {
    let Some(alignment) = Alignment::new(baseline, followup) else { return Vec::new() };
    let slice = |input: &QuantifyInput, height: f64| {
        let z = slice_at(&input.lung.as_ref()?.mask, height)?;
        Some((z, Slice::of(input, input.ct.as_ref()?, z)?))
    };
    let pair = |&height: &f64| {
        let ((z, earlier), (later_z, later)) = (slice(baseline, height)?, slice(followup, height)?);
        let spacing = |input: &QuantifyInput| input.map.geometry.spacing_xyz_mm;
        let moved =
            alignment.moved(&later, earlier.grey.dim(), spacing(baseline), spacing(followup));
        let caption = format!("later, slice {later_z}, {}", alignment.words());
        Some([
            drawn(&earlier, baseline, format!("earlier, slice {z}")),
            drawn(&moved, followup, caption),
        ])
    };
    SHOWN_HEIGHTS.iter().filter_map(pair).flatten().collect()
}

/// The slice at this share of the lung's height from its top.
fn slice_at(lung: &Array3<bool>, height: f64) -> Option<usize> {
    let slices = lung.outer_iter().enumerate();
    let held: Vec<usize> =
        slices.filter(|(_, slice)| slice.iter().any(|v| *v)).map(|(z, _)| z).collect();
    let (first, last) = (*held.first()?, *held.last()?);
    Some(last - (height * (last - first) as f64).round() as usize)
}
