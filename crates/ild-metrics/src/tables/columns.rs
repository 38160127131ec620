//! Columns of data frames from plain iterators.

use polars::prelude::{Column, DataFrame};

use crate::Result;

pub(crate) fn text<S: AsRef<str>>(name: &str, values: impl IntoIterator<Item = S>) -> Column {
    Column::new(
        cell(name).into(),
        values.into_iter().map(|value| cell(value.as_ref())).collect::<Vec<String>>(),
    )
}

/// Text that a spreadsheet would run as a formula gets an apostrophe before it, which spreadsheets
/// take for "this is text".
pub(crate) fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// What [`cell`] was made of.
pub(crate) fn uncell(cell: &str) -> &str {
    let text = cell.strip_prefix('\'').filter(|text| text.starts_with(['=', '+', '-', '@']));
    text.unwrap_or(cell)
}

pub(crate) fn numbers(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Column {
    // Adding 0 makes a 0 of −0, which is no other number but looks like one.
    let values = values.into_iter().map(|value| value.map(|value| value + 0.0));
    Column::new(cell(name).into(), values.collect::<Vec<Option<f64>>>())
}

pub(crate) fn counts(name: &str, values: impl IntoIterator<Item = u64>) -> Column {
    Column::new(name.into(), values.into_iter().collect::<Vec<u64>>())
}

pub(crate) fn frame(columns: Vec<Column>) -> Result<DataFrame> {
    Ok(DataFrame::new_infer_height(columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_no_zero_is_negative() {
        for name in ["=1+1", "+x", "-x", "@x"] {
            assert_eq!((cell(name), uncell(&cell(name))), (format!("'{name}"), name));
        }
        assert_eq!((cell("a=b").as_str(), uncell("'quoted'")), ("a=b", "'quoted'"));
        let column = numbers("x", [Some(-0.0)]);
        assert_eq!(format!("{:?}", column.f64().unwrap().get(0)), "Some(0.0)");
    }
}
