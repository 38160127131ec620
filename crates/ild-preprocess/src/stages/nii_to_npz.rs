//! Stage 1: a folder of CTs and labels becomes one NPZ per patient, split into train, valid and
//! test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ild_io::cohort::{CasePatients, LabelNames, Patients};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::cohort::npy_folder::NpyOutput;
use crate::cohort::pairs::{Pair, Pairs, Sources, find_pairs};
use crate::cohort::placing::{Place, Placing, SplitChoice, absent_cases, by_kind};
use crate::cohort::record::{Key, Record};
use crate::cohort::split::{FoldUse, Part};
use crate::labels::dust::DustLimits;
use crate::stages::case::{CaseFacts, CaseLabels, CaseSettings, build_stack, clean_labels};
use crate::stages::npz_to_npy::NpzToNpy;
use crate::stages::output::Output;
use crate::stages::summary::{Row, Status, Summary};
use crate::{Error, Result};

/// Changes whenever the same settings give another NPZ.
const FORMAT: u32 = 2;

/// Labels found while the split is drawn are kept for the second pass up to this much memory, in
/// all; beyond it they are read again.
const KEPT_LABEL_BYTES: usize = 1 << 30;

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
    /// What each fold is for, where the split is one into folds.
    pub fold_use: FoldUse,
    /// CSV of `case,patient`, when patients were scanned more than once.
    pub patients: Option<PathBuf>,
    /// Seed of the split.
    pub seed: u64,
    /// Do finished cases again; the split stays.
    pub force: bool,
    /// Draw the split anew, although it was drawn before.
    pub redraw: bool,
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

impl NiiToNpz {
    /// Runs the stage. A case that cannot be done does not stop the others; see [`Summary`].
    ///
    /// # Errors
    /// When nothing can be done at all: no pairs, an unusable split, an output folder that cannot
    /// be written to or is busy.
    pub fn run(&self) -> Result<Summary> {
        let found = find_pairs(&self.sources)?;
        let there = found.names();
        let absent = self.settings.healthy.absent(&there)?;
        let placing = Placing::new(
            &self.split,
            self.seed,
            self.redraw,
            &self.output,
            (&found, &self.sources),
            (self.patients_of(&found)?, self.patients.as_deref()),
        )?;
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
        let labels = |case: &Prepared| (case.pair.case.clone(), case.labels.clone());
        let places = placing.places(prepared.iter().map(labels), &found);
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

        self.write_split(&rows, &placing, &places, &output)?;
        let mut notes = placing.notes(&places);
        notes.iter().for_each(|note| tracing::warn!("{note}"));
        notes.extend(output.strangers(&rows)?);
        notes.extend(absent_cases(&placing, &found));
        notes.extend(absent.into_iter().map(|case| {
            format!("{case}: declared free of disease, but there is no such pair of files")
        }));
        notes.extend(self.never_met(&rows));
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
            part: None,
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

    fn patients_of(&self, found: &Pairs) -> Result<CasePatients> {
        let Some(path) = &self.patients else { return Ok(CasePatients::default()) };
        let endings = [self.sources.image_suffix.as_str(), self.sources.label_suffix.as_str()];
        Ok(Patients::read(path)?.of_cases(&found.names(), &endings)?)
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
        let not_done = |error: Error| Box::new(output.not_done(&pair.case, None, &error));
        // Names that a mask carries decide its ids, and may stand in a file beside it.
        let names = LabelNames::own(&pair.label).map_err(|error| not_done(error.into()))?.table;
        let settings = match names {
            Some(names) => json!({ "names": names, "settings": settings }),
            None => settings.clone(),
        };
        let files = pair.files().map_err(not_done)?;
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let key = Key::new(&settings, &files);
        let finished =
            if self.force { None } else { output.records.finished::<CaseFacts>(&pair.case, &key) };
        if let Some(record) = finished {
            let labels = record.facts.voxels.keys().copied().collect();
            return Ok(Prepared { pair, key, finished: Some(record), labels, kept: None });
        }
        let key = key.hashed();
        let labels = clean_labels(pair, &self.settings).map_err(not_done)?;
        let ignored = self.settings.ignored();
        let lesion = labels.runs.all().iter().any(|run| Some(run.label) != ignored);
        if !lesion && !self.settings.healthy.names(&pair.case) {
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

    /// Ids that were asked for by number and are in no mask.
    fn never_met(&self, rows: &[Row]) -> Vec<String> {
        let CaseSettings { removed_ids, tumor_id, as_stored, .. } = &self.settings;
        let met: Option<Vec<&BTreeSet<u8>>> =
            rows.iter().filter_map(|row| row.facts.as_ref()).map(|f| f.met.as_ref()).collect();
        // Records of earlier versions do not say; what the older script always drops nobody typed.
        let (Some(met), false) = (met, *as_stored) else { return Vec::new() };
        let asked =
            [("--remove-label-ids", removed_ids.as_slice()), ("--tumor-id", tumor_id.as_slice())];
        let never = asked.into_iter().flat_map(|(flag, ids)| ids.iter().map(move |id| (flag, id)));
        let never =
            never.filter(|(_, id)| !met.is_empty() && !met.iter().any(|ids| ids.contains(id)));
        never.map(|(flag, id)| format!("{flag} {id}: no mask has this label")).collect()
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
        placing: &Placing,
        places: &BTreeMap<String, Place>,
        output: &Output,
    ) -> Result<()> {
        let done = rows.iter().filter(|row| row.facts.is_some());
        let done: BTreeSet<&str> = done.map(|row| row.case.as_str()).collect();
        if let SplitChoice::Folds(n) = self.split {
            let (_, mut fold_of) = by_kind(places);
            fold_of.retain(|case, _| done.contains(case.as_str()));
            output.link_folds(&fold_of, n, self.fold_use)?;
        } else {
            output.make_parts()?;
        }
        let (file, value) = placing.file(places, &done);
        Ok(ild_cli::write_json_atomic(&self.output.join(file), &value)?)
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
