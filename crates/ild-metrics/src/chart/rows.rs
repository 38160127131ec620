//! Horizontal charts of named rows: bars, and boxes with every value as a dot.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{INK, RULE, series_color};
use super::{Chart, canvas};
use crate::statistics::{mean, percentile};

const WIDTH_PX: u32 = 640;
const ROW_PX: u32 = 26;
/// Title, axis and its label.
const FRAME_PX: u32 = 110;
const LEGEND_PX: u32 = 22;
const NAME_CHARS: usize = 24;

/// One row of a bar chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Name of the row.
    pub name: String,
    /// Length; `None` is written out as "no value".
    pub value: Option<f64>,
}

/// One row of a box chart.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxGroup {
    /// Name of the row.
    pub name: String,
    /// Values of each series.
    pub values: Vec<Vec<f64>>,
}

type Plot<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) fn size_px(rows: usize, series: usize, legend: usize) -> (u32, u32) {
    let slots = (rows.max(1) * series.max(1)) as u32;
    (WIDTH_PX, FRAME_PX + slots * ROW_PX + legend as u32 * LEGEND_PX)
}

fn shortened(name: &str) -> String {
    super::shortened(name, NAME_CHARS)
}

/// The upper end of the value axis: 1 for scores, else a little above the largest value.
fn axis_end(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.filter(|v| v.is_finite()).fold(0.0, f64::max);
    if largest <= 1.0 { 1.0 } else { largest * 1.05 }
}

/// Axes, grid and row names; row `i` spans `i..i+1` on the vertical axis, from the top.
fn frame<'a, DB: DrawingBackend>(
    area: &'a DrawingArea<DB, Shift>,
    chart: &Chart,
    names: &[&str],
    end: f64,
) -> Result<Plot<'a, DB>, DrawingAreaErrorKind<DB::ErrorType>> {
    let longest =
        names.iter().map(|name| shortened(name).chars().count()).max().unwrap_or(0) as u32;
    let mut plot = ChartBuilder::on(area)
        .caption(&chart.title, canvas::text(20))
        .margin(10)
        .margin_right(52)
        .x_label_area_size(48)
        .y_label_area_size(24 + longest * 8)
        .build_cartesian_2d(0.0..end, names.len().max(1) as f64..0.0)?;
    plot.configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(6)
        .x_desc(&chart.x_label)
        .axis_desc_style(canvas::text(15))
        .label_style(canvas::text(14))
        .axis_style(INK)
        .bold_line_style(RULE)
        .light_line_style(TRANSPARENT)
        .draw()?;
    let style = canvas::text(14).pos(Pos::new(HPos::Right, VPos::Center));
    for (i, name) in names.iter().enumerate() {
        let (x, y) = plot.backend_coord(&(0.0, i as f64 + 0.5));
        area.draw(&Text::new(shortened(name), (x - 8, y), style.clone()))?;
    }
    Ok(plot)
}

pub(super) fn draw_bars<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    chart: &Chart,
    bars: &[Bar],
    mean_line: bool,
) -> canvas::Drawn<DB> {
    let values: Vec<f64> =
        bars.iter().filter_map(|bar| bar.value).filter(|v| v.is_finite()).collect();
    let names: Vec<&str> = bars.iter().map(|bar| bar.name.as_str()).collect();
    let end = axis_end(values.iter().copied());
    let mut plot = frame(area, chart, &names, end)?;
    let style = canvas::text(13).pos(Pos::new(HPos::Left, VPos::Center));
    for (i, bar) in bars.iter().enumerate() {
        let (top, value) = (i as f64, bar.value.unwrap_or(0.0));
        plot.draw_series([Rectangle::new(
            [(0.0, top + 0.2), (value, top + 0.8)],
            series_color(0).filled(),
        )])?;
        let (x, y) = plot.backend_coord(&(value, top + 0.5));
        let caption = bar.value.map_or("no value".to_owned(), |value| {
            if end > 1.0 { format!("{value:.1}") } else { format!("{value:.3}") }
        });
        area.draw(&Text::new(caption, (x + 6, y), style.clone()))?;
    }
    if let Some(mean) = mean(&values).filter(|_| mean_line) {
        let line = [(mean, 0.0), (mean, bars.len() as f64)];
        plot.draw_series(DashedLineSeries::new(line, 6, 4, INK.stroke_width(1)))?;
    }
    Ok(())
}

pub(super) fn draw_boxes<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    chart: &Chart,
    series: &[String],
    groups: &[BoxGroup],
) -> canvas::Drawn<DB> {
    let (width, height) = area.dim_in_pixel();
    let legend_px = series.len() as u32 * LEGEND_PX;
    let (plot_area, legend) = area.split_vertically(height.saturating_sub(legend_px));
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    let end = axis_end(groups.iter().flat_map(|group| group.values.iter().flatten().copied()));
    let mut plot = frame(&plot_area, chart, &names, end)?;
    let slots = series.len().max(1) as f64;
    for (i, group) in groups.iter().enumerate() {
        for (j, values) in group.values.iter().enumerate() {
            let middle = i as f64 + 0.1 + 0.8 * (j as f64 + 0.5) / slots;
            draw_box(&mut plot, values, middle, 0.3 / slots, series_color(j))?;
        }
    }
    for (j, name) in series.iter().enumerate() {
        let y = (j as u32 * LEGEND_PX) as i32 + 8;
        let x = width as i32 / 5;
        legend.draw(&Rectangle::new([(x, y - 5), (x + 14, y + 5)], series_color(j).filled()))?;
        legend.draw(&Text::new(
            name.clone(),
            (x + 22, y),
            canvas::text(14).pos(Pos::new(HPos::Left, VPos::Center)),
        ))?;
    }
    Ok(())
}

fn draw_box<DB: DrawingBackend>(
    plot: &mut Plot<'_, DB>,
    values: &[f64],
    middle: f64,
    half: f64,
    color: RGBColor,
) -> canvas::Drawn<DB> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let [Some(low), Some(q1), Some(median), Some(q3), Some(high)] =
        [0.0, 25.0, 50.0, 75.0, 100.0].map(|q| percentile(&sorted, q))
    else {
        return Ok(());
    };
    let line = |from: (f64, f64), to: (f64, f64), width: u32| {
        PathElement::new(vec![from, to], color.stroke_width(width))
    };
    plot.draw_series([Rectangle::new(
        [(q1, middle - half), (q3, middle + half)],
        color.mix(0.25).filled(),
    )])?;
    plot.draw_series([
        line((low, middle), (high, middle), 1),
        line((low, middle - half / 2.0), (low, middle + half / 2.0), 1),
        line((high, middle - half / 2.0), (high, middle + half / 2.0), 1),
        line((median, middle - half), (median, middle + half), 3),
    ])?;
    plot.draw_series(sorted.iter().map(|&value| Circle::new((value, middle), 3, color.filled())))?;
    Ok(())
}
