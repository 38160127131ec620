//! The settings of one fold's pipeline, made from those of the whole.

use std::path::{Path, PathBuf};

use toml::Value;

use crate::parts::{self, text};
use crate::settings::Settings;

/// What follows from the folds, so that nobody else can say it.
const DECIDED: [&str; 11] = [
    "nii-to-npz.folds",
    "nii-to-npz.fold-tests",
    "nii-to-npz.splits",
    "nii-to-npz.ratios",
    "npz-to-npy.npz-train-dir",
    "npz-to-npy.npz-valid-dir",
    "infer.input",
    "infer-auto.cases-of",
    "evaluate.pred",
    "evaluate.gt",
    "evaluate.automatic",
];
/// A cross-validation: settings of all of it and of each fold.
pub struct Folds {
    whole: Settings,
    count: u16,
}

impl Folds {
    /// # Errors
    /// When the settings say something that follows from the folds.
    pub fn new(settings: &Settings, count: u16) -> anyhow::Result<Self> {
        parts::refuse_decided(settings, "cross-validate", &DECIDED)?;
        let sample = Settings::load(None, &[])?;
        let mut whole = settings.clone();
        for (table, key) in DECIDED.into_iter().filter_map(|name| name.split_once('.')) {
            // What the user took back stands as it does in the sample.
            let usual = sample.raw(table, key).cloned();
            whole.put(table, key, usual.unwrap_or_else(|| Value::String(String::new())));
        }
        whole.put("nii-to-npz", "folds", i64::from(count));
        whole.put("nii-to-npz", "fold-tests", true);
        Ok(Self { whole, count })
    }

    /// Settings of what is made once.
    pub fn whole(&self) -> &Settings {
        &self.whole
    }

    /// Numbers of the folds.
    pub fn each(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.count
    }

    /// Folder of all of it.
    pub fn output(&self) -> PathBuf {
        PathBuf::from(self.whole.output())
    }

    /// Folder of one fold.
    pub fn folder(&self, fold: u16) -> PathBuf {
        self.output().join(format!("fold_{fold}"))
    }

    /// Folder of the NPZ of a part of a fold.
    pub fn npz(&self, fold: u16, part: &str) -> PathBuf {
        self.all_npz().join(format!("fold_{fold}/npz_{part}"))
    }

    fn all_npz(&self) -> PathBuf {
        PathBuf::from(self.whole.text("nii-to-npz", "output").unwrap_or_default())
    }

    /// Whether a fold has been evaluated.
    pub fn is_done(&self, fold: u16) -> bool {
        parts::is_done(&self.folder(fold))
    }

    /// Settings of the pipeline of one fold.
    ///
    /// # Errors
    /// When a path that the fold writes, or the weights it is measured with, would be the same in
    /// every fold.
    pub fn settings_of(&self, fold: u16) -> anyhow::Result<Settings> {
        let own = self.folder(fold);
        let mut settings = parts::settings_in(&self.whole, &own);
        settings.put("npz-to-npy", "npz-train-dir", text(&self.npz(fold, "train")));
        settings.put("npz-to-npy", "npz-valid-dir", text(&self.npz(fold, "valid")));
        settings.put("infer", "input", text(&self.npz(fold, "test")));
        parts::refuse_common_paths(&settings, &own, "fold")?;
        Ok(settings)
    }

    /// Settings of the evaluation of all folds together, of what was gathered.
    pub fn settings_of_all(&self) -> Settings {
        let mut settings = self.whole.clone();
        let all = text(&self.all_npz().join("npz_all"));
        settings.put("evaluate", "pred", text(&self.output().join("infer")));
        let automatic = self.output().join("infer-auto");
        let automatic = if automatic.is_dir() { text(&automatic) } else { text(Path::new("")) };
        settings.put("evaluate", "automatic", automatic);
        settings.put("evaluate", "gt", all.clone());
        settings.put("evaluate", "images", all);
        parts::without_comparisons(&mut settings);
        settings
    }
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
    fn folds_share_the_data_and_nothing_else() {
        let folds = Folds::new(&settings(&["pipeline.output=cv"]), 5).unwrap();
        let third = folds.settings_of(3).unwrap();
        let of = |table: &str, key: &str| third.text(table, key).unwrap();
        assert_eq!(of("phantom", "output"), "cv/data");
        assert_eq!(of("infer-auto", "input"), "cv/data/imagesTr");
        assert_eq!(of("npz-to-npy", "npz-train-dir"), "cv/npz/fold_3/npz_train");
        assert_eq!(of("infer", "input"), "cv/npz/fold_3/npz_test");
        assert_eq!(of("infer-auto", "cases-of"), "cv/npz/fold_3/npz_test");
        assert_eq!(of("evaluate", "gt"), "cv/npz/fold_3/npz_test");
        assert_eq!(of("infer", "checkpoint"), "cv/fold_3/train/best.safetensors");
        assert_eq!(of("evaluate", "truth"), "cv/data/truthTr");
    }

    #[test]
    fn only_the_stages_of_a_fold_run_in_it() {
        let folds = Folds::new(&settings(&[]), 5).unwrap();
        let fold = folds.settings_of(0).unwrap();
        let stages = stage::with_settings("cross-fold", &fold).unwrap();
        let kept = stage::needed(stages, &stage::with_settings("pipeline", &fold).unwrap());
        let names: Vec<String> = kept.into_iter().map(|(stage, _)| stage.table).collect();
        assert_eq!(names, ["npz-to-npy", "train", "infer", "infer-auto", "evaluate"]);
    }

    #[test]
    fn one_checkpoint_or_run_folder_for_all_folds_is_refused() {
        for set in ["infer.checkpoint=mine.safetensors", "train.run-dir=runs/mine"] {
            let folds = Folds::new(&settings(&[set]), 5).unwrap();
            let error = format!("{:#}", folds.settings_of(1).unwrap_err());
            assert!(error.contains("in every fold"), "{set}: {error}");
        }
    }

    #[test]
    fn what_follows_from_the_folds_cannot_be_set_and_can_be_taken_back() {
        let error = Folds::new(&settings(&["infer.input=npz"]), 5).err().unwrap();
        assert!(format!("{error:#}").contains("infer.input: cross-validate decides it itself"));
        let back = ["nii-to-npz.splits=a.json", "nii-to-npz.splits=", "infer-auto.cases-of="];
        let fold = Folds::new(&settings(&back), 5).unwrap().settings_of(1).unwrap();
        let cases = fold.text("infer-auto", "cases-of").unwrap();
        assert!(cases.ends_with("npz/fold_1/npz_test"), "{cases}");
    }
}
