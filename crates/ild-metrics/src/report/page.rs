//! A page of results: plain data that the template lays out. Used by `evaluate` and `quantify`
//! alike.

use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::Result;

const TEMPLATE: &str = include_str!("template.html");

/// What stands on a page; empty parts are left out.
#[derive(Debug, Default, Serialize)]
pub struct Page {
    /// Heading.
    pub title: String,
    /// One line under it.
    pub subtitle: String,
    /// A browser that shows the page asks for it again after so many seconds.
    pub refresh_seconds: Option<u32>,
    /// The result in plain words.
    pub lead: Vec<String>,
    /// The one or two numbers that the page is about.
    pub headlines: Vec<Tile>,
    /// The other large numbers.
    pub tiles: Vec<Tile>,
    /// What must not be overlooked.
    pub notices: Vec<String>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Charts that need a heading and an explanation of their own.
    pub figures: Vec<Figure>,
    /// Heading of the main chart.
    pub overview_title: String,
    /// The main chart, an SVG element.
    pub overview: String,
    /// How to read it.
    pub overview_note: String,
    /// Smaller charts, SVG elements.
    pub charts: Vec<String>,
    /// Their heading.
    pub charts_title: String,
    /// Whether they are shown at once.
    pub charts_open: bool,
    /// Pictures of slices.
    pub pictures: Vec<Picture>,
    /// How to read them.
    pub pictures_note: String,
    /// Colours in the pictures.
    pub legend: Vec<LegendEntry>,
    /// What the numbers do and do not mean.
    pub meaning: Vec<String>,
    /// Name and definition of each number.
    pub definitions: Vec<(String, String)>,
    /// Settings and versions.
    pub facts: Vec<(String, String)>,
    /// File and SHA-256.
    pub hashes: Vec<(String, String)>,
}

/// A large number with its place between 0 and 1.
#[derive(Debug, Serialize)]
pub struct Tile {
    /// What it is of.
    pub name: String,
    /// The number.
    pub number: String,
    /// CSS colour.
    pub color: String,
    /// Where the number stands, percent; none for numbers that are no share.
    pub at: Option<f64>,
    /// Start and width of its interval, percent.
    pub span: Option<[f64; 2]>,
    /// Under it.
    pub note: String,
}

/// A chart under a heading.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// Heading.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// SVG elements.
    pub svgs: Vec<String>,
}

/// A table.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Heading.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// Column heads.
    pub heads: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Default, Serialize)]
pub struct Cell {
    /// Text.
    pub text: String,
    /// Smaller text under it: an interval or an n.
    pub ci: String,
    /// CSS colour of a swatch before it.
    pub color: String,
}

impl Cell {
    /// Plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// With smaller text under it.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { ci: note.into(), ..self }
    }

    /// With a swatch before it.
    #[must_use]
    pub fn with_color(self, [r, g, b]: [u8; 3]) -> Self {
        Self { color: format!("rgb({r} {g} {b})"), ..self }
    }
}

/// A picture inside the page.
#[derive(Debug, Serialize)]
pub struct Picture {
    /// PNG in base64.
    pub png: String,
    /// For those who do not see it.
    pub alt: String,
    /// Under it.
    pub caption: String,
}

/// A colour and what it stands for.
#[derive(Debug, Serialize)]
pub struct LegendEntry {
    /// Name.
    pub name: String,
    /// CSS colour.
    pub color: String,
}

impl Page {
    /// The HTML file; it needs no other file and no network.
    ///
    /// # Errors
    /// When the template cannot be filled in.
    pub fn html(&self) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        Ok(environment.render_named_str("page.html", TEMPLATE, minijinja::value::Serde(self))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_cannot_become_markup() {
        let html = Page { title: "<script>alert(1)</script> & more".into(), ..Page::default() }
            .html()
            .unwrap();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"));
    }

    #[test]
    fn a_page_asks_nothing_of_the_network() {
        let page = Page {
            tables: vec![Table {
                title: "t".into(),
                note: String::new(),
                heads: vec!["a".into()],
                rows: vec![vec![Cell::new("1")]],
            }],
            ..Page::default()
        };
        let html = page.html().unwrap();
        for word in ["http://", "https://", "src=\"/", "@import", "url("] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
