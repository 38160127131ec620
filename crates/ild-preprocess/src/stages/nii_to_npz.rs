//! Stage 1: a folder of CTs and labels becomes one NPZ per patient, split into train, valid and
//! test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cohort::npy_folder::NpyOutput;
use crate::cohort::pairs::{Pair, Pairs, Sources, find_pairs};
use crate::cohort::record::{Key, Record};
use crate::cohort::split::{Candidate, Part, draw, draw_folds};
use crate::cohort::splits_file::{folds_json, read_splits, splits_json};
use crate::labels::dust::DustLimits;
use crate::stages::case::{CaseFacts, CaseLabels, CaseSettings, build_stack, clean_labels};
use crate::stages::npz_to_npy::NpzToNpy;
use crate::stages::output::{ALL_FOLDER, Output};
use crate::stages::summary::{Row, Status, Summary};
use crate::{Error, Result, cohort::patients};

/// Changes whenever the same settings give another NPZ.
const FORMAT: u32 = 2;

/// Labels found while the split is drawn are kept for the second pass up to this much memory, in
/// all; beyond it they are read again.
const KEPT_LABEL_BYTES: usize = 1 << 30;

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

/// Cases that [`SplitChoice::FirstForty`] trains on.
const FIRST: usize = 40;

/// A whole run.
#[derive(Clone, Debug)]
pub struct NiiToNpz {
    /// Where cases come from.
    pub sources: Sources,
    /// Where `npz_train/` and its siblings are made.
    pub output: PathBuf,
    /// What is done to each case.
    pub settings: CaseSettings,
    /// Second half of the folder name `<modality>_<anatomy>`.
    pub anatomy: String,
    /// Put `<modality>_<anatomy>_` before each file name.
    pub name_prefix: bool,
    /// Who goes where.
    pub split: SplitChoice,
    /// CSV of `case,patient`, when patients were scanned more than once.
    pub patients: Option<PathBuf>,
    /// Seed of the split.
    pub seed: u64,
    /// Do finished cases again.
    pub force: bool,
    /// Where the slices of stage 2 go as well, from memory; `None` leaves them to stage 2.
    pub npy_dir: Option<PathBuf>,
}

/// A case between the two passes.
struct Prepared<'a> {
    pair: &'a Pair,
    key: Key,
    /// Finished in an earlier run.
    finished: Option<Record<CaseFacts>>,
    /// Ids it holds, for the split.
    labels: BTreeSet<u8>,
    kept: Option<CaseLabels>,
}

/// Where a case goes.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    Part(Part),
    Fold(usize),
    Nowhere(String),
}

impl Place {
    /// Folder of the NPZ below the output folder's `npz_*`.
    fn folder(&self) -> Option<String> {
        match self {
            Self::Part(part) => Some(part.npz_folder()),
            Self::Fold(_) => Some(ALL_FOLDER.to_owned()),
            Self::Nowhere(_) => None,
        }
    }

    fn name(&self) -> Option<String> {
        match self {
            Self::Part(part) => Some(part.name().to_owned()),
            Self::Fold(fold) => Some(format!("fold {fold}")),
            Self::Nowhere(_) => None,
        }
    }
}

impl NiiToNpz {
    /// Runs the stage. A case that cannot be done does not stop the others; see [`Summary`].
    ///
    /// # Errors
    /// When nothing can be done at all: no pairs, an unusable split, an output folder that cannot
    /// be written to or is busy.
    pub fn run(&self) -> Result<Summary> {
        let found = find_pairs(&self.sources)?;
        let chosen = self.chosen_split(&found)?;
        let patient_of = self.patients.as_deref().map(patients::read_patients).transpose()?;
        if let (Some(chosen), Some(patient_of)) = (&chosen, &patient_of) {
            patients::refuse_torn_apart(
                chosen,
                patient_of,
                self.patients.as_deref().unwrap_or(&self.output),
            )?;
        }
        let output = Output::open(
            &self.output,
            self.settings.modality.name(),
            &self.anatomy,
            self.name_prefix,
        )?;
        let slices = self.npy_dir.as_deref().map(NpyOutput::open).transpose()?;

        let mut rows = Vec::new();
        let mut prepared = Vec::new();
        for result in self.prepare_all(&found, &output)? {
            match result {
                Ok(case) => prepared.push(case),
                Err(row) => rows.push(*row),
            }
        }
        let places = self.places(&prepared, chosen.as_ref(), patient_of.as_ref(), &found);
        output.refuse_leaks(
            places.iter().filter_map(|(case, place)| Some((case.as_str(), place.folder()?))),
        )?;
        rows.extend(self.write_all(prepared, &places, &output, slices.as_ref())?);
        rows.extend(found.unnameable.iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            output.not_done(
                &name,
                None,
                &Error::refused(path, "a UTF-8 file name", "other bytes", "rename the file"),
            )
        }));
        rows.sort_by(|a, b| a.case.cmp(&b.case));

        self.write_split(&rows, &places, &output)?;
        let mut notes = output.strangers(&rows)?;
        notes.extend(chosen.iter().flat_map(|chosen| absent_cases(chosen, &found)));
        Ok(Summary {
            cases: rows,
            labels_without_image: found.labels_alone,
            images_without_label: found.images_alone,
            notes,
        })
    }

    /// The second stage of this run, which finishes what the first wrote into `npy_dir`; `None`
    /// without one.
    #[must_use]
    pub fn slices_stage(&self, summary: &Summary) -> Option<NpzToNpy> {
        let prefix = if self.name_prefix {
            format!("{}_{}_", self.settings.modality.name(), self.anatomy)
        } else {
            String::new()
        };
        let written = summary.cases.iter().filter(|row| row.status == Status::Written);
        Some(NpzToNpy {
            train_dir: self.output.join(Part::Train.npz_folder()),
            valid_dir: Some(self.output.join(Part::Valid.npz_folder())),
            npy_dir: self.npy_dir.clone()?,
            force: false,
            just_written: written.map(|row| format!("{prefix}{}", row.case)).collect(),
        })
    }

    /// What is written into the summary about how the run was made.
    #[must_use]
    pub fn settings_json(&self) -> Value {
        json!({ "format": FORMAT, "case": self.settings, "split": self.split, "seed": self.seed })
    }

    fn chosen_split(&self, found: &Pairs) -> Result<Option<BTreeMap<String, Part>>> {
        match &self.split {
            SplitChoice::File { path, fold } => {
                let split = read_splits(path, *fold)?;
                // Names may be written as the label files are.
                let bare = |name: String| {
                    name.strip_suffix(self.sources.label_suffix.as_str())
                        .map(str::to_owned)
                        .unwrap_or(name)
                };
                Ok(Some(split.into_iter().map(|(name, part)| (bare(name), part)).collect()))
            }
            SplitChoice::FirstForty => {
                let part = |i: usize| if i < FIRST { Part::Train } else { Part::Test };
                Ok(Some(
                    found
                        .pairs
                        .iter()
                        .enumerate()
                        .map(|(i, pair)| (pair.case.clone(), part(i)))
                        .collect(),
                ))
            }
            SplitChoice::Ratios(_) | SplitChoice::Folds(_) => Ok(None),
        }
    }

    /// First pass: the labels of every case that is not finished.
    fn prepare_all<'a>(
        &self,
        found: &'a Pairs,
        output: &Output,
    ) -> Result<Vec<std::result::Result<Prepared<'a>, Box<Row>>>> {
        let settings = json!({ "format": FORMAT, "case": self.settings });
        let kept_bytes = AtomicUsize::new(0);
        let bar = ild_cli::progress_bar(found.pairs.len() as u64, "labels");
        let results = found.pairs.par_iter().map(|pair| {
            ild_cli::stop_if_interrupted()?;
            let result = self.prepare(pair, &settings, output, &kept_bytes);
            bar.inc(1);
            Ok(result)
        });
        let results = results.collect::<Result<Vec<_>>>();
        bar.finish_and_clear();
        results
    }

    fn prepare<'a>(
        &self,
        pair: &'a Pair,
        settings: &Value,
        output: &Output,
        kept_bytes: &AtomicUsize,
    ) -> std::result::Result<Prepared<'a>, Box<Row>> {
        let key = Key::new(settings, &[&pair.label, &pair.image]);
        let finished =
            if self.force { None } else { output.records.finished::<CaseFacts>(&pair.case, &key) };
        if let Some(record) = finished {
            let labels = record.facts.voxels.keys().copied().collect();
            return Ok(Prepared { pair, key, finished: Some(record), labels, kept: None });
        }
        let labels = clean_labels(pair, &self.settings)
            .map_err(|error| Box::new(output.not_done(&pair.case, None, &error)))?;
        if labels.runs.all().is_empty() {
            return Err(Box::new(output.skipped(&pair.case, self.nothing_left(pair))));
        }
        let ids = (0..=255u8)
            .zip(labels.runs.voxels())
            .filter(|&(_, count)| count > 0)
            .map(|(id, _)| id)
            .collect();
        let kept = kept_bytes.fetch_add(labels.runs.bytes(), Ordering::Relaxed) < KEPT_LABEL_BYTES;
        Ok(Prepared { pair, key, finished: None, labels: ids, kept: kept.then_some(labels) })
    }

    fn nothing_left(&self, pair: &Pair) -> String {
        let DustLimits { min_voxels_3d, min_pixels_2d } = self.settings.limits;
        let ids: Vec<String> = self.settings.removed_ids.iter().map(u8::to_string).collect();
        let dropped = if ids.is_empty() {
            String::new()
        } else {
            format!("without label {} and ", ids.join(", "))
        };
        format!(
            "{}: no label left {dropped}without components under {min_voxels_3d} voxels or {min_pixels_2d} pixels in a slice",
            pair.label.display()
        )
    }

    fn places(
        &self,
        prepared: &[Prepared],
        chosen: Option<&BTreeMap<String, Part>>,
        patient_of: Option<&BTreeMap<String, String>>,
        found: &Pairs,
    ) -> BTreeMap<String, Place> {
        if let Some(chosen) = chosen {
            let place = |pair: &Pair| {
                chosen.get(&pair.case).map_or_else(
                    || Place::Nowhere("not in the split file".into()),
                    |&part| Place::Part(part),
                )
            };
            return found.pairs.iter().map(|pair| (pair.case.clone(), place(pair))).collect();
        }
        let candidate = |case: &Prepared| Candidate {
            case: case.pair.case.clone(),
            patient: patient_of
                .and_then(|of| of.get(&case.pair.case))
                .unwrap_or(&case.pair.case)
                .clone(),
            labels: case.labels.clone(),
        };
        let candidates: Vec<Candidate> = prepared.iter().map(candidate).collect();
        match self.split {
            SplitChoice::Folds(folds) => draw_folds(&candidates, folds, self.seed)
                .into_iter()
                .map(|(case, fold)| (case, Place::Fold(fold)))
                .collect(),
            SplitChoice::Ratios(ratios) => draw(&candidates, ratios, self.seed)
                .into_iter()
                .map(|(case, part)| (case, Place::Part(part)))
                .collect(),
            SplitChoice::File { .. } | SplitChoice::FirstForty => unreachable!("chosen above"),
        }
    }

    /// Second pass: the CTs.
    fn write_all(
        &self,
        prepared: Vec<Prepared>,
        places: &BTreeMap<String, Place>,
        output: &Output,
        slices: Option<&NpyOutput>,
    ) -> Result<Vec<Row>> {
        let bar = ild_cli::progress_bar(prepared.len() as u64, "cases");
        let rows = prepared.into_par_iter().with_max_len(1).map(|case| {
            ild_cli::stop_if_interrupted()?;
            let row = self.write(case, places, output, slices);
            bar.inc(1);
            Ok(row)
        });
        let rows = rows.collect::<Result<Vec<_>>>();
        bar.finish_and_clear();
        rows
    }

    fn write(
        &self,
        case: Prepared,
        places: &BTreeMap<String, Place>,
        output: &Output,
        slices: Option<&NpyOutput>,
    ) -> Row {
        let name = case.pair.case.clone();
        let place = &places[&name];
        let (Some(folder), part) = (place.folder(), place.name()) else {
            let Place::Nowhere(reason) = place else { unreachable!("only nowhere has no folder") };
            return output.skipped(&name, reason.clone());
        };
        let result = match case.finished {
            Some(record) => {
                output.moved(&name, record, &folder).map(|facts| (Status::Unchanged, facts))
            }
            None => self
                .make(case, place, &folder, output, slices)
                .map(|facts| (Status::Written, facts)),
        };
        match result {
            Ok((status, facts)) => {
                tell(&name, status, &facts);
                Row { case: name, part, status, reason: String::new(), facts: Some(facts) }
            }
            Err(error) => output.not_done(&name, part, &error),
        }
    }

    fn make(
        &self,
        case: Prepared,
        place: &Place,
        folder: &str,
        output: &Output,
        slices: Option<&NpyOutput>,
    ) -> Result<CaseFacts> {
        let labels = match case.kept {
            Some(labels) => labels,
            None => clean_labels(case.pair, &self.settings)?,
        };
        let (stack, facts) = build_stack(case.pair, &labels, &self.settings)?;
        drop(labels);
        let facts = output.write(
            &case.pair.case,
            case.key,
            folder,
            &stack,
            facts,
            self.settings.save_nii,
        )?;
        if let (Some(slices), Place::Part(part)) = (slices, place) {
            slices.write(*part, &output.npz_file(folder, &case.pair.case), &stack)?;
        }
        Ok(facts)
    }

    /// `splits.json`, or for folds nnU-Net's `splits_final.json` and a folder of links per fold.
    fn write_split(
        &self,
        rows: &[Row],
        places: &BTreeMap<String, Place>,
        output: &Output,
    ) -> Result<()> {
        let done: Vec<&Row> = rows.iter().filter(|row| row.facts.is_some()).collect();
        let (file, value) = match self.split {
            SplitChoice::Folds(folds) => {
                let fold_of: BTreeMap<String, usize> = done
                    .iter()
                    .filter_map(|row| match places[&row.case] {
                        Place::Fold(fold) => Some((row.case.clone(), fold)),
                        _ => None,
                    })
                    .collect();
                output.link_folds(&fold_of, folds)?;
                ("splits_final.json", folds_json(&fold_of, folds))
            }
            _ => {
                output.make_parts()?;
                let part_of: BTreeMap<String, Part> = done
                    .iter()
                    .filter_map(|row| match places[&row.case] {
                        Place::Part(part) => Some((row.case.clone(), part)),
                        _ => None,
                    })
                    .collect();
                (
                    "splits.json",
                    splits_json(&part_of, json!({ "how": self.split, "seed": self.seed })),
                )
            }
        };
        let text = serde_json::to_vec_pretty(&value).map_err(anyhow::Error::new)?;
        Ok(ild_cli::write_bytes_atomic(&self.output.join(file), &text)?)
    }
}

fn tell(case: &str, status: Status, facts: &CaseFacts) {
    if status != Status::Written {
        return tracing::debug!("{case}: unchanged");
    }
    for note in &facts.notes {
        tracing::warn!("{case}: {note}");
    }
    match facts.flattened.and_then(|flattened| flattened.share()) {
        Some(share) => tracing::info!(
            "{case}: {} of {} slices; {:.1} % of the lung range black or white",
            facts.slices,
            facts.scan_slices,
            100.0 * share
        ),
        None => tracing::info!("{case}: {} of {} slices", facts.slices, facts.scan_slices),
    }
}

fn absent_cases(chosen: &BTreeMap<String, Part>, found: &Pairs) -> Vec<String> {
    let there: BTreeSet<&str> = found.pairs.iter().map(|pair| pair.case.as_str()).collect();
    let absent = chosen.iter().filter(|(case, _)| !there.contains(case.as_str()));
    absent
        .map(|(case, part)| {
            format!(
                "{case}: in the split's {} part, but there is no such pair of files",
                part.name()
            )
        })
        .collect()
}
