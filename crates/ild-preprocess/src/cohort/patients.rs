//! No patient in two parts.

use std::collections::BTreeMap;
use std::path::Path;

use ild_cli::Refusal;
use ild_io::cohort::CasePatients;

use crate::Result;
use crate::cohort::split::Part;

/// Refuses a split that puts scans of one patient into two parts; `path` is where the patients were
/// read from.
///
/// # Errors
/// Names the first such patient.
pub fn refuse_torn_apart(
    part_of: &BTreeMap<String, Part>,
    patients: &CasePatients,
    path: &Path,
) -> Result<()> {
    let mut seen: BTreeMap<&str, (&str, Part)> = BTreeMap::new();
    for (case, &part) in part_of {
        let patient = patients.of(case);
        let (other, first) = *seen.entry(patient).or_insert((case, part));
        if first != part {
            return Err(Refusal::of(path)
                .expected(format!("the scans of `{patient}` in one part"))
                .found(format!("`{other}` in {} and `{case}` in {}", first.name(), part.name()))
                .next("a patient in two parts is a leak: change the split, or draw it anew with --redraw")
                .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_in_two_parts_is_refused() {
        let of = |case: &str| (case.to_owned(), "anna".to_owned());
        let patients = CasePatients { patient_of: [of("a1"), of("a2")].into(), notes: Vec::new() };
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
