//! A split is a decision, taken once: what an output folder says of a case holds until the user
//! asks for another draw, whatever becomes of the case's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_cli::Refusal;
use ild_io::read_text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::cohort::split::Part;
use crate::cohort::splits_file::{ABSENT, FOLDS_FILE, SPLITS_FILE, parts_of};

/// How a split came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// [`crate::SplitChoice`] as it is written.
    pub how: Value,
    /// Seed of the draw.
    pub seed: u64,
}

/// What an output folder says of its cases, and how that was decided, as far as it says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<T> {
    /// Case → part or fold; cases too whose files are not here now.
    pub place_of: BTreeMap<String, T>,
    drawn: Option<Drawn>,
    path: PathBuf,
}

impl<T: Copy + PartialEq> Kept<T> {
    /// Refuses to keep a split that was drawn in another way than is asked for now.
    ///
    /// # Errors
    /// Says both ways, and how to draw anew.
    pub fn refuse_other_draw(&self, asked: &Drawn) -> Result<()> {
        match &self.drawn {
            Some(drawn) if drawn != asked => Err(Refusal::of(&self.path)
                .expected(format!(
                    "the split that was drawn by {} with seed {}",
                    drawn.how, drawn.seed
                ))
                .found(format!("a run that asks for {} with seed {}", asked.how, asked.seed))
                .next("--redraw draws anew and says who moves; another --output keeps both")
                .into()),
            _ => Ok(()),
        }
    }

    /// The cases that `now` puts elsewhere, in words.
    pub fn moves(&self, now: &BTreeMap<String, T>, name: impl Fn(T) -> String) -> Vec<String> {
        let moved = now.iter().filter_map(|(case, &place)| {
            let before = *self.place_of.get(case)?;
            let (before, place) = (name(before), (before != place).then(|| name(place))?);
            Some(format!("{case}: moved from {before} to {place}, as the split says now"))
        });
        moved.collect()
    }
}

/// The parts in `splits.json` of `output`.
///
/// # Errors
/// When the file is there and is no such split.
pub fn kept_parts(output: &Path) -> Result<Option<Kept<Part>>> {
    let path = output.join(SPLITS_FILE);
    let Some(value) = read(&path)? else { return Ok(None) };
    let Value::Object(parts) = &value else { return Err(no_split(&path).into()) };
    let mut place_of = parts_of(parts, &path)?;
    if let Some(Value::Object(absent)) = parts.get(ABSENT) {
        place_of.extend(parts_of(absent, &path)?);
    }
    let drawn = serde_json::from_value(value["drawn"].clone()).ok();
    Ok(Some(Kept { place_of, drawn, path }))
}

/// The folds in `splits_final.json` of `output`, of which there must be `folds`.
///
/// # Errors
/// When the file is there and holds no folds, or another number of them.
pub fn kept_folds(output: &Path, folds: usize) -> Result<Option<Kept<usize>>> {
    let path = output.join(FOLDS_FILE);
    let Some(value) = read(&path)? else { return Ok(None) };
    let Value::Array(list) = &value else { return Err(no_split(&path).into()) };
    if list.len() != folds {
        return Err(Refusal::of(&path)
            .expected(format!("the {} folds that were drawn", list.len()))
            .found(format!("a run that asks for {folds}"))
            .next("--redraw draws anew and says who moves; another --output keeps both")
            .into());
    }
    let mut place_of = BTreeMap::new();
    for (fold, entry) in list.iter().enumerate() {
        let cases = entry["val"].as_array().ok_or_else(|| no_split(&path))?;
        place_of.extend(cases.iter().filter_map(|case| Some((case.as_str()?.to_owned(), fold))));
    }
    Ok(Some(Kept { place_of, drawn: None, path }))
}

fn read(path: &Path) -> Result<Option<Value>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path)?;
    // This program wrote it and will write it again.
    ild_cli::inputs::forget(path);
    serde_json::from_str(&text).map(Some).map_err(|_| no_split(path).into())
}

fn no_split(path: &Path) -> Refusal {
    Refusal::of(path)
        .expected("the split that an earlier run wrote")
        .found("something else")
        .next("put the file back, or draw anew with --redraw")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cohort::splits_file::splits_json;

    #[test]
    fn a_split_is_read_back_with_the_cases_that_are_absent_now() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(kept_parts(folder.path()).unwrap(), None);
        let now = BTreeMap::from([("a".to_owned(), Part::Train)]);
        let absent = BTreeMap::from([("b".to_owned(), Part::Test)]);
        let drawn = Drawn { how: json!({"ratios": [1.0, 0.0, 1.0]}), seed: 3 };
        let text = splits_json(&now, &absent, &drawn).to_string();
        std::fs::write(folder.path().join(SPLITS_FILE), text).unwrap();
        let kept = kept_parts(folder.path()).unwrap().unwrap();
        assert_eq!((kept.place_of["a"], kept.place_of["b"]), (Part::Train, Part::Test));
        assert!(kept.refuse_other_draw(&drawn).is_ok());
        let error = kept.refuse_other_draw(&Drawn { seed: 4, ..drawn }).unwrap_err().to_string();
        assert!(error.contains("seed 3") && error.contains("--redraw"), "{error}");
        let elsewhere =
            BTreeMap::from([("a".to_owned(), Part::Valid), ("c".to_owned(), Part::Test)]);
        assert_eq!(
            kept.moves(&elsewhere, |part| part.name().to_owned()),
            ["a: moved from train to valid, as the split says now"]
        );
    }
}
