//! The summary table at the end of a run.

use comfy_table::{ContentArrangement, Table, presets};

/// Terminals that say they are narrower than this have no size.
const NARROWEST: u16 = 30;

/// An empty table in the house style with these column heads; add rows with `add_row` and print it
/// to stdout.
#[must_use]
pub fn table<I, T>(heads: I) -> Table
where
    I: IntoIterator<Item = T>,
    T: ToString,
{
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    // Launchers such as mpirun give their processes a terminal without a size.
    if table.width().is_some_and(|columns| columns < NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(heads.into_iter().map(|head| head.to_string()).collect::<Vec<_>>());
    table
}
