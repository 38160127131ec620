//! A quantification as JSON, CSV, page and printed table.

use std::path::{Path, PathBuf};

use ild_io::picture::{Outline, overlay};
use ndarray::Array2;

use super::aligned::Slice;
use super::{ClassVolume, Quantification, QuantifyInput, QuantifySettings, RIM_MM, RegionVolumes};
use crate::chart::{Bar, Chart, Marks};
use crate::report::page::{Cell, LegendEntry, Page, Picture, Table, Tile};
use crate::report::png_picture;
use crate::tables::write_csv;
use crate::{Result, tables::columns};

/// Pictures are enlarged by whole pixels to at least this width.
const WIDTH_PX: usize = 480;
const LUNG_OUTLINE: [u8; 3] = [230, 230, 230];

/// Column name, heading, and where the number is.
pub(super) type Part = (&'static str, &'static str, fn(&RegionVolumes) -> f64);

pub(super) const PARTS: [Part; 8] = [
    ("lung", "whole lung", |r| r.whole),
    ("upper_third", "upper third", |r| r.upper_third),
    ("middle_third", "middle third", |r| r.middle_third),
    ("lower_third", "lower third", |r| r.lower_third),
    ("left", "left", |r| r.left),
    ("right", "right", |r| r.right),
    ("rim", "rim", |r| r.rim),
    ("core", "core", |r| r.core),
];

impl Quantification {
    /// Every class and then all together.
    fn rows(&self) -> impl Iterator<Item = &ClassVolume> {
        self.classes.iter().chain([&self.total])
    }

    /// What must not be overlooked, one sentence each.
    pub(super) fn notices(&self) -> Vec<String> {
        let problems = self.lung.iter().flat_map(|lung| &lung.problems);
        let mut out: Vec<String> =
            problems.map(|problem| format!("The lung mask may be wrong: {problem}.")).collect();
        if let Some(outside) = self.total.outside_lung_ml.filter(|ml| *ml > 0.0) {
            out.push(format!("{outside:.2} mL of the lesions lie outside the lung mask and are in no share; either mask may be at fault."));
        }
        if self.total.volume_ml == 0.0 {
            out.push("The mask is empty.".into());
        }
        out
    }
}

/// Writes `quantification.json`, `quantification.csv` and `report.html` into `folder`; returns
/// them.
///
/// # Errors
/// When a file cannot be written; names it.
pub fn write_quantification(
    found: &Quantification,
    input: &QuantifyInput,
    settings: &QuantifySettings,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let paths =
        ["quantification.json", "quantification.csv", "report.html"].map(|name| folder.join(name));
    ild_cli::write_json_atomic(&paths[0], found)?;
    write_csv(&paths[1], table(found)?)?;
    ild_cli::write_bytes_atomic(&paths[2], page(found, input, settings)?.html()?.as_bytes())?;
    Ok(paths.to_vec())
}

/// One row per class: volume, volume and percent of the lung in each region.
fn table(found: &Quantification) -> Result<polars::prelude::DataFrame> {
    let rows: Vec<&ClassVolume> = found.rows().collect();
    let mut out = vec![
        columns::text("case", rows.iter().map(|_| found.case.as_str())),
        columns::counts("label", rows.iter().map(|row| u64::from(row.label))),
        columns::text("class", rows.iter().map(|row| row.name.as_str())),
        columns::numbers("volume_ml", rows.iter().map(|row| Some(row.volume_ml))),
        columns::numbers("outside_lung_ml", rows.iter().map(|row| row.outside_lung_ml)),
    ];
    for (key, _, value) in PARTS {
        out.push(columns::numbers(
            &format!("{key}_ml"),
            rows.iter().map(|row| row.regions.as_ref().map(value)),
        ));
    }
    for (key, _, value) in PARTS {
        out.push(columns::numbers(
            &format!("{key}_percent"),
            rows.iter().map(|row| row.percent_of_lung.as_ref().map(value)),
        ));
    }
    columns::frame(out)
}

/// The table on the terminal.
#[must_use]
pub fn printed_quantification(found: &Quantification) -> String {
    let mut table = ild_cli::table(
        ["class", "mL"]
            .into_iter()
            .map(str::to_owned)
            .chain(PARTS.iter().map(|(_, head, _)| format!("{head} %")))
            .collect::<Vec<_>>(),
    );
    for row in found.rows() {
        let mut cells = vec![row.name.clone(), format!("{:.2}", row.volume_ml)];
        cells.extend(PARTS.iter().map(|(.., value)| {
            row.percent_of_lung.as_ref().map_or("–".to_owned(), |p| format!("{:.2}", value(p)))
        }));
        table.add_row(cells);
    }
    let lung = match &found.lung {
        Some(lung) => format!("lung {:.0} mL, {}", lung.regions.whole, lung.source),
        None => "no lung: give --lung or --ct for shares and regions".to_owned(),
    };
    let problems: String = found
        .lung
        .iter()
        .flat_map(|lung| &lung.problems)
        .map(|problem| format!("\nlung mask: {problem}"))
        .collect();
    let header: String =
        found.header_notes.iter().map(|note| format!("\nmask's header: {note}")).collect();
    format!("{table}\n{lung}{problems}{header}\n{}", found.intended_use)
}

fn page(
    found: &Quantification,
    input: &QuantifyInput,
    settings: &QuantifySettings,
) -> Result<Page> {
    let chart = Chart {
        title: "How much, by class".into(),
        x_label: if found.lung.is_some() { "% of the lung" } else { "mL" }.into(),
        y_label: String::new(),
        marks: Marks::Bars { bars: found.classes.iter().map(bar).collect(), mean_line: false },
    };
    let mut tables = vec![region_table(found, "Volume (mL)", 2, |row| row.regions)];
    if found.lung.is_some() {
        tables.push(region_table(found, "Share of the lung in each region (%)", 2, |row| {
            row.percent_of_lung
        }));
    }
    let mut facts = vec![
        ("Program".to_owned(), format!("ild-metrics {}", env!("CARGO_PKG_VERSION"))),
        ("Mask".into(), settings.shown(&settings.mask)),
        ("Lung".into(), found.lung.as_ref().map_or("–".into(), |lung| lung.source.clone())),
    ];
    facts.extend(
        found.header_notes.iter().map(|note| ("Mask's header".to_owned(), note.to_string())),
    );
    if let Some(ct) = &settings.ct {
        facts.push(("CT".into(), settings.shown(ct)));
    }
    let hashes = settings.hashes()?;
    Ok(Page {
        title: format!("How much of the lung? {}", found.case),
        subtitle: "Volumes of a label map; for research use".into(),
        lead: lead(found),
        tiles: tiles(found, input),
        notices: found.notices(),
        tables,
        overview_title: "Classes beside each other".into(),
        overview: chart.inline_svg()?,
        overview_note: String::new(),
        pictures: pictures(input),
        pictures_note: "In each third of the lung the slice with most lesion. Grey line: lung."
            .into(),
        legend: legend(found, input),
        meaning: meaning(found),
        facts,
        hashes,
        ..Page::default()
    })
}

fn bar(row: &ClassVolume) -> Bar {
    Bar {
        name: row.name.clone(),
        value: Some(row.percent_of_lung.map_or(row.volume_ml, |percent| percent.whole)),
    }
}

fn lead(found: &Quantification) -> Vec<String> {
    let total = &found.total;
    match (total.percent_of_lung, &found.lung) {
        (Some(percent), Some(lung)) => {
            let (rim, core) = (percent.rim, percent.core);
            let place = if rim > core {
                "more near the edge of the lung than deep inside"
            } else {
                "not more near the edge of the lung than deep inside"
            };
            vec![format!(
                "The marked lesions take {:.1} mL. That is {:.1} % of a lung of {:.0} mL: {:.1} % of its upper, {:.1} % of its middle and {:.1} % of its lower third, \
                 and {place} ({rim:.1} % of the outer {RIM_MM:.0} mm, {core:.1} % of the rest). Lung mask: {}.",
                total.volume_ml,
                percent.whole,
                lung.regions.whole,
                percent.upper_third,
                percent.middle_third,
                percent.lower_third,
                lung.source
            )]
        }
        _ => vec![format!(
            "The marked lesions take {:.1} mL. Without a lung mask or a CT nothing can be said about their share or place.",
            total.volume_ml
        )],
    }
}

fn tiles(found: &Quantification, input: &QuantifyInput) -> Vec<Tile> {
    let tile = |row: &ClassVolume| {
        let [r, g, b] = input.table.color(row.label);
        let share = row.percent_of_lung.map(|percent| percent.whole);
        Tile {
            name: row.name.clone(),
            number: share
                .map_or(format!("{:.1} mL", row.volume_ml), |share| format!("{share:.1} %")),
            color: format!("rgb({r} {g} {b})"),
            at: share,
            span: share.map(|share| [0.0, share]),
            note: format!("{:.1} mL", row.volume_ml),
        }
    };
    found.classes.iter().filter(|row| row.volume_ml > 0.0).map(tile).collect()
}

fn meaning(found: &Quantification) -> Vec<String> {
    let mut out = vec![
        "Volumes are counts of voxels times the volume of a voxel, as the mask has them; how good the mask is, these numbers do not say. If only some slices \
         were annotated, they are volumes of those slices."
            .to_owned(),
        format!(
            "Thirds divide the height of the lungs in three equal parts: parts of space, not lobes. The rim holds the lung voxels within {RIM_MM:.0} mm of the \
             mask's edge, at chest wall, diaphragm and mediastinum alike. {}",
            found.intended_use
        ),
    ];
    if found.lung.as_ref().is_some_and(|lung| lung.sides_by == super::SideRule::MiddleOfWidth) {
        out.push(
            "The lungs of the mask touch, so left and right are the halves of its width.".into(),
        );
    }
    out
}

fn region_table(
    found: &Quantification,
    title: &str,
    digits: usize,
    part: fn(&ClassVolume) -> Option<RegionVolumes>,
) -> Table {
    let number =
        |value: Option<f64>| Cell::new(value.map_or("–".to_owned(), |v| format!("{v:.digits$}")));
    let percent = title.contains('%');
    let row = |row: &ClassVolume| {
        let mut cells = vec![Cell::new(row.name.clone())];
        if !percent {
            cells.push(number(Some(row.volume_ml)));
        }
        cells.extend(PARTS.iter().map(|(.., value)| number(part(row).as_ref().map(value))));
        cells
    };
    let mut rows: Vec<Vec<Cell>> = found.rows().map(row).collect();
    let mut heads = vec!["Class".to_owned()];
    if !percent {
        heads.push("whole mask".into());
        if let Some(lung) = &found.lung {
            let mut cells = vec![Cell::new("lung"), Cell::new("–")];
            cells.extend(
                PARTS.iter().map(|(.., value)| Cell::new(format!("{:.0}", value(&lung.regions)))),
            );
            rows.push(cells);
        }
    }
    heads.extend(PARTS.iter().map(|(_, head, _)| (*head).to_owned()));
    Table { title: title.into(), note: String::new(), heads, rows }
}

fn legend(found: &Quantification, input: &QuantifyInput) -> Vec<LegendEntry> {
    let entry = |row: &ClassVolume| {
        let [r, g, b] = input.table.color(row.label);
        LegendEntry { name: row.name.clone(), color: format!("rgb({r} {g} {b})") }
    };
    found.classes.iter().filter(|row| row.volume_ml > 0.0).map(entry).collect()
}

/// In each third of the slices that hold lesion, the slice with most of it.
fn pictures(input: &QuantifyInput) -> Vec<Picture> {
    let Some(ct) = &input.ct else { return Vec::new() };
    let per_slice: Vec<usize> = input
        .map
        .labels
        .outer_iter()
        .map(|slice| slice.iter().filter(|id| **id != 0).count())
        .collect();
    let span = match &input.lung {
        Some(lung) => lung
            .mask
            .outer_iter()
            .enumerate()
            .filter(|(_, slice)| slice.iter().any(|v| *v))
            .map(|(z, _)| z)
            .collect(),
        None => (0..per_slice.len()).collect::<Vec<_>>(),
    };
    let chunks = span.chunks(span.len().div_ceil(3).max(1));
    let slices = chunks.filter_map(|part| {
        part.iter().copied().filter(|&z| per_slice[z] > 0).max_by_key(|&z| per_slice[z])
    });
    slices.filter_map(|z| draw(input, ct, z)).collect()
}

/// Slice `z` as it is.
pub(super) fn draw(input: &QuantifyInput, ct: &ild_io::Volume, z: usize) -> Option<Picture> {
    Some(drawn(&Slice::of(input, ct, z)?, input, format!("slice {z}")))
}

/// A slice with the outlines of lung and classes.
pub(super) fn drawn(slice: &Slice, input: &QuantifyInput, caption: String) -> Picture {
    let mut masks: Vec<(Array2<bool>, [u8; 3])> = Vec::new();
    masks.extend(slice.lung.iter().map(|lung| (lung.clone(), LUNG_OUTLINE)));
    for &id in input.table.classes.keys() {
        masks.push((slice.labels.mapv(|v| v == id), input.table.color(id)));
    }
    let outlines: Vec<Outline> =
        masks.iter().map(|(mask, color)| Outline::mask(mask.view(), *color)).collect();
    let scale = WIDTH_PX.div_ceil(slice.grey.dim().1.max(1)) as u32;
    png_picture(&overlay(slice.grey.view(), &outlines, scale), caption)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ild_io::{Affine, Geometry, Label, LabelMap, LabelTable};
    use ndarray::{Array3, s};

    use super::super::Lung;
    use super::*;

    #[test]
    fn volumes_and_shares_are_those_counted_by_hand() {
        let geometry = Geometry::new([10, 20, 20], Affine::from_spacing_xyz_mm([1.0, 1.0, 10.0]));
        let mut labels = Array3::<u8>::zeros((10, 20, 20));
        labels.slice_mut(s![9, 0..10, 0..10]).fill(2);
        let mut lung = Array3::from_elem(labels.dim(), true);
        lung.slice_mut(s![9, 0..5, 0..10]).fill(false);
        let table = LabelTable::new(BTreeMap::from([(
            2,
            Label { name: "GGO".into(), color: [1, 2, 3], code: None },
        )]));
        let lung = Lung { mask: lung, source: "test".into(), problems: Vec::new() };
        let found = Quantification::new("a", &LabelMap { labels, geometry }, &table, Some(&lung));
        let class = &found.classes[0];
        // 100 voxels of 10 mm³; half of them outside the lung of 3950 voxels.
        assert!(
            (class.volume_ml - 1.0).abs() < 1e-12
                && (class.outside_lung_ml.unwrap() - 0.5).abs() < 1e-12
        );
        assert!((class.percent_of_lung.unwrap().whole - 100.0 * 50.0 / 3950.0).abs() < 1e-12);
        assert!((class.regions.unwrap().upper_third - 0.5).abs() < 1e-12);
        let frame = table_of(&found);
        assert!(
            frame.starts_with("case,label,class,volume_ml,outside_lung_ml,lung_ml,upper_third_ml"),
            "{frame}"
        );
        assert_eq!(frame.lines().count(), 3);
    }

    fn table_of(found: &Quantification) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write_csv(&path, table(found).unwrap()).unwrap();
        std::fs::read_to_string(path).unwrap()
    }
}
