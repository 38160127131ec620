//! Stage 2: the slices of every NPZ as single arrays, the form that training reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ild_cli::one_line;
use ild_io::cohort::{CasePatients, Patients};
use ild_io::{Images, LabelTable, SliceStack, read_npz, write_npy_u8};
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cohort::dataset::{Dataset, DatasetPart};
use crate::cohort::nested::cases_of_share;
use crate::cohort::npy_folder::{NpyFolder, NpyOutput};
use crate::cohort::npz_files::{find_npz, refuse_overlap};
use crate::cohort::record::{Key, Record};
use crate::cohort::split::{Candidate, Part};
use crate::picture::nearest::resize_nearest;
use crate::picture::window::Windowing;
use crate::stages::npy_summary::{NpyRow, NpySummary};
use crate::stages::summary::Status;
use crate::{Error, Result};

/// Changes whenever the same NPZ gives other slices, or other facts about them.
const FORMAT: u32 = 2;

/// Rows and columns of a label slice: the model's low-resolution mask for 1024 × 1024 input.
pub const LABEL_SIZE: usize = 256;

/// A whole run.
#[derive(Clone, Debug)]
pub struct NpzToNpy {
    /// Folder of the training NPZ (or its parent).
    pub train_dir: PathBuf,
    /// Folder of the validation NPZ (or its parent).
    pub valid_dir: Option<PathBuf>,
    /// Where `train/` and `valid/` are made.
    pub npy_dir: PathBuf,
    /// Only a part of the training patients.
    pub part: Option<TrainingPart>,
    /// Do finished cases again.
    pub force: bool,
    /// Cases whose slices stage 1 has written in the same run, from memory.
    pub just_written: BTreeSet<String>,
}

/// Which part of the training patients ([`cases_of_share`]).
#[derive(Clone, Debug)]
pub struct TrainingPart {
    /// From 0 to 1.
    pub share: f64,
    /// CSV of case and patient, when several cases are of one patient.
    pub patients: Option<PathBuf>,
    /// Of the order of the patients.
    pub seed: u64,
}

impl TrainingPart {
    /// The NPZ of the part, of how many patients they are, and of how many all are.
    fn of(&self, mut train: BTreeMap<String, PathBuf>) -> Result<Taken> {
        let names: Vec<&str> = train.keys().map(String::as_str).collect();
        let patients = match &self.patients {
            Some(path) => Patients::read(path)?.of_cases(&names, &[])?,
            None => CasePatients::default(),
        };
        let candidates = train.par_iter().map(|(case, path)| {
            let labels = read_npz(path)?.labels;
            let ids: BTreeSet<u8> =
                labels.iter().flatten().copied().filter(|&id| id != 0).collect();
            let patient = patients.of(case).to_owned();
            Ok(Candidate { case: case.clone(), patient, labels: ids })
        });
        let candidates = candidates.collect::<Result<Vec<_>>>()?;
        let chosen = cases_of_share(&candidates, self.share, self.seed);
        let count = |cases: &mut dyn Iterator<Item = &Candidate>| {
            cases.map(|case| case.patient.as_str()).collect::<BTreeSet<_>>().len()
        };
        let all = count(&mut candidates.iter());
        let some = count(&mut candidates.iter().filter(|case| chosen.contains(&case.case)));
        train.retain(|case, _| chosen.contains(case));
        Ok(Taken { train, patients: some, of: all })
    }
}

/// Training NPZ of some patients.
struct Taken {
    train: BTreeMap<String, PathBuf>,
    patients: usize,
    of: usize,
}

/// What is known of the slices of one NPZ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceFacts {
    /// Names of the slices, without ending.
    pub slices: Vec<String>,
    /// Which slice of the CT each of them is.
    #[serde(default)]
    pub ct_slices: Vec<usize>,
    /// Slices whose labels all vanished at the label size.
    pub vanished: Vec<String>,
    /// Slices without any label, which were declared free of disease.
    #[serde(default)]
    pub healthy: Vec<String>,
    /// Slices that hold each label id.
    pub slices_per_label: BTreeMap<u8, usize>,
    /// How the CT became grey, as far as the NPZ says.
    pub window: Option<Windowing>,
    /// Names of the label ids, as far as the NPZ says.
    pub label_table: Option<LabelTable>,
}

impl NpzToNpy {
    /// Runs the stage. An NPZ that cannot be done does not stop the others.
    ///
    /// # Errors
    /// When nothing can be done at all: no NPZ, a case in both folders, an output folder that
    /// cannot be written to or is busy.
    pub fn run(&self) -> Result<NpySummary> {
        let train = find_npz(&self.train_dir)?;
        let valid = self.valid_dir.as_deref().map(find_npz).transpose()?.unwrap_or_default();
        let mut notes = Vec::new();
        if train.is_empty() {
            return Err(Error::refused(
                &self.train_dir,
                "NPZ files `*.npz` or `<modality>_<anatomy>/*.npz`",
                "none",
                "run `ild-preprocess nii-to-npz` first, or name the folder it made",
            ));
        }
        if valid.is_empty() {
            notes.push(
                "no validation NPZ: training will choose its checkpoint by the training loss"
                    .to_owned(),
            );
        }
        refuse_overlap(&train, &valid)?;
        let Taken { train, patients, of } = match &self.part {
            None => Taken { patients: train.len(), of: train.len(), train },
            Some(part) => part.of(train)?,
        };
        if patients < of {
            notes.push(format!("{patients} of {of} training patients are taken"));
        }
        let output = NpyOutput::open(&self.npy_dir)?;
        let mut rows = Vec::new();
        for (folder, files) in output.folders.iter().zip([train, valid]) {
            rows.extend(self.convert_all(&files, folder)?);
        }
        refuse_mixtures(&mut rows);
        for folder in &output.folders {
            notes.extend(folder.tidy(rows.iter().filter(|row| row.part == folder.part))?);
        }
        let dataset = dataset(&rows);
        dataset.write(&self.npy_dir)?;
        Ok(NpySummary { rows, dataset, notes, training_patients: patients })
    }

    fn convert_all(
        &self,
        files: &BTreeMap<String, PathBuf>,
        folder: &NpyFolder,
    ) -> Result<Vec<NpyRow>> {
        let bar = ild_cli::progress_bar(files.len() as u64, folder.part.name());
        let files: Vec<(&String, &PathBuf)> = files.iter().collect();
        let rows = files.into_par_iter().with_max_len(1).map(|(case, path)| {
            ild_cli::stop_if_interrupted()?;
            let row = self.convert(case, path, folder);
            bar.inc(1);
            Ok(row)
        });
        let rows = rows.collect::<Result<Vec<_>>>();
        bar.finish_and_clear();
        rows
    }

    fn convert(&self, case: &str, path: &Path, folder: &NpyFolder) -> NpyRow {
        let key = key_of(path);
        let finished =
            if self.force { None } else { folder.records.finished::<SliceFacts>(case, &key) };
        let row = |status, reason: String, facts| NpyRow {
            case: case.to_owned(),
            path: path.to_owned(),
            part: folder.part,
            status,
            reason,
            facts,
        };
        if let Some(record) = finished {
            tracing::debug!("{case}: unchanged");
            let status =
                if self.just_written.contains(case) { Status::Written } else { Status::Unchanged };
            return row(status, String::new(), Some(record.facts));
        }
        let key = key.hashed();
        match read_npz(path)
            .map_err(Error::from)
            .and_then(|stack| write_slices(case, path, &stack, key, folder))
        {
            Ok(record) => row(Status::Written, String::new(), Some(record.facts)),
            Err(error) => {
                let reason = one_line(&error);
                tracing::error!("{case}: {reason}");
                row(
                    if error.is_rejection() { Status::Rejected } else { Status::Failed },
                    reason,
                    None,
                )
            }
        }
    }
}

/// What the slices of an NPZ are made from: its bytes, and how slices are made.
pub(crate) fn key_of(npz: &Path) -> Key {
    Key::new(&json!({ "format": FORMAT, "label_size": LABEL_SIZE }), &[npz])
}

/// Writes the slices of the case that is in the file `npz` and in memory as `stack`.
pub(crate) fn write_slices(
    case: &str,
    npz: &Path,
    stack: &SliceStack,
    key: Key,
    folder: &NpyFolder,
) -> Result<Record<SliceFacts>> {
    let labels = stack.labels.as_ref().ok_or_else(|| {
        Error::refused(
            npz,
            "labels under the key `gts`",
            "none",
            "slices for training need labels; make the NPZ with nii-to-npz",
        )
    })?;
    folder.records.forget(case)?;
    let (_, height, width) = labels.dim();
    let mut picture = Array3::<u8>::zeros((height, width, 3));
    let window = match &stack.images {
        Images::Grey(_) => stack.window.map(Windowing::Grey),
        Images::Rgb(_) => Some(Windowing::RGB),
    };
    let mut facts =
        SliceFacts { window, label_table: stack.label_table.clone(), ..SliceFacts::default() };
    for (i, label) in labels.outer_iter().enumerate() {
        let name = if stack.is_2d { case.to_owned() } else { format!("{case}-{i:03}") };
        let small = resize_nearest(label, LABEL_SIZE, LABEL_SIZE);
        let is_class = |id: &u8| stack.label_table.as_ref().is_none_or(|table| table.is_class(*id));
        let ids: Vec<u8> = ids_in(&small).into_iter().filter(is_class).collect();
        // Stage 1 puts a slice without any label into an NPZ only where it was declared free of
        // disease.
        let healthy = label.iter().all(|&id| id == 0);
        if ids.is_empty() && !healthy {
            tracing::warn!("{name}: left out, its labels vanish at {LABEL_SIZE} × {LABEL_SIZE}");
            facts.vanished.push(name);
            continue;
        }
        fill_picture(&stack.images, i, &mut picture);
        write_npy_u8(&folder.image(&name), picture.view().into_dyn())?;
        write_npy_u8(&folder.label(&name), small.view().into_dyn())?;
        ids.into_iter().for_each(|id| *facts.slices_per_label.entry(id).or_default() += 1);
        if healthy {
            facts.healthy.push(name.clone());
        }
        facts.slices.push(name);
        facts.ct_slices.push(stack.placement.z_index()[i]);
    }
    let files: Vec<PathBuf> = facts
        .slices
        .iter()
        .flat_map(|name| [folder.relative_image(name), folder.relative_label(name)])
        .collect();
    Ok(folder.records.write(case, key, &files, facts)?)
}

/// Label ids in a slice, background left out.
fn ids_in(labels: &Array2<u8>) -> Vec<u8> {
    let mut there = [false; 256];
    labels.iter().for_each(|&id| there[usize::from(id)] = true);
    (1..=255).filter(|&id| there[usize::from(id)]).collect()
}

/// Slice `i` as `[y, x, 3]`: grey three times, or the three windows.
fn fill_picture(images: &Images, i: usize, picture: &mut Array3<u8>) {
    match images {
        Images::Grey(grey) => {
            let grey = grey.index_axis(Axis(0), i);
            let (pixels, _) = picture.as_slice_mut().unwrap_or_default().as_chunks_mut::<3>();
            for (pixel, &value) in pixels.iter_mut().zip(grey.iter()) {
                *pixel = [value; 3];
            }
        }
        Images::Rgb(colour) => picture.assign(&colour.index_axis(Axis(0), i)),
    }
}

/// Rejects every NPZ whose window or label table is not that of the first: a model cannot learn
/// from two meanings of grey.
fn refuse_mixtures(rows: &mut [NpyRow]) {
    let Some((first, model)) =
        rows.iter().find_map(|row| Some((row.path.clone(), row.facts.clone()?)))
    else {
        return;
    };
    for row in rows {
        let Some(facts) = &row.facts else { continue };
        let (what, expected, found) = if facts.window != model.window {
            let name = |facts: &SliceFacts| {
                facts.window.map_or("none".to_owned(), |window| window.to_string())
            };
            ("window", name(&model), name(facts))
        } else if facts.label_table != model.label_table {
            let name =
                |facts: &SliceFacts| serde_json::to_string(&facts.label_table).unwrap_or_default();
            ("label table", name(&model), name(facts))
        } else {
            continue;
        };
        let expected = format!("the same {what} as {}: {expected}", first.display());
        let error = Error::refused(
            &row.path,
            expected,
            found,
            "make all NPZ of one dataset with the same settings",
        );
        tracing::error!("{}: {error}", row.case);
        (row.status, row.reason, row.facts) = (Status::Rejected, error.to_string(), None);
    }
}

fn dataset(rows: &[NpyRow]) -> Dataset {
    let mut parts: BTreeMap<String, DatasetPart> = BTreeMap::new();
    for part in [Part::Train, Part::Valid] {
        let sum = parts.entry(part.name().to_owned()).or_default();
        for (row, facts) in rows
            .iter()
            .filter(|row| row.part == part)
            .filter_map(|row| Some((row, row.facts.as_ref()?)))
        {
            sum.cases.push(row.case.clone());
            sum.slices += facts.slices.len();
            sum.vanished_slices += facts.vanished.len();
            sum.healthy_slices.extend(facts.healthy.iter().cloned());
            sum.ct_slices.extend(facts.slices.iter().cloned().zip(facts.ct_slices.iter().copied()));
            facts
                .slices_per_label
                .iter()
                .for_each(|(&id, n)| *sum.slices_per_label.entry(id).or_default() += n);
        }
    }
    let first = rows.iter().find_map(|row| row.facts.as_ref());
    Dataset {
        label_table: first.and_then(|facts| facts.label_table.clone()).unwrap_or_default(),
        window: first.and_then(|facts| facts.window),
        label_size: LABEL_SIZE,
        parts,
    }
}
