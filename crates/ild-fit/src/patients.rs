//! Whom the rules may be fitted on: those who chose the weights, nobody who taught them, nobody who
//! will measure them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_infer::{CaseFile, find_cases};
use ild_io::cohort::{Beside, CasePatients, CaseSet, KnownCases, Patients, shown};
use ild_metrics::case_files;
use ild_model::{KNOWN_CASES, Weights};

use crate::error::{Error, Result};
use crate::settings::FitSettings;

/// The validation cases.
pub struct Chosen {
    /// CT and ground truth of each, by name.
    pub cases: Vec<(CaseFile, PathBuf)>,
    /// Whose they are.
    pub patient_of: Vec<String>,
    /// How it is known that they are validation patients of the weights, in words.
    pub checked: String,
}

/// The cases of `--valid`, once nothing speaks against them.
///
/// # Errors
/// Refuses a patient who is also among the training or test cases, cases other than those that chose
/// the weights, and weights that do not say which those are where nobody else does.
pub fn choose(settings: &FitSettings, weights: &Weights) -> Result<Chosen> {
    let truths = case_files(&settings.valid, &settings.gt_name_suffix)?;
    let names: Vec<&str> = truths.keys().map(String::as_str).collect();
    let says = known_cases(weights, &settings.checkpoint)?;
    if let Some(known) = &says {
        refuse_others(settings, known, &names)?;
    }
    for (folder, part) in [(&settings.train, Part::Train), (&settings.test, Part::Test)] {
        match folder {
            Some(folder) => refuse_shared(settings, folder, part, &names)?,
            None if says.is_none() => return Err(nobody_says(settings, part)),
            None => {}
        }
    }
    let checked = match says {
        Some(_) => "the weights say by which cases they were chosen, and these are those",
        None => {
            "no patient is among those of --train and --test; the weights do not say whom they know"
        }
    };
    if says.is_none() {
        tracing::warn!("{}: {checked}", settings.checkpoint.display());
    }
    let patients = patients_of(settings, &names)?;
    let cases = with_ct(settings, truths)?;
    let patient_of = cases.iter().map(|(case, _)| patients.of(&case.id).to_owned()).collect();
    Ok(Chosen { cases, patient_of, checked: checked.to_owned() })
}

/// What other patients are for.
#[derive(Clone, Copy)]
enum Part {
    Train,
    Test,
}

impl Part {
    fn flag(self) -> &'static str {
        match self {
            Self::Train => "--train",
            Self::Test => "--test",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Train => "taught the weights",
            Self::Test => "are there to measure them",
        }
    }
}

fn known_cases(weights: &Weights, path: &Path) -> Result<Option<KnownCases>> {
    let Some(text) = weights.metadata.get(KNOWN_CASES) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| {
        let expected = format!("the cases it knows in `{KNOWN_CASES}` of its metadata");
        Error::refused(path, expected, error.to_string(), "take the file that ild-train wrote")
    })
}

/// Refuses cases other than those that the weights were chosen by.
fn refuse_others(settings: &FitSettings, known: &KnownCases, names: &[&str]) -> Result<()> {
    let here = CaseSet::of(names.iter().copied());
    let next = "rules are fitted on the validation cases of the same split, or the same fold: name the npz_valid that training had";
    let Some(valid) = &known.valid else {
        return Err(Error::refused(
            &settings.checkpoint,
            "weights that were chosen by validation cases",
            "weights of a run without any",
            "train with validation cases: what is left are patients that taught the weights or measure them",
        ));
    };
    if here == *valid {
        return Ok(());
    }
    let found = if here == known.train {
        format!("the {} cases that taught them", here.count)
    } else {
        format!("others, who may be training or test patients: {}", shown(names))
    };
    let expected = format!(
        "the {} validation cases by which {} was chosen",
        valid.count,
        settings.checkpoint.display()
    );
    Err(Error::refused(&settings.valid, expected, found, next))
}

/// Refuses validation cases of which another part holds the patient.
fn refuse_shared(settings: &FitSettings, folder: &Path, part: Part, names: &[&str]) -> Result<()> {
    let others = case_files(folder, &settings.gt_name_suffix)?;
    let all: Vec<&str> = names.iter().copied().chain(others.keys().map(String::as_str)).collect();
    let patients = patients_of(settings, &all)?;
    let theirs: BTreeMap<&str, &str> =
        others.keys().map(|case| (patients.of(case), case.as_str())).collect();
    let shared = names.iter().find_map(|case| Some((*case, *theirs.get(patients.of(case))?)));
    let Some((case, other)) = shared else { return Ok(()) };
    let found = if case == other {
        format!("`{case}` in {} too", folder.display())
    } else {
        format!("`{case}` and, of the same patient, `{other}` in {}", folder.display())
    };
    let expected = format!("validation patients only, none of those who {}", part.words());
    let next = "rules fitted on them would say nothing about new patients: name the npz_valid of the split";
    Err(Error::refused(&settings.valid, expected, found, next))
}

fn nobody_says(settings: &FitSettings, part: Part) -> Error {
    Error::refused(
        &settings.checkpoint,
        "weights that say by which cases they were taught and chosen",
        "weights of an earlier version, which do not",
        format!(
            "name the cases that {} with {}, so that nobody of them is used",
            part.words(),
            part.flag()
        ),
    )
}

fn patients_of(settings: &FitSettings, cases: &[&str]) -> Result<CasePatients> {
    let Some(path) = &settings.patients else { return Ok(CasePatients::default()) };
    let suffixes = [settings.img_name_suffix.as_str(), settings.gt_name_suffix.as_str()];
    Ok(Patients::read(path)?.of_cases(cases, &suffixes)?)
}

/// The CT of each case.
fn with_ct(
    settings: &FitSettings,
    truths: BTreeMap<String, PathBuf>,
) -> Result<Vec<(CaseFile, PathBuf)>> {
    let scans = find_cases(&settings.input, &settings.img_name_suffix)?;
    let here: Vec<&str> = scans.iter().map(|case| case.id.as_str()).collect();
    let beside = Beside::new(truths.keys().map(String::as_str), here.iter().copied());
    beside.refuse_slips(&settings.valid, "validation case", "CT")?;
    if !beside.only_first.is_empty() {
        return Err(Error::refused(
            &settings.input,
            "a CT of every validation case",
            format!("none of {}", shown(&beside.only_first)),
            "check --input and --img-name-suffix",
        ));
    }
    if let Some(npz) = scans.iter().find(|case| case.is_npz() && truths.contains_key(&case.id)) {
        return Err(Error::refused(
            &npz.path,
            "a CT: a search without a prompt looks at all of it",
            "windowed slices of an NPZ",
            "name the folder of the CTs (imagesTr)",
        ));
    }
    let taken = scans.into_iter().filter_map(|case| Some((truths.get(&case.id)?.clone(), case)));
    Ok(taken.map(|(truth, case)| (case, truth)).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: FitSettings,
    }

    /// A cohort of CTs `a` to `f`, of whom two teach, two choose and two measure.
    struct Cohort(tempfile::TempDir);

    impl Cohort {
        fn new() -> Self {
            let cohort = Self(tempfile::tempdir().unwrap());
            for (part, cases) in
                [("train", ["a", "b"]), ("valid", ["c", "d"]), ("test", ["e", "f"])]
            {
                for case in cases {
                    cohort.write(&format!("{part}/{case}.npz"));
                    cohort.write(&format!("cts/{case}_0000.nii.gz"));
                }
            }
            cohort
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }

        fn settings(&self, valid: &str, more: &[&str]) -> FitSettings {
            let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
            let mut words = vec!["ild-fit".to_owned(), "--checkpoint=best.safetensors".to_owned()];
            words.push(format!("--input={}", path("cts")));
            words.push(format!("--valid={}", path(valid)));
            words.push(format!("--output={}", path("fit")));
            words.extend(more.iter().map(|part| format!("--{part}={}", path(part))));
            Cli::try_parse_from(words).unwrap().settings
        }
    }

    fn weights(known: Option<(&[&str], &[&str])>) -> Weights {
        let mut weights = Weights::from_tensors([]).unwrap();
        if let Some((train, valid)) = known {
            let set = |cases: &[&str]| CaseSet::of(cases.iter().copied());
            let known = KnownCases { train: set(train), valid: Some(set(valid)) };
            let text = serde_json::to_string(&known).unwrap();
            assert!(!text.contains("\"a\"") && !text.contains("\"c\""), "no case is named: {text}");
            weights.metadata.insert(KNOWN_CASES.to_owned(), text);
        }
        weights
    }

    fn of_cohort() -> Weights {
        weights(Some((&["a", "b"], &["c", "d"])))
    }

    fn refusal(settings: &FitSettings, weights: &Weights) -> String {
        let error = choose(settings, weights).err().unwrap();
        assert!(error.is_rejection());
        error.to_string()
    }

    #[test]
    fn validation_cases_are_taken_and_nobody_else() {
        let cohort = Cohort::new();
        let chosen = choose(&cohort.settings("valid", &["train", "test"]), &of_cohort()).unwrap();
        let names: Vec<&str> = chosen.cases.iter().map(|(case, _)| case.id.as_str()).collect();
        assert_eq!((names, chosen.patient_of), (vec!["c", "d"], vec!["c".into(), "d".into()]));
    }

    #[test]
    fn training_and_test_patients_are_refused_in_words() {
        let cohort = Cohort::new();
        let text = refusal(&cohort.settings("train", &[]), &of_cohort());
        assert!(text.contains("the 2 cases that taught them"), "{text}");
        let text = refusal(&cohort.settings("test", &[]), &of_cohort());
        assert!(text.contains("may be training or test patients: 2 (e, f)"), "{text}");
        // One test patient among the validation's is enough.
        cohort.write("valid/e.npz");
        let text = refusal(&cohort.settings("valid", &["train", "test"]), &of_cohort());
        assert!(text.contains("patients: 3 (c, d, e)"), "{text}");
        let all_three = weights(Some((&["a", "b"], &["c", "d", "e"])));
        let text = refusal(&cohort.settings("valid", &["test"]), &all_three);
        assert!(
            text.contains("`e` in") && text.contains("none of those who are there to measure"),
            "{text}"
        );
    }

    #[test]
    fn another_scan_of_a_training_patient_is_refused() {
        let cohort = Cohort::new();
        let table = cohort.path("patients");
        std::fs::write(&table, "case,patient\na,anna\nc,anna\nb,bert\nd,dora\n").unwrap();
        let text = refusal(&cohort.settings("valid", &["train", "patients"]), &of_cohort());
        assert!(text.contains("`c` and, of the same patient, `a`"), "{text}");
    }

    #[test]
    fn weights_that_do_not_say_whom_they_know_need_somebody_who_does() {
        let cohort = Cohort::new();
        for (named, missing) in [(&[][..], "--train"), (&["train"], "--test")] {
            let text = refusal(&cohort.settings("valid", named), &weights(None));
            assert!(text.contains(missing), "{text}");
        }
        let both = cohort.settings("valid", &["train", "test"]);
        assert!(choose(&both, &weights(None)).unwrap().checked.contains("--train and --test"));
        let text = refusal(&cohort.settings("train", &["train", "test"]), &weights(None));
        assert!(text.contains("`a` in"), "{text}");
    }

    #[test]
    fn a_validation_case_without_a_ct_is_named() {
        let cohort = Cohort::new();
        std::fs::remove_file(cohort.path("cts/d_0000.nii.gz")).unwrap();
        let text = refusal(&cohort.settings("valid", &[]), &of_cohort());
        assert!(text.contains("none of 1 (d)"), "{text}");
    }
}
