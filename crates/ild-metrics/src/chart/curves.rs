//! Measured points with their intervals, joined by lines.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::lines::{configure_axes, legend, range};
use super::palette::series_color;
use super::{Chart, canvas};

/// Width of the bars at the ends of an interval, as a share of the horizontal axis.
const CAP: f64 = 0.008;

/// Named points with what is known of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// In the order in which they are joined.
    pub points: Vec<Measured>,
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Where it stands.
    pub x: f64,
    /// Its value.
    pub y: f64,
    /// Its interval, drawn as a vertical bar.
    pub interval: Option<[f64; 2]>,
}

pub(super) fn draw<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    chart: &Chart,
    curves: &[Curve],
) -> canvas::Drawn<DB> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let xs: Vec<f64> = points().map(|point| point.x).collect();
    let ends = points().flat_map(|point| point.interval.into_iter().flatten().chain([point.y]));
    let ys: Vec<f64> = ends.filter(|y| y.is_finite()).collect();
    let across = range(xs.iter().copied(), 0.05);
    let cap = CAP * (across.end - across.start);
    let mut plot = ChartBuilder::on(area)
        .caption(&chart.title, canvas::text(24))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(80)
        .build_cartesian_2d(across, range(ys.iter().copied(), 0.05))?;
    configure_axes(&mut plot, chart)?;
    for (index, curve) in curves.iter().enumerate() {
        let style = series_color(index).stroke_width(2);
        // Side by side, so that bars at one place can be told apart.
        let beside = (index as f64 - (curves.len() as f64 - 1.0) / 2.0) * 3.0 * cap;
        let at = |point: &Measured| point.x + beside;
        let line = curve.points.iter().map(|point| (at(point), point.y));
        plot.draw_series(LineSeries::new(line.clone(), style))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
        plot.draw_series(line.map(|point| Circle::new(point, 4, style.filled())))?;
        for point in &curve.points {
            let (x, Some([low, high])) = (at(point), point.interval) else { continue };
            let strokes = [
                [(x, low), (x, high)],
                [(x - cap, low), (x + cap, low)],
                [(x - cap, high), (x + cap, high)],
            ];
            plot.draw_series(strokes.map(|ends| PathElement::new(ends.to_vec(), style)))?;
        }
    }
    if !curves.is_empty() {
        legend(&mut plot, SeriesLabelPosition::LowerRight)?;
    }
    Ok(())
}
