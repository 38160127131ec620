//! The settings of the pipeline of one share, made from those of the whole.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ild_cli::Usage;
use serde_json::Value as Json;
use toml::Value;

use crate::parts;
use crate::settings::Settings;

/// What follows from the shares, so that nobody else can say it.
const DECIDED: [&str; 3] =
    ["npz-to-npy.train-share", "learning-curve.point", "learning-curve.note"];
/// Settings of a single split that cannot be meant here.
const UNFIT: [(&str, &str, &str); 2] = [
    ("nii-to-npz", "folds", "a curve needs one split with a test that all shares have in common"),
    ("train", "patience", "every share is trained for the same number of steps"),
];
/// Settings that count passes over the training patients: fewer patients, more of them.
const PASSES: &str = "epochs";
const SCALED: [&str; 2] = ["warmup-epochs", "average-last"];

/// A learning curve: settings of all of it and of each share.
pub struct Shares {
    whole: Settings,
    shares: Vec<u16>,
}

impl Shares {
    /// Of these shares, percent, in ascending order.
    ///
    /// # Errors
    /// When the settings say something that cannot be meant or follows from the shares.
    pub fn new(settings: &Settings, shares: &[u16]) -> anyhow::Result<Self> {
        parts::refuse_decided(settings, "learning-curve", &DECIDED)?;
        for (table, key, why) in UNFIT {
            let value = settings.table(table).remove(key);
            if value.is_some_and(|value| value.as_integer() != Some(0)) {
                bail!(Usage(format!("{table}.{key}: {why}; take it out (--set {table}.{key}=)")));
            }
        }
        let mut shares = shares.to_vec();
        shares.sort_unstable();
        shares.dedup();
        Ok(Self { whole: settings.clone(), shares })
    }

    /// Settings of what is made once.
    pub fn whole(&self) -> &Settings {
        &self.whole
    }

    /// The shares, percent.
    pub fn each(&self) -> &[u16] {
        &self.shares
    }

    /// Folder of all of it.
    pub fn output(&self) -> PathBuf {
        PathBuf::from(self.whole.output())
    }

    /// Folder of one share.
    pub fn folder(&self, share: u16) -> PathBuf {
        self.output().join(format!("share_{share}"))
    }

    /// Passes over the patients of a share: as many as make about as many steps as all patients do.
    fn passes(&self, share: u16) -> anyhow::Result<i64> {
        let all = self.whole.table("train").get(PASSES).and_then(Value::as_integer);
        match all {
            Some(all) if all > 0 => Ok((all as f64 * 100.0 / f64::from(share)).round() as i64),
            _ => bail!(Usage(format!(
                "train.{PASSES}: expected a number, of which each share gets its own; set it"
            ))),
        }
    }

    /// What is done for a share.
    pub fn in_words(&self, share: u16) -> anyhow::Result<String> {
        let passes = self.passes(share)?;
        Ok(format!("{share} % of the training patients: {passes} {PASSES}"))
    }

    /// Settings of the pipeline of one share.
    ///
    /// # Errors
    /// When a path that it writes, or the weights it is measured with, would be the same in every
    /// share.
    pub fn settings_of(&self, share: u16) -> anyhow::Result<Settings> {
        let own = self.folder(share);
        let mut settings = parts::settings_in(&self.whole, &own);
        // The same patients choose the epoch, and the same are the test.
        for (table, key) in
            [("npz-to-npy", "npz-train-dir"), ("npz-to-npy", "npz-valid-dir"), ("infer", "input")]
        {
            if let Some(value) = self.whole.table(table).remove(key) {
                settings.put(table, key, value);
            }
        }
        if let Some(patients) = self.whole.text("nii-to-npz", "patients") {
            settings.put("npz-to-npy", "patients", patients);
        }
        settings.put("npz-to-npy", "train-share", i64::from(share));
        settings.put("train", PASSES, self.passes(share)?);
        for key in SCALED {
            let grown = match self.whole.table("train").get(key) {
                Some(Value::Integer(n)) => {
                    Value::Integer((*n as f64 * 100.0 / f64::from(share)).round() as i64)
                }
                Some(Value::Float(x)) => Value::Float(x * 100.0 / f64::from(share)),
                _ => continue,
            };
            settings.put("train", key, grown);
        }
        parts::refuse_common_paths(&settings, &own, "share")?;
        Ok(settings)
    }

    /// Settings of the table and plot over all shares, of what they left.
    ///
    /// # Errors
    /// When a share has left no record of its training.
    pub fn settings_of_all(&self) -> anyhow::Result<Settings> {
        let mut settings = self.whole.clone();
        let (mut points, mut notes) = (Vec::new(), Vec::new());
        for &share in &self.shares {
            let folder = self.folder(share);
            let count = number_in(&folder.join("reports/npz-to-npy.json"), "training_patients")?;
            let steps = number_in(&folder.join("reports/train.json"), "steps")?;
            points.push(format!("{count}={}", folder.join("evaluation").display()));
            notes.push(format!("{} and {steps} steps", self.in_words(share)?));
        }
        let count = |point: &String| point.split('=').next().map(str::to_owned);
        let before = points.len();
        points.dedup_by(|later, first| count(later) == count(first));
        if points.len() < before {
            tracing::warn!(
                "some shares are of as many patients as a smaller one; the curve has the smaller alone"
            );
        }
        let list =
            |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
        settings.put("learning-curve", "point", list(points));
        settings.put("learning-curve", "note", list(notes));
        Ok(settings)
    }
}

/// A number of a stage's record.
fn number_in(record: &Path, key: &str) -> anyhow::Result<u64> {
    let at = || record.display().to_string();
    let bytes = std::fs::read(record).with_context(at)?;
    let record: Json = serde_json::from_slice(&bytes).with_context(at)?;
    record[key].as_u64().with_context(|| format!("{}: expected `{key}`, found none", at()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage;

    fn settings(sets: &[&str]) -> Settings {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        Settings::load(None, &sets).unwrap()
    }

    #[test]
    fn shares_have_the_split_in_common_and_train_for_as_many_steps() {
        let sets = ["pipeline.output=lc", "train.epochs=12", "train.average-last=3"];
        let shares = Shares::new(&settings(&sets), &[100, 25, 25]).unwrap();
        assert_eq!(shares.each(), [25, 100]);
        let quarter = shares.settings_of(25).unwrap();
        let of = |table: &str, key: &str| quarter.text(table, key).unwrap();
        assert_eq!(of("nii-to-npz", "output"), "lc/npz");
        assert_eq!(of("npz-to-npy", "npz-train-dir"), "lc/npz/npz_train");
        assert_eq!(of("npz-to-npy", "npz-valid-dir"), "lc/npz/npz_valid");
        assert_eq!(of("npz-to-npy", "npy-dir"), "lc/share_25/npy");
        assert_eq!(of("infer", "input"), "lc/npz/npz_test");
        assert_eq!(of("infer-auto", "cases-of"), "lc/npz/npz_test");
        assert_eq!(of("infer", "checkpoint"), "lc/share_25/train/best.safetensors");
        let train = quarter.table("train");
        let number = |key: &str| train[key].as_integer().unwrap();
        assert_eq!((number("epochs"), number("average-last")), (48, 12));
        assert_eq!(number("warmup-epochs"), 4);
        assert_eq!(quarter.table("npz-to-npy")["train-share"].as_integer(), Some(25));
        let whole = shares.settings_of(100).unwrap();
        assert_eq!(whole.table("train")["epochs"].as_integer(), Some(12));
        assert!(shares.in_words(25).unwrap().contains("48 epochs"));
    }

    #[test]
    fn the_stages_are_those_of_a_fold() {
        let shares = Shares::new(&settings(&[]), &[50]).unwrap();
        let share = shares.settings_of(50).unwrap();
        let stages = stage::with_settings(parts::EACH, &share).unwrap();
        let kept = stage::needed(stages, &stage::with_settings("pipeline", &share).unwrap());
        let names: Vec<String> = kept.into_iter().map(|(stage, _)| stage.table).collect();
        assert_eq!(names, ["npz-to-npy", "train", "infer", "infer-auto", "evaluate"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words() {
        for (set, word) in [
            ("nii-to-npz.folds=5", "one split"),
            ("train.patience=3", "same number of steps"),
            ("npz-to-npy.train-share=50", "decides it itself"),
        ] {
            let error = Shares::new(&settings(&[set]), &[50]).err().unwrap();
            assert!(format!("{error:#}").contains(word), "{set}: {error:#}");
        }
        let common = Shares::new(&settings(&["infer.checkpoint=mine.safetensors"]), &[50]).unwrap();
        let error = format!("{:#}", common.settings_of(50).unwrap_err());
        assert!(error.contains("in every share"), "{error}");
        assert!(Shares::new(&settings(&["train.patience=0"]), &[50]).is_ok());
    }
}
