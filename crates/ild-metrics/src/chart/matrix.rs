//! A table of numbers as a picture: each cell shaded by its share of the row.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::series_color;
use super::{Chart, canvas};

const CELL_PX: [i32; 2] = [104, 46];
/// Room for the names of the rows, and above the columns.
const LEFT_PX: i32 = 190;
const TOP_PX: i32 = 92;
const BOTTOM_PX: i32 = 14;
const NAME_CHARS: usize = 14;
/// Ink has to stay readable on the darkest cell.
const DARKEST: f64 = 0.55;

/// Numbers by row and column; `None` where there is nothing to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// One list per row.
    pub values: Vec<Vec<Option<f64>>>,
}

pub(super) fn size_px(matrix: &Matrix) -> (u32, u32) {
    let width = LEFT_PX + CELL_PX[0] * matrix.columns.len() as i32 + BOTTOM_PX;
    let height = TOP_PX + CELL_PX[1] * matrix.rows.len() as i32 + BOTTOM_PX;
    (width as u32, height as u32)
}

pub(super) fn draw<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    chart: &Chart,
    matrix: &Matrix,
) -> canvas::Drawn<DB> {
    let at = |h, v| Pos::new(h, v);
    let small = |h| canvas::text(13).pos(at(h, VPos::Center));
    let middle = |j: usize| LEFT_PX + CELL_PX[0] * j as i32 + CELL_PX[0] / 2;
    area.draw(&Text::new(chart.title.clone(), (8, 10), canvas::text(20)))?;
    let heading = (LEFT_PX, TOP_PX - 46);
    area.draw(&Text::new(chart.x_label.clone(), heading, small(HPos::Left)))?;
    let side = (LEFT_PX - 12, TOP_PX - 18);
    area.draw(&Text::new(chart.y_label.clone(), side, small(HPos::Right)))?;
    for (j, name) in matrix.columns.iter().enumerate() {
        let place = (middle(j), TOP_PX - 18);
        area.draw(&Text::new(super::shortened(name, NAME_CHARS), place, small(HPos::Center)))?;
    }
    for (i, (name, values)) in matrix.rows.iter().zip(&matrix.values).enumerate() {
        let top = TOP_PX + CELL_PX[1] * i as i32;
        let place = (LEFT_PX - 12, top + CELL_PX[1] / 2);
        area.draw(&Text::new(super::shortened(name, 22), place, small(HPos::Right)))?;
        let row_sum: f64 = values.iter().flatten().sum();
        for (j, value) in values.iter().enumerate() {
            let Some(value) = *value else { continue };
            let share = if row_sum > 0.0 { value / row_sum } else { 0.0 };
            let left = LEFT_PX + CELL_PX[0] * j as i32;
            let corners = [(left + 2, top + 2), (left + CELL_PX[0] - 2, top + CELL_PX[1] - 2)];
            let shade = series_color(0).mix(DARKEST * share + 0.02);
            area.draw(&Rectangle::new(corners, shade.filled()))?;
            let number = |text: String, size: u32, v: i32| {
                let style = canvas::text(size).pos(at(HPos::Center, VPos::Center));
                Text::new(text, (middle(j), top + CELL_PX[1] / 2 + v), style)
            };
            area.draw(&number(amount(value), 15, -8))?;
            area.draw(&number(format!("{:.0} %", 100.0 * share), 11, 11))?;
        }
    }
    Ok(())
}

/// As many digits as matter.
fn amount(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 10.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}
