//! Colours: few, told apart by people who see colours differently, and two of them given to the
//! page.

use plotters::style::RGBColor;

pub(super) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(super) const INK: RGBColor = RGBColor(0x1B, 0x1F, 0x24);
pub(super) const RULE: RGBColor = RGBColor(0xD8, 0xDC, 0xE1);

/// Okabe and Ito's set without black and yellow (<https://jfly.uni-koeln.de/color/>).
const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
];

/// Colour of the `index`-th series; they repeat after six.
#[must_use]
pub fn series_color(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// Replaces the three neutral colours by the page's custom properties and drops the XML preamble.
pub(super) fn follow_page_colors(svg: &str) -> String {
    let start = svg.find("<svg").unwrap_or(0);
    svg[start..]
        .replace(&format!("\"{}\"", hex(PAPER)), "\"var(--paper)\"")
        .replace(&format!("\"{}\"", hex(INK)), "\"var(--ink)\"")
        .replace(&format!("\"{}\"", hex(RULE)), "\"var(--rule)\"")
}
