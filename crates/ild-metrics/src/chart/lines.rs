//! Polylines over two numeric axes.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::palette::{INK, PAPER, RULE, series_color};
use super::{Chart, canvas};

/// Named points in the order they are joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// `(x, y)`; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    fn finite(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }
}

/// The smallest range around `values` with a margin, never empty.
pub(super) fn range(values: impl Iterator<Item = f64> + Clone, margin: f64) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return 0.0..1.0;
    }
    let pad = if high > low { (high - low) * margin } else { 0.5 * high.abs().max(1.0) };
    low - pad..high + pad
}

pub(super) fn draw<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    chart: &Chart,
    series: &[Series],
) -> canvas::Drawn<DB> {
    let points = || series.iter().flat_map(Series::finite);
    let xs: Vec<f64> = points().map(|p| p.0).collect();
    let ys: Vec<f64> = points().map(|p| p.1).collect();
    let mut plot = ChartBuilder::on(area)
        .caption(&chart.title, canvas::text(24))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(80)
        .build_cartesian_2d(range(xs.iter().copied(), 0.0), range(ys.iter().copied(), 0.05))?;
    configure_axes(&mut plot, chart)?;
    for (index, line) in series.iter().enumerate() {
        let style = series_color(index).stroke_width(2);
        plot.draw_series(LineSeries::new(line.finite(), style))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
        if line.finite().count() == 1 {
            plot.draw_series(line.finite().map(|point| Circle::new(point, 4, style.filled())))?;
        }
    }
    if !series.is_empty() {
        legend(&mut plot, SeriesLabelPosition::UpperRight)?;
    }
    Ok(())
}

/// Two numeric axes.
pub(super) type Plot<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes, their names, and the grid.
pub(super) fn configure_axes<'a, DB: DrawingBackend + 'a>(
    plot: &mut Plot<'a, DB>,
    chart: &Chart,
) -> canvas::Drawn<DB> {
    plot.configure_mesh()
        .x_desc(&chart.x_label)
        .y_desc(&chart.y_label)
        .axis_desc_style(canvas::text(17))
        .label_style(canvas::text(15))
        .axis_style(INK)
        .bold_line_style(RULE)
        .light_line_style(TRANSPARENT)
        .draw()
}

/// Names of the series.
pub(super) fn legend<'a, DB: DrawingBackend + 'a>(
    plot: &mut Plot<'a, DB>,
    at: SeriesLabelPosition,
) -> canvas::Drawn<DB> {
    plot.configure_series_labels()
        .position(at)
        .label_font(canvas::text(15))
        .background_style(PAPER)
        .border_style(RULE)
        .draw()
}
