//! Splits that somebody else drew: `splits.json` of ours, or nnU-Net's `splits_final.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cohort::split::Part;
use crate::{Error, Result};

const SCHEMA: &str = "{\"train\": [cases], \"valid\": [cases], \"test\": [cases]}, or nnU-Net's list of such objects with `train` and `val`";

/// Case → part as `path` says. `fold` chooses from a list of folds; a list with one entry needs no
/// choice.
///
/// # Errors
/// Refuses what is not such a file, a fold that it does not have, and a case that is in two parts.
pub fn read_splits(path: &Path, fold: usize) -> Result<BTreeMap<String, Part>> {
    let text = ild_io::read_text(path)?;
    let refused = |found: String| {
        Error::refused(path, SCHEMA, found, "write one name per case, without suffix")
    };
    let value: Value =
        serde_json::from_str(&text).map_err(|error| refused(format!("no JSON ({error})")))?;
    let parts = match &value {
        Value::Object(parts) => parts,
        Value::Array(folds) => {
            let chosen = folds.get(fold).ok_or_else(|| {
                Error::refused(
                    path,
                    format!("fold {fold}"),
                    format!("{} folds, counted from 0", folds.len()),
                    "choose one with --fold",
                )
            })?;
            chosen.as_object().ok_or_else(|| refused(format!("fold {fold} is no object")))?
        }
        _ => return Err(refused("neither an object nor a list".to_owned())),
    };
    parts_of(parts, path)
}

fn parts_of(parts: &Map<String, Value>, path: &Path) -> Result<BTreeMap<String, Part>> {
    let mut part_of = BTreeMap::new();
    for (key, cases) in parts {
        let part = match key.as_str() {
            "train" | "training" => Part::Train,
            "valid" | "val" | "validation" => Part::Valid,
            "test" => Part::Test,
            _ => continue,
        };
        let names = cases
            .as_array()
            .and_then(|cases| cases.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        for case in names.ok_or_else(|| {
            Error::refused(path, SCHEMA, format!("`{key}` is no list of names"), "")
        })? {
            if let Some(other) =
                part_of.insert(case.to_owned(), part).filter(|&other| other != part)
            {
                return Err(Error::refused(
                    path,
                    "each case in one part",
                    format!("`{case}` in {} and in {}", other.name(), part.name()),
                    "a patient who is trained on cannot be the exam: remove it from one of them",
                ));
            }
        }
    }
    if part_of.is_empty() {
        return Err(Error::refused(path, SCHEMA, "no cases", "check the keys"));
    }
    Ok(part_of)
}

/// `splits.json`: which case is where, with `drawn` saying how that was decided.
#[must_use]
pub fn splits_json(part_of: &BTreeMap<String, Part>, drawn: Value) -> Value {
    let cases = |part: Part| {
        part_of
            .iter()
            .filter(|&(_, &p)| p == part)
            .map(|(case, _)| case.clone())
            .collect::<Vec<_>>()
    };
    json!({ "drawn": drawn, "train": cases(Part::Train), "valid": cases(Part::Valid), "test": cases(Part::Test) })
}

/// nnU-Net's `splits_final.json`: for each fold, who is trained on and who is validated.
#[must_use]
pub fn folds_json(fold_of: &BTreeMap<String, usize>, folds: usize) -> Value {
    let of = |fold: usize, inside: bool| {
        fold_of
            .iter()
            .filter(|&(_, &f)| (f == fold) == inside)
            .map(|(case, _)| case.clone())
            .collect::<Vec<_>>()
    };
    (0..folds).map(|fold| json!({ "train": of(fold, false), "val": of(fold, true) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, fold: usize) -> Result<BTreeMap<String, Part>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_splits(file.path(), fold)
    }

    #[test]
    fn both_schemas_are_read() {
        let ours =
            read(r#"{"drawn": {"seed": 1}, "train": ["a"], "valid": ["b"], "test": ["c"]}"#, 0)
                .unwrap();
        assert_eq!((ours["a"], ours["b"], ours["c"]), (Part::Train, Part::Valid, Part::Test));
        let nnunet =
            r#"[{"train": ["a", "b"], "val": ["c"]}, {"train": ["c", "b"], "val": ["a"]}]"#;
        assert_eq!(read(nnunet, 1).unwrap()["a"], Part::Valid);
        assert!(
            read(nnunet, 2).unwrap_err().to_string().contains("expected fold 2, found 2 folds")
        );
    }

    #[test]
    fn a_case_in_two_parts_is_refused() {
        let error = read(r#"{"train": ["a", "b"], "test": ["b"]}"#, 0).unwrap_err();
        assert!(error.is_rejection());
        assert!(error.to_string().contains("found `b` in"), "{error}");
    }

    #[test]
    fn what_was_written_reads_the_same() {
        let part_of: BTreeMap<String, Part> =
            [("a".to_owned(), Part::Train), ("b".to_owned(), Part::Test)].into();
        assert_eq!(read(&splits_json(&part_of, json!({})).to_string(), 0).unwrap(), part_of);
        let fold_of: BTreeMap<String, usize> = [("a".to_owned(), 0), ("b".to_owned(), 1)].into();
        assert_eq!(read(&folds_json(&fold_of, 2).to_string(), 1).unwrap()["b"], Part::Valid);
    }

    #[test]
    fn nonsense_is_refused_with_the_schema() {
        for text in ["3", "{}", "[{\"train\": 3}]", "not json"] {
            assert!(
                read(text, 0).unwrap_err().to_string().contains("\"valid\": [cases]"),
                "{text}"
            );
        }
    }
}
