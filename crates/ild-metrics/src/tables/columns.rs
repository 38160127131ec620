//! Columns of data frames from plain iterators.

use polars::prelude::{Column, DataFrame};

use crate::Result;

pub(crate) fn text<S: Into<String>>(name: &str, values: impl IntoIterator<Item = S>) -> Column {
    Column::new(name.into(), values.into_iter().map(Into::into).collect::<Vec<String>>())
}

pub(crate) fn numbers(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Column {
    Column::new(name.into(), values.into_iter().collect::<Vec<Option<f64>>>())
}

pub(crate) fn counts(name: &str, values: impl IntoIterator<Item = u64>) -> Column {
    Column::new(name.into(), values.into_iter().collect::<Vec<u64>>())
}

pub(crate) fn frame(columns: Vec<Column>) -> Result<DataFrame> {
    Ok(DataFrame::new_infer_height(columns)?)
}
