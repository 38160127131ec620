//! Where each case goes: as a file says, as was decided before, or as a draw says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ild_io::cohort::{Beside, CasePatients, bare_case};
use serde::Serialize;
use serde_json::json;

use crate::Result;
use crate::cohort::kept_split::{Drawn, Kept, kept_folds, kept_parts};
use crate::cohort::pairs::{Pair, Pairs, Sources};
use crate::cohort::patients::refuse_torn_apart;
use crate::cohort::split::{Candidate, Part, draw, draw_folds};
use crate::cohort::splits_file::{FOLDS_FILE, SPLITS_FILE, folds_json, read_splits, splits_json};

/// Folder that holds the NPZ of every case when folds only link to them.
pub const ALL_FOLDER: &str = "npz_all";

/// Cases that [`SplitChoice::FirstForty`] trains on.
const FIRST: usize = 40;

/// How cases are divided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitChoice {
    /// Drawn: shares of train, valid and test.
    Ratios([f64; 3]),
    /// As a file says.
    File {
        /// The file.
        path: PathBuf,
        /// Which of its folds.
        fold: usize,
    },
    /// Drawn: so many folds.
    Folds(usize),
    /// The older scripts': the first 40 names are trained on, the others are the test.
    FirstForty,
}

/// Where a case goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Part(Part),
    Fold(usize),
    Nowhere(String),
}

impl Place {
    /// Folder of the NPZ below the output folder's `npz_*`.
    pub(crate) fn folder(&self) -> Option<String> {
        match self {
            Self::Part(part) => Some(part.npz_folder()),
            Self::Fold(_) => Some(ALL_FOLDER.to_owned()),
            Self::Nowhere(_) => None,
        }
    }

    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Part(part) => Some(part.name().to_owned()),
            Self::Fold(fold) => Some(fold_name(*fold)),
            Self::Nowhere(_) => None,
        }
    }
}

fn fold_name(fold: usize) -> String {
    format!("fold {fold}")
}

/// Everything that decides where the cases of a run go.
pub(crate) struct Placing {
    choice: SplitChoice,
    drawn: Drawn,
    /// What a file or the older scripts' rule says.
    chosen: Option<BTreeMap<String, Part>>,
    /// What an earlier run decided.
    parts: Option<Kept<Part>>,
    folds: Option<Kept<usize>>,
    /// Whether that is to be forgotten.
    redraw: bool,
    patients: CasePatients,
}

impl Placing {
    /// Reads what has been decided; `output` is the folder of the run.
    ///
    /// # Errors
    /// Refuses a split of which no name is that of a case, or one only nearly; a draw other than
    /// the one that is kept; and a patient in two parts, who stand in the file `table`.
    pub(crate) fn new(
        choice: &SplitChoice,
        seed: u64,
        redraw: bool,
        output: &Path,
        (found, sources): (&Pairs, &Sources),
        (patients, table): (CasePatients, Option<&Path>),
    ) -> Result<Self> {
        let chosen = chosen(choice, found, sources)?;
        let (parts, folds) = match choice {
            SplitChoice::Folds(_) if redraw => (None, None),
            SplitChoice::Folds(n) => (None, kept_folds(output, *n)?),
            _ => (kept_parts(output)?, None),
        };
        let drawn = Drawn { how: json!(choice), seed };
        let is_drawn = matches!(choice, SplitChoice::Ratios(_));
        if let Some(kept) = parts.as_ref().filter(|_| is_drawn && !redraw) {
            kept.refuse_other_draw(&drawn)?;
        }
        let placing =
            Self { choice: choice.clone(), drawn, chosen, parts, folds, redraw, patients };
        let decided = placing.chosen.clone().unwrap_or_else(|| placing.kept_parts());
        refuse_torn_apart(&decided, &placing.patients, table.unwrap_or(output))?;
        Ok(placing)
    }

    /// What holds of an earlier split.
    fn kept_parts(&self) -> BTreeMap<String, Part> {
        let kept = self.parts.as_ref().filter(|_| !self.redraw && self.chosen.is_none());
        kept.map(|kept| kept.place_of.clone()).unwrap_or_default()
    }

    /// Place of each case; `candidates` are those whose labels could be read.
    pub(crate) fn places(
        &self,
        candidates: impl Iterator<Item = (String, BTreeSet<u8>)>,
        found: &Pairs,
    ) -> BTreeMap<String, Place> {
        if let Some(chosen) = &self.chosen {
            let place = |pair: &Pair| {
                let nowhere = || Place::Nowhere("not in the split file".into());
                chosen.get(&pair.case).map_or_else(nowhere, |&part| Place::Part(part))
            };
            return found.pairs.iter().map(|pair| (pair.case.clone(), place(pair))).collect();
        }
        let candidates: Vec<Candidate> = candidates
            .map(|(case, labels)| Candidate {
                patient: self.patients.of(&case).to_owned(),
                case,
                labels,
            })
            .collect();
        // Patients without any lesion are drawn on their own: the others go where they would go
        // without them.
        let ill: BTreeSet<String> = candidates
            .iter()
            .filter(|case| !case.labels.is_empty())
            .map(|case| case.patient.clone())
            .collect();
        let (ill, free): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|case| ill.contains(&case.patient));
        let groups = [ill, free].into_iter().filter(|group| !group.is_empty());
        groups.flat_map(|group| self.draw(&group)).collect()
    }

    fn draw(&self, candidates: &[Candidate]) -> BTreeMap<String, Place> {
        if let SplitChoice::Folds(folds) = self.choice {
            let kept = self.folds.as_ref().map(|kept| kept.place_of.clone()).unwrap_or_default();
            let drawn = draw_folds(candidates, folds, self.drawn.seed, &kept);
            return drawn.into_iter().map(|(case, fold)| (case, Place::Fold(fold))).collect();
        }
        let drawn = draw(candidates, self.ratios(), self.drawn.seed, &self.kept_parts());
        drawn.into_iter().map(|(case, part)| (case, Place::Part(part))).collect()
    }

    fn ratios(&self) -> [f64; 3] {
        match self.choice {
            SplitChoice::Ratios(ratios) => ratios,
            _ => [0.0; 3],
        }
    }

    /// What the user should know about where the cases went.
    pub(crate) fn notes(&self, places: &BTreeMap<String, Place>) -> Vec<String> {
        let (parts, folds) = by_kind(places);
        let mut notes = self.patients.notes.clone();
        if let Some(kept) = &self.parts {
            notes.extend(kept.moves(&parts, |part| part.name().to_owned()));
        }
        if let Some(kept) = &self.folds {
            notes.extend(kept.moves(&folds, fold_name));
        }
        // Where no case is left at all, each case's row says why.
        let wanted = Part::ALL.into_iter().zip(self.ratios()).filter(|_| !parts.is_empty());
        for (part, ratio) in wanted {
            if ratio > 0.0 && !parts.values().any(|&other| other == part) {
                notes.push(format!(
                    "no patient is left for {}: there are fewer patients than parts, and the \
                     stages that read npz_{} will refuse an empty folder (--ratios without it says \
                     that this is meant)",
                    part.name(),
                    part.name()
                ));
            }
        }
        notes
    }

    /// Name and contents of the file that keeps the decision: `splits.json`, or for folds nnU-Net's
    /// `splits_final.json`. `done` are the cases with an NPZ.
    pub(crate) fn file(
        &self,
        places: &BTreeMap<String, Place>,
        done: &BTreeSet<&str>,
    ) -> (&'static str, serde_json::Value) {
        let (mut parts, mut folds) = by_kind(places);
        if let SplitChoice::Folds(n) = self.choice {
            folds.retain(|case, _| done.contains(case.as_str()));
            return (FOLDS_FILE, folds_json(&folds, n));
        }
        let mut absent = self.kept_parts();
        absent.extend(parts.clone());
        absent.retain(|case, _| !done.contains(case.as_str()));
        parts.retain(|case, _| done.contains(case.as_str()));
        (SPLITS_FILE, splits_json(&parts, &absent, &self.drawn))
    }
}

/// Parts and folds apart.
pub(crate) fn by_kind(
    places: &BTreeMap<String, Place>,
) -> (BTreeMap<String, Part>, BTreeMap<String, usize>) {
    let (mut parts, mut folds) = (BTreeMap::new(), BTreeMap::new());
    for (case, place) in places {
        match place {
            Place::Part(part) => drop(parts.insert(case.clone(), *part)),
            Place::Fold(fold) => drop(folds.insert(case.clone(), *fold)),
            Place::Nowhere(_) => {}
        }
    }
    (parts, folds)
}

fn chosen(
    choice: &SplitChoice,
    found: &Pairs,
    sources: &Sources,
) -> Result<Option<BTreeMap<String, Part>>> {
    let cases = found.names();
    match choice {
        SplitChoice::File { path, fold } => {
            let endings = [sources.image_suffix.as_str(), sources.label_suffix.as_str()];
            // Names may be written as the files are.
            let bare = |name: String| {
                let is_case = cases.contains(&name.as_str());
                if is_case { name } else { bare_case(&name, &endings).to_owned() }
            };
            let split = read_splits(path, *fold)?.into_iter();
            let split: BTreeMap<String, Part> =
                split.map(|(name, part)| (bare(name), part)).collect();
            let beside = Beside::new(split.keys().map(String::as_str), cases);
            beside.refuse_slips(path, "case of the split", "pair of files")?;
            Ok(Some(split))
        }
        SplitChoice::FirstForty => {
            let part = |i: usize| if i < FIRST { Part::Train } else { Part::Test };
            let cases = cases.into_iter().enumerate();
            Ok(Some(cases.map(|(i, case)| (case.to_owned(), part(i))).collect()))
        }
        SplitChoice::Ratios(_) | SplitChoice::Folds(_) => Ok(None),
    }
}

/// Cases of a split file that are not there, in words.
pub(crate) fn absent_cases(placing: &Placing, found: &Pairs) -> Vec<String> {
    let there: BTreeSet<&str> = found.names().into_iter().collect();
    let chosen = placing.chosen.iter().flatten();
    chosen
        .filter(|(case, _)| !there.contains(case.as_str()))
        .map(|(case, part)| {
            format!(
                "{case}: in the split's {} part, but there is no such pair of files",
                part.name()
            )
        })
        .collect()
}
