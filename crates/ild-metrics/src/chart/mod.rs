//! Charts as PNG and SVG, the same drawing for both, with a typeface that travels inside the
//! program.
//!
//! A [`Chart`] is data; [`Chart::save`] picks the format from the file's ending,
//! [`Chart::inline_svg`] gives the text for an HTML page that follows the page's colours.

mod canvas;
mod curves;
mod lines;
mod matrix;
mod palette;
mod rows;

use std::io::Write;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingBackend};

pub use curves::{Curve, Measured};
pub use lines::Series;
pub use matrix::Matrix;
pub use palette::series_color;
pub use rows::{Bar, BoxGroup};

use crate::{Error, Result};

/// What is drawn, before it has a format.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Heading.
    pub title: String,
    /// Under the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis; empty for charts whose rows are named.
    pub y_label: String,
    /// The data.
    pub marks: Marks,
}

/// The data of a chart.
#[derive(Clone, Debug)]
pub enum Marks {
    /// One polyline for each series.
    Lines(Vec<Series>),
    /// One line of measured points with intervals for each curve.
    Curves(Vec<Curve>),
    /// One horizontal bar for each row.
    Bars {
        /// The rows.
        bars: Vec<Bar>,
        /// Whether a dashed line stands at the mean of the values.
        mean_line: bool,
    },
    /// For each row one box (quartiles, median, whiskers at the extremes) per series, every value
    /// as a dot.
    Boxes {
        /// Names of the series, in the order of [`BoxGroup::values`].
        series: Vec<String>,
        /// The rows.
        groups: Vec<BoxGroup>,
    },
    /// A cell for each row and column.
    Cells(Matrix),
}

impl Chart {
    /// Width and height in pixels; charts of rows grow with their rows.
    #[must_use]
    pub fn size_px(&self) -> (u32, u32) {
        match &self.marks {
            Marks::Lines(_) | Marks::Curves(_) => (900, 520),
            Marks::Bars { bars, .. } => rows::size_px(bars.len(), 1, 0),
            Marks::Boxes { series, groups } => {
                rows::size_px(groups.len(), series.len(), series.len())
            }
            Marks::Cells(matrix) => matrix::size_px(matrix),
        }
    }

    /// A standalone SVG file.
    ///
    /// # Errors
    /// When the drawing fails.
    pub fn svg(&self) -> Result<String> {
        canvas::svg(self, self.size_px())
    }

    /// The SVG element for an HTML page: no background, and ink, grid and paper taken from the
    /// page's custom properties `--ink`, `--rule` and `--paper`.
    ///
    /// # Errors
    /// When the drawing fails.
    pub fn inline_svg(&self) -> Result<String> {
        Ok(palette::follow_page_colors(&self.svg()?))
    }

    /// A PNG file's bytes.
    ///
    /// # Errors
    /// When the drawing fails.
    pub fn png(&self) -> Result<Vec<u8>> {
        canvas::png(self, self.size_px())
    }

    /// Writes the chart as PNG or SVG, by the ending of `path`, beside its final name and renamed.
    ///
    /// # Errors
    /// For another ending, and when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("png") => self.png()?,
            Some("svg") => self.svg()?.into_bytes(),
            _ => {
                return Err(Error::Chart(format!(
                    "{}: expected a name that ends in .png or .svg",
                    path.display()
                )));
            }
        };
        Ok(ild_cli::write_atomic_unsynced(path, |file| file.write_all(&bytes))?)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> canvas::Drawn<DB> {
        match &self.marks {
            Marks::Lines(series) => lines::draw(area, self, series),
            Marks::Curves(curves) => curves::draw(area, self, curves),
            Marks::Bars { bars, mean_line } => rows::draw_bars(area, self, bars, *mean_line),
            Marks::Boxes { series, groups } => rows::draw_boxes(area, self, series, groups),
            Marks::Cells(matrix) => matrix::draw(area, self, matrix),
        }
    }
}

/// A name cut to `most` characters.
fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}

/// Saves a chart of lines (a loss curve) to `path`, PNG or SVG. Points that are not finite are left
/// out.
///
/// # Errors
/// As [`Chart::save`].
pub fn line_chart(
    path: &Path,
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[Series],
) -> Result<()> {
    let marks = Marks::Lines(series.to_vec());
    Chart { title: title.into(), x_label: x_label.into(), y_label: y_label.into(), marks }
        .save(path)
}

/// Saves a chart of one horizontal bar for each row, and a dashed line at their mean, to `path`,
/// PNG or SVG.
///
/// # Errors
/// As [`Chart::save`].
pub fn bar_chart(path: &Path, title: &str, x_label: &str, bars: &[Bar]) -> Result<()> {
    let marks = Marks::Bars { bars: bars.to_vec(), mean_line: true };
    Chart { title: title.into(), x_label: x_label.into(), y_label: String::new(), marks }.save(path)
}

/// Saves a chart of boxes (quartiles, median, extremes, and each value as a dot) to `path`, PNG or
/// SVG.
///
/// # Errors
/// As [`Chart::save`].
pub fn box_chart(
    path: &Path,
    title: &str,
    x_label: &str,
    series: &[String],
    groups: &[BoxGroup],
) -> Result<()> {
    let marks = Marks::Boxes { series: series.to_vec(), groups: groups.to_vec() };
    Chart { title: title.into(), x_label: x_label.into(), y_label: String::new(), marks }.save(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses() -> Vec<Series> {
        let points = |scale: f64| {
            (1..=20).map(|epoch| (f64::from(epoch), scale / f64::from(epoch))).collect()
        };
        vec![
            Series { name: "training".into(), points: points(1.3) },
            Series { name: "validation".into(), points: points(1.6) },
        ]
    }

    #[test]
    fn a_saved_png_holds_ink_on_white() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loss.png");
        line_chart(&path, "Loss", "epoch", "Dice + cross-entropy", &losses()).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (900, 520));
        let first = series_color(0);
        let blue = picture.pixels().filter(|p| p.0 == [first.0, first.1, first.2]).count();
        assert!(blue > 300, "the first line has {blue} pixels");
        assert_eq!(picture.get_pixel(0, 0).0, [255; 3]);
    }

    #[test]
    fn an_svg_names_its_series_and_bars_show_their_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dsc.svg");
        let bars = [("case-1", Some(0.8123)), ("case-2", None)]
            .map(|(name, value)| Bar { name: name.into(), value });
        bar_chart(&path, "Reticulation", "DSC", &bars).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["Reticulation", "case-1", "0.812", "case-2", "no value"] {
            assert!(text.contains(word), "{word} is missing");
        }
    }

    #[test]
    fn charts_without_data_or_with_one_point_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let one = Series { name: "one".into(), points: vec![(1.0, 0.5), (2.0, f64::NAN)] };
        line_chart(&folder.path().join("a.png"), "", "", "", &[]).unwrap();
        line_chart(&folder.path().join("b.svg"), "t", "x", "y", &[one]).unwrap();
        bar_chart(&folder.path().join("c.png"), "t", "x", &[]).unwrap();
        box_chart(
            &folder.path().join("d.png"),
            "t",
            "x",
            &["a".into()],
            &[BoxGroup { name: "g".into(), values: vec![vec![]] }],
        )
        .unwrap();
    }

    #[test]
    fn a_matrix_shows_every_number_and_its_share_of_the_row() {
        let matrix = Matrix {
            rows: vec!["Reticulation".into(), "no lesion".into()],
            columns: vec!["Reticulation".into(), "no lesion".into()],
            values: vec![vec![Some(30.0), Some(10.0)], vec![Some(2.5), None]],
        };
        let chart = Chart {
            title: "t".into(),
            x_label: "prediction".into(),
            y_label: "truth".into(),
            marks: Marks::Cells(matrix),
        };
        let text = chart.svg().unwrap();
        for word in ["75 %", "25 %", "100 %", "2.5", "prediction", "truth"] {
            assert!(text.contains(word), "{word} is missing");
        }
        assert!(!chart.png().unwrap().is_empty());
    }

    #[test]
    fn another_ending_is_refused() {
        let refusal = line_chart(Path::new("loss.pdf"), "", "", "", &[]).unwrap_err();
        assert!(refusal.to_string().contains(".png or .svg"));
    }

    #[test]
    fn an_inline_svg_has_no_fixed_ink() {
        let chart = Chart {
            title: "t".into(),
            x_label: "x".into(),
            y_label: "y".into(),
            marks: Marks::Lines(losses()),
        };
        let text = chart.inline_svg().unwrap();
        assert!(text.contains("var(--ink)") && text.starts_with("<svg"));
        assert!(!text.contains("#1B1F24") && !text.contains("#FFFFFF"));
    }
}
