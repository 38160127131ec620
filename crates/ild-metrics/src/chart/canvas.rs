//! From a drawing to the bytes of a file.

use std::io::Cursor;
use std::sync::OnceLock;

use image::{ImageFormat, RgbImage};
use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::prelude::DrawingBackend;
use plotters::style::{Color, FontStyle, TextStyle, register_font};

use super::Chart;
use super::palette::{INK, PAPER};
use crate::{Error, Result};

pub(super) type Drawn<DB> =
    std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// The name under which DejaVu Sans is registered; in an SVG the viewer's own sans-serif appears.
const FAMILY: &str = "sans-serif";

/// Text of this size (px) in the ink's colour.
pub(super) fn text(size: u32) -> TextStyle<'static> {
    TextStyle::from((FAMILY, size)).color(&INK)
}

fn register_typeface() -> Result<()> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let registered = *DONE.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular()).is_ok()
            && register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold()).is_ok()
    });
    if registered {
        Ok(())
    } else {
        Err(Error::Chart("the built-in typeface could not be read".into()))
    }
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::Chart(cause.to_string())
}

pub(super) fn svg(chart: &Chart, size_px: (u32, u32)) -> Result<String> {
    register_typeface()?;
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, size_px).into_drawing_area();
        area.fill(&PAPER.mix(1.0)).map_err(failed)?;
        chart.draw(&area).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(out)
}

pub(super) fn png(chart: &Chart, size_px: (u32, u32)) -> Result<Vec<u8>> {
    register_typeface()?;
    let (width, height) = size_px;
    let mut pixels = vec![255u8; width as usize * height as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size_px).into_drawing_area();
        chart.draw(&area).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    let picture = RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| failed("picture buffer of another size"))?;
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(failed)?;
    Ok(bytes.into_inner())
}
