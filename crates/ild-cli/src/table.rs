//! The summary table at the end of a run.

use comfy_table::{ContentArrangement, Table, presets};

/// An empty table in the house style with these column heads; add rows with `add_row` and print it to stdout.
#[must_use]
pub fn table<I, T>(heads: I) -> Table
where
    I: IntoIterator<Item = T>,
    T: ToString,
{
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heads.into_iter().map(|head| head.to_string()).collect::<Vec<_>>());
    table
}
