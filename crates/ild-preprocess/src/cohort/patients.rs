//! Whose scan is it: a CSV of `case,patient`, for cohorts in which patients were scanned more than
//! once.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cohort::split::Part;
use crate::{Error, Result};

/// Case → patient.
///
/// # Errors
/// Refuses lines that are not `case,patient` and a case that belongs to two patients.
pub fn read_patients(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = ild_io::read_text(path)?;
    let mut patient_of = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split([',', ';', '\t']).map(str::trim).collect();
        let [case, patient] = fields[..] else {
            return Err(Error::refused(
                path,
                "two columns, `case,patient`",
                format!("line {}: `{line}`", number + 1),
                "",
            ));
        };
        if number == 0 && case.eq_ignore_ascii_case("case") {
            continue;
        }
        if let Some(other) =
            patient_of.insert(case.to_owned(), patient.to_owned()).filter(|other| other != patient)
        {
            return Err(Error::refused(
                path,
                "one patient per case",
                format!("`{case}` of `{other}` and of `{patient}`"),
                "",
            ));
        }
    }
    Ok(patient_of)
}

/// Refuses a split that puts scans of one patient into two parts; `path` is where the patients were
/// read from.
///
/// # Errors
/// Names the first such patient.
pub fn refuse_torn_apart(
    part_of: &BTreeMap<String, Part>,
    patient_of: &BTreeMap<String, String>,
    path: &Path,
) -> Result<()> {
    let mut seen: BTreeMap<&str, (&str, Part)> = BTreeMap::new();
    for (case, &part) in part_of {
        let Some(patient) = patient_of.get(case) else { continue };
        let (other, first) = *seen.entry(patient).or_insert((case, part));
        if first != part {
            return Err(Error::refused(
                path,
                format!("the scans of `{patient}` in one part"),
                format!("`{other}` in {} and `{case}` in {}", first.name(), part.name()),
                "a patient in two parts is a leak: change the split",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_patients(file.path())
    }

    #[test]
    fn cases_find_their_patients() {
        let patients = read("case,patient\na1, anna\na2,anna\n\nb;bert\n").unwrap();
        assert_eq!(
            (patients["a2"].as_str(), patients["b"].as_str(), patients.len()),
            ("anna", "bert", 3)
        );
        assert!(read("a,b,c\n").unwrap_err().to_string().contains("line 1"));
        assert!(read("a,b\na,c\n").unwrap_err().is_rejection());
    }

    #[test]
    fn a_patient_in_two_parts_is_refused() {
        let patients = read("a1,anna\na2,anna\n").unwrap();
        let split = |second| [("a1".to_owned(), Part::Train), ("a2".to_owned(), second)].into();
        assert!(refuse_torn_apart(&split(Part::Train), &patients, Path::new("p.csv")).is_ok());
        let error =
            refuse_torn_apart(&split(Part::Test), &patients, Path::new("p.csv")).unwrap_err();
        assert!(
            error.is_rejection() && error.to_string().contains("`a1` in train and `a2` in test"),
            "{error}"
        );
    }
}
