//! Splits that somebody else drew: `splits.json` of ours, or nnU-Net's `splits_final.json`.

use std::collections::BTreeMap;
use std::path::Path;

use ild_cli::{Refusal, closest};
use serde_json::{Map, Value, json};

use crate::cohort::kept_split::Drawn;
use crate::cohort::split::Part;
use crate::{Error, Result};

/// What `nii-to-npz` writes: the parts, or nnU-Net's form for folds.
pub const SPLITS_FILE: &str = "splits.json";
pub const FOLDS_FILE: &str = "splits_final.json";
/// Key of the cases whose part is decided and whose files are not here.
pub const ABSENT: &str = "absent";

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
    let part_of = parts_of(parts, path)?;
    if part_of.is_empty() {
        return Err(Error::refused(path, SCHEMA, "no cases", "check the keys"));
    }
    Ok(part_of)
}

/// Case → part in an object of lists.
pub(crate) fn parts_of(parts: &Map<String, Value>, path: &Path) -> Result<BTreeMap<String, Part>> {
    let mut part_of = BTreeMap::new();
    for (key, cases) in parts {
        let part = match key.as_str() {
            "train" | "training" => Part::Train,
            "valid" | "val" | "validation" => Part::Valid,
            "test" => Part::Test,
            // A list of names that is no part would leave its cases out in silence.
            other if cases.is_array() => {
                let near = closest(other, ["train", "valid", "val", "test"]).unwrap_or("test");
                return Err(Refusal::of(path)
                    .expected(SCHEMA)
                    .found(format!("a list called `{other}`"))
                    .next(format!("did you mean `{near}`?"))
                    .into());
            }
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
    Ok(part_of)
}

/// `splits.json`: which case is where, with `drawn` saying how that was decided; cases that are
/// `absent` now stay where they were decided to be.
#[must_use]
pub fn splits_json(
    part_of: &BTreeMap<String, Part>,
    absent: &BTreeMap<String, Part>,
    drawn: &Drawn,
) -> Value {
    let mut value = by_part(part_of);
    value.insert("drawn".to_owned(), json!(drawn));
    if !absent.is_empty() {
        value.insert(ABSENT.to_owned(), by_part(absent).into());
    }
    value.into()
}

fn by_part(part_of: &BTreeMap<String, Part>) -> Map<String, Value> {
    let cases = |part: Part| {
        let of_part = part_of.iter().filter(|&(_, &p)| p == part);
        of_part.map(|(case, _)| Value::from(case.as_str())).collect::<Vec<_>>()
    };
    Part::ALL.into_iter().map(|part| (part.name().to_owned(), cases(part).into())).collect()
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
        let drawn = Drawn { how: json!("first-forty"), seed: 1 };
        let text = splits_json(&part_of, &BTreeMap::new(), &drawn).to_string();
        assert_eq!(read(&text, 0).unwrap(), part_of);
        let fold_of: BTreeMap<String, usize> = [("a".to_owned(), 0), ("b".to_owned(), 1)].into();
        assert_eq!(read(&folds_json(&fold_of, 2).to_string(), 1).unwrap()["b"], Part::Valid);
    }

    #[test]
    fn a_list_that_is_no_part_is_refused_with_the_nearest() {
        let error = read(r#"{"train": ["a"], "tset": ["b"]}"#, 0).unwrap_err().to_string();
        assert!(error.contains("`tset`") && error.contains("did you mean `test`?"), "{error}");
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
