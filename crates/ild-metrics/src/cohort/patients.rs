//! Whose case is it?

use std::collections::BTreeMap;
use std::path::Path;

use polars::prelude::{CsvReadOptions, DataType, SerReader};

use crate::{Error, Result};

/// Reads a CSV with the columns `case` and `patient`.
///
/// # Errors
/// When the file is no such table.
pub fn read_patients(path: &Path) -> Result<BTreeMap<String, String>> {
    let refused =
        |found: String| Error::rejected(path, "a CSV with the columns case and patient", found, "");
    let options = CsvReadOptions::default().with_infer_schema_length(Some(0));
    let frame =
        options.try_into_reader_with_file_path(Some(path.to_owned())).and_then(SerReader::finish);
    let frame = frame.map_err(|cause| refused(cause.to_string()))?;
    let column = |name: &str| -> Result<Vec<String>> {
        let column = frame
            .column(name)
            .map_err(|_| refused(format!("columns {:?}", frame.get_column_names())))?;
        let text = column.cast(&DataType::String)?;
        Ok(text.str()?.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
    };
    Ok(column("case")?.into_iter().zip(column("patient")?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_text_and_a_missing_column_is_refused() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), "case,patient\n001,7\n002,7\nx,8\n").unwrap();
        let table = read_patients(file.path()).unwrap();
        assert_eq!(
            (table["001"].as_str(), table["002"].as_str(), table["x"].as_str()),
            ("7", "7", "8")
        );
        std::fs::write(file.path(), "case,person\na,b\n").unwrap();
        assert!(read_patients(file.path()).unwrap_err().to_string().contains("person"));
    }
}
