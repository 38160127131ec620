//! Whose case is it: a CSV, for cohorts in which patients were scanned more than once.
//!
//! With a first line that names the columns (`case` and `patient`, or words like them, in any order
//! and beside others), or with the two columns case and patient and no such line. Quotes, a byte
//! order mark, commas, semicolons and tabs are read as spreadsheets write them; a case may be
//! written as its file is called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_cli::Refusal;

use super::bare_case;
use super::names::{Beside, shown};
use crate::{Result, read_text};

const CASE_WORDS: [&str; 10] =
    ["case", "caseid", "casename", "scan", "scanid", "file", "filename", "image", "name", "id"];
const PATIENT_WORDS: [&str; 7] =
    ["patient", "patientid", "patientname", "subject", "subjectid", "pid", "participant"];

/// Case → patient, as a file says.
#[derive(Clone, Debug)]
pub struct Patients {
    path: PathBuf,
    patient_of: BTreeMap<String, String>,
}

/// The patients of a cohort's cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CasePatients {
    /// Case → patient, for the cases that the file names; any other is its own patient.
    pub patient_of: BTreeMap<String, String>,
    /// What matches nothing, on either side.
    pub notes: Vec<String>,
}

impl CasePatients {
    /// The patient of `case`.
    #[must_use]
    pub fn of<'a>(&'a self, case: &'a str) -> &'a str {
        self.patient_of.get(case).map_or(case, String::as_str)
    }
}

impl Patients {
    /// Reads the file.
    ///
    /// # Errors
    /// Refuses what is no such table, an empty cell, and a case of two patients; names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .delimiter(delimiter(&text))
            .from_reader(text.as_bytes());
        let refuse = |expected: &str, found: String| {
            Refusal::of(path)
                .expected(expected)
                .found(found)
                .next("docs/preprocessing.md shows one")
        };
        let (mut columns, mut patient_of) = (None, BTreeMap::new());
        for row in rows.records() {
            let row = row.map_err(|error| refuse("a CSV", error.to_string()))?;
            let line = row.position().map_or(0, csv::Position::line);
            if row.iter().all(str::is_empty) {
                continue;
            }
            if columns.is_none() {
                let found = Columns::of(&row).ok_or_else(|| {
                    refuse(
                        "the columns `case` and `patient`",
                        format!("line {line}: {}", row.iter().collect::<Vec<_>>().join(", ")),
                    )
                })?;
                columns = Some(found);
                if found.named {
                    continue;
                }
            }
            let cells = columns.and_then(|columns| columns.cells(&row));
            let Some((case, patient)) = cells else {
                let found = row.iter().collect::<Vec<_>>().join(", ");
                return Err(
                    refuse("a case and its patient", format!("line {line}: {found}")).into()
                );
            };
            let (case, patient) = (case.to_owned(), patient.to_owned());
            if let Some(other) =
                patient_of.insert(case.clone(), patient.clone()).filter(|other| *other != patient)
            {
                return Err(refuse(
                    "one patient per case",
                    format!("line {line}: `{case}` of `{patient}`, before of `{other}`"),
                )
                .into());
            }
        }
        if patient_of.is_empty() {
            return Err(refuse("a case and its patient", "no rows".to_owned()).into());
        }
        Ok(Self { path: path.to_owned(), patient_of })
    }

    /// Lays the table beside the cases of a cohort whose files end in `suffixes`.
    ///
    /// # Errors
    /// Refuses names that match no case and look like one, a table of which no name matches, and a
    /// case of two patients.
    pub fn of_cases(&self, cases: &[&str], suffixes: &[&str]) -> Result<CasePatients> {
        let mut named: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, patient) in &self.patient_of {
            let case =
                if cases.contains(&name.as_str()) { name } else { bare_case(name, suffixes) };
            if let Some(other) = named.insert(case, patient).filter(|other| other != patient) {
                return Err(Refusal::of(&self.path)
                    .expected("one patient per case")
                    .found(format!("`{case}` of `{patient}` and of `{other}`"))
                    .into());
            }
        }
        let beside = Beside::new(named.keys().copied(), cases.iter().copied());
        if beside.both.is_empty() && self.patient_of.values().any(|v| cases.contains(&v.as_str())) {
            return Err(Refusal::of(&self.path)
                .expected("cases in the first column")
                .found("cases in the second")
                .next("swap the columns, or name them in the first line: case,patient")
                .into());
        }
        beside.refuse_slips(&self.path, "row", "case")?;
        let mut notes = Vec::new();
        if !beside.only_first.is_empty() {
            notes.push(format!(
                "{}: rows that match no case: {}",
                self.path.display(),
                shown(&beside.only_first)
            ));
        }
        if !beside.only_second.is_empty() {
            notes.push(format!(
                "{}: cases without a row, each taken for a patient of its own: {}",
                self.path.display(),
                shown(&beside.only_second)
            ));
        }
        let of_case = |case: &&str| ((*case).to_owned(), named[case].to_owned());
        Ok(CasePatients { patient_of: beside.both.iter().map(of_case).collect(), notes })
    }
}

/// Where case and patient stand in a row.
#[derive(Clone, Copy)]
struct Columns {
    case: usize,
    patient: usize,
    /// Whether the first row says so; else there are these two columns and no others.
    named: bool,
}

impl Columns {
    /// What the first row says.
    fn of(row: &csv::StringRecord) -> Option<Self> {
        let words: Vec<String> = row
            .iter()
            .map(|cell| cell.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
            .map(|word| word.to_lowercase())
            .collect();
        let at = |known: &[&str]| words.iter().position(|word| known.contains(&word.as_str()));
        match (at(&CASE_WORDS), at(&PATIENT_WORDS)) {
            (Some(case), Some(patient)) => Some(Self { case, patient, named: true }),
            // `case,person`: the head of a table that is not this one.
            (Some(_), None) if words.iter().any(|word| word == "case") => None,
            (None, Some(_)) => None,
            _ if row.len() == 2 => Some(Self { case: 0, patient: 1, named: false }),
            _ => None,
        }
    }

    fn cells<'a>(&self, row: &'a csv::StringRecord) -> Option<(&'a str, &'a str)> {
        let cells = (row.get(self.case)?, row.get(self.patient)?);
        let whole = self.named || row.len() == 2;
        (whole && !cells.0.is_empty() && !cells.1.is_empty()).then_some(cells)
    }
}

/// The sign between two cells: the one that the first line has most of, outside quotes.
fn delimiter(text: &str) -> u8 {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let outside: String = line.split('"').step_by(2).collect();
    let count = |sign: u8| outside.bytes().filter(|byte| *byte == sign).count();
    [b'\t', b';', b','].into_iter().max_by_key(|&sign| count(sign)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [&str; 4] = ["p1a", "p1b", "p2a", "p2b"];

    fn read(bytes: &[u8]) -> Result<Patients> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Patients::read(file.path())
    }

    fn of_cases(text: &str) -> Result<CasePatients> {
        read(text.as_bytes())?.of_cases(&CASES, &["_0000.nii.gz", ".nii.gz"])
    }

    #[test]
    fn every_way_a_spreadsheet_writes_it_is_the_same_table() {
        let wanted = of_cases("p1a,anna\np1b,anna\np2a,bert\np2b,bert\n").unwrap();
        assert_eq!((wanted.of("p1b"), wanted.of("p2b"), wanted.of("x")), ("anna", "bert", "x"));
        assert!(wanted.notes.is_empty());
        for text in [
            "\u{feff}p1a,anna\r\np1b,anna\r\np2a,bert\r\np2b,bert\r\n",
            "\u{feff}\"case\",\"patient\"\r\n\"p1a\",\"anna\"\r\n\"p1b\",\"anna\"\r\n\"p2a\",\"bert\"\r\n\"p2b\",\"bert\"\r\n",
            "Case ID;Patient ID\np1a;anna\np1b;anna\n\np2a;bert\np2b;bert\n",
            "patient\tage\tcase\nanna\t61\tp1a\nanna\t61\tp1b\nbert\t70\tp2a\nbert\t70\tp2b\n",
            "case,patient\np1a.nii.gz,anna\nimagesTr/p1b_0000.nii.gz,anna\np2a.nii,bert\np2b.npz,bert\n",
            "case, patient\n p1a , anna\np1b, anna\np2a, bert\np2b, bert",
        ] {
            assert_eq!(of_cases(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn a_quoted_comma_is_part_of_a_name() {
        let table = of_cases("case,patient\np1a,\"Doe, Jane\"\np1b,\"Doe, Jane\"\n").unwrap();
        assert_eq!(table.of("p1b"), "Doe, Jane");
        assert_eq!(table.notes.len(), 1, "two cases have no row: {:?}", table.notes);
    }

    #[test]
    fn numbers_stay_text() {
        let table = read(b"case,patient\n001,7\n002,7\n").unwrap();
        assert_eq!(table.of_cases(&["001", "002"], &[]).unwrap().of("001"), "7");
    }

    #[test]
    fn a_name_that_matches_nothing_is_said_or_refused() {
        let notes = of_cases("p1a,anna\nz9,zoe\n").unwrap().notes.join("\n");
        assert!(notes.contains("1 (z9)") && notes.contains("3 (p1b, p2a, p2b)"), "{notes}");
        let text = of_cases("p1a,anna\nP1B,anna\n").unwrap_err().to_string();
        assert!(text.contains("the nearest is `p1b`"), "{text}");
        let text = of_cases("x,anna\ny,anna\n").unwrap_err().to_string();
        assert!(text.contains("not one name matches"), "{text}");
        let text = of_cases("anna,p1a\nbert,p2a\n").unwrap_err().to_string();
        assert!(text.contains("swap the columns"), "{text}");
    }

    #[test]
    fn what_is_no_table_of_patients_is_refused_with_its_line() {
        for (text, word) in [
            ("a,b,c\n", "line 1"),
            ("case,person\na,b\n", "person"),
            ("case,patient\np1a,anna\np1b,\n", "line 3"),
            ("case,patient\np1a,anna\np1a,bert\n", "before of `anna`"),
            ("case,patient\n", "no rows"),
            ("p1a,anna\np1b,anna,x\n", "line 2"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.is_rejection() && error.to_string().contains(word), "{text}: {error}");
        }
        let error = of_cases("p1a,anna\np1a.nii.gz,bert\n").unwrap_err().to_string();
        assert!(error.contains("one patient per case"), "{error}");
    }
}
