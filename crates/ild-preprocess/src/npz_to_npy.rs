//! Stage 2: the slices of every NPZ as single arrays, the form that training reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ild_io::{Images, LabelTable, SliceStack, read_npz, write_npy_u8};
use ndarray::{Array3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dataset::{Dataset, DatasetPart};
use crate::nearest::resize_nearest;
use crate::pairs::list;
use crate::record::{Key, Record, Records};
use crate::split::Part;
use crate::summary::Status;
use crate::window::Windowing;
use crate::{Error, Result, one_line};

/// Changes whenever the same NPZ gives other slices.
const FORMAT: u32 = 1;

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
    /// Do finished cases again.
    pub force: bool,
}

/// What is known of the slices of one NPZ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceFacts {
    /// Names of the slices, without ending.
    pub slices: Vec<String>,
    /// Slices whose labels all vanished at the label size.
    pub vanished: Vec<String>,
    /// Slices that hold each label id.
    pub slices_per_label: BTreeMap<u8, usize>,
}

/// One NPZ.
#[derive(Clone, Debug)]
pub struct NpyRow {
    /// Name of the NPZ without ending.
    pub case: String,
    /// The file.
    pub path: PathBuf,
    /// Where its slices are.
    pub part: Part,
    /// How it ended.
    pub status: Status,
    /// Why, unless it was written.
    pub reason: String,
    /// What is in it.
    pub facts: Option<SliceFacts>,
}

/// Everything about a run.
#[derive(Clone, Debug)]
pub struct NpySummary {
    /// NPZ files, train before valid, sorted by name.
    pub rows: Vec<NpyRow>,
    /// What was written to `dataset.json`.
    pub dataset: Dataset,
    /// What concerns the run as a whole.
    pub notes: Vec<String>,
}

/// What all NPZ of one dataset must agree on.
#[derive(Clone, Debug, PartialEq)]
struct Common {
    window: Option<Windowing>,
    label_table: Option<LabelTable>,
    from: PathBuf,
}

impl Common {
    fn of(stack: &SliceStack, from: &Path) -> Self {
        let window = match &stack.images {
            Images::Grey(_) => stack.window.map(Windowing::Grey),
            Images::Rgb(_) => Some(Windowing::RGB),
        };
        Self { window, label_table: stack.label_table.clone(), from: from.to_owned() }
    }

    fn check(&self, other: &Self) -> Result<()> {
        let refuse = |what: &str, expected: String, found: String| {
            let expected = format!("the same {what} as {}: {expected}", self.from.display());
            Err(Error::refused(&other.from, expected, found, "make all NPZ of one dataset with the same settings"))
        };
        if self.window != other.window {
            let name = |window: &Option<Windowing>| window.map_or("none".to_owned(), |window| window.to_string());
            return refuse("window", name(&self.window), name(&other.window));
        }
        if self.label_table != other.label_table {
            let name = |table: &Option<LabelTable>| serde_json::to_string(table).unwrap_or_default();
            return refuse("label table", name(&self.label_table), name(&other.label_table));
        }
        Ok(())
    }
}

impl NpzToNpy {
    /// Runs the stage. An NPZ that cannot be done does not stop the others.
    ///
    /// # Errors
    /// When nothing can be done at all: no NPZ, a case in both folders, an output folder that cannot be written to or is busy.
    pub fn run(&self) -> Result<NpySummary> {
        let train = find_npz(&self.train_dir)?;
        let valid = self.valid_dir.as_deref().map(find_npz).transpose()?.unwrap_or_default();
        let mut notes = Vec::new();
        let Some(first) = train.values().next() else {
            return Err(Error::refused(
                &self.train_dir,
                "NPZ files `*.npz` or `<modality>_<anatomy>/*.npz`",
                "none",
                "run `ild-preprocess nii-to-npz` first, or name the folder it made",
            ));
        };
        if valid.is_empty() {
            notes.push("no validation NPZ: training will choose its checkpoint by the training loss".to_owned());
        }
        refuse_overlap(&train, &valid)?;
        let _lock = ild_cli::FolderLock::take(&self.npy_dir)?.ok_or_else(|| Error::Busy(self.npy_dir.clone()))?;
        let common = Common::of(&read_npz(first)?, first);

        let mut rows = Vec::new();
        for (part, files) in [(Part::Train, &train), (Part::Valid, &valid)] {
            let folder = Folder::open(&self.npy_dir, part)?;
            let done = self.convert_all(files, &folder, &common)?;
            notes.extend(folder.tidy(&done)?);
            rows.extend(done);
        }
        let dataset = dataset(&rows, &common);
        dataset.write(&self.npy_dir)?;
        Ok(NpySummary { rows, dataset, notes })
    }

    fn convert_all(&self, files: &BTreeMap<String, PathBuf>, folder: &Folder, common: &Common) -> Result<Vec<NpyRow>> {
        let bar = ild_cli::progress_bar(files.len() as u64, folder.part.name());
        let files: Vec<(&String, &PathBuf)> = files.iter().collect();
        let rows = files.into_par_iter().with_max_len(1).map(|(case, path)| {
            ild_cli::stop_if_interrupted()?;
            let row = self.convert(case, path, folder, common);
            bar.inc(1);
            Ok(row)
        });
        let rows = rows.collect::<Result<Vec<_>>>();
        bar.finish_and_clear();
        rows
    }

    fn convert(&self, case: &str, path: &Path, folder: &Folder, common: &Common) -> NpyRow {
        let settings = json!({ "format": FORMAT, "label_size": LABEL_SIZE });
        let key = Key::new(&settings, &[path]);
        let finished = if self.force { None } else { folder.records.finished::<SliceFacts>(case, &key) };
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
            return row(Status::Unchanged, String::new(), Some(record.facts));
        }
        match make(case, path, folder, common, key) {
            Ok(record) => {
                for slice in &record.facts.vanished {
                    tracing::warn!("{slice}: left out, its labels vanish at {LABEL_SIZE} × {LABEL_SIZE}");
                }
                row(Status::Written, String::new(), Some(record.facts))
            }
            Err(error) => {
                let reason = one_line(&error);
                tracing::error!("{case}: {reason}");
                row(if error.is_rejection() { Status::Rejected } else { Status::Failed }, reason, None)
            }
        }
    }
}

fn make(case: &str, path: &Path, folder: &Folder, common: &Common, key: Key) -> Result<Record<SliceFacts>> {
    let stack = read_npz(path)?;
    common.check(&Common::of(&stack, path))?;
    let labels = stack.labels.as_ref().ok_or_else(|| {
        Error::refused(path, "labels under the key `gts`", "none", "slices for training need labels; make the NPZ with nii-to-npz")
    })?;
    folder.records.forget(case)?;
    let (_, height, width) = labels.dim();
    let mut picture = Array3::<u8>::zeros((height, width, 3));
    let mut facts = SliceFacts::default();
    for (i, label) in labels.outer_iter().enumerate() {
        let name = if stack.is_2d { case.to_owned() } else { format!("{case}-{i:03}") };
        let small = resize_nearest(label, LABEL_SIZE, LABEL_SIZE);
        let ids: BTreeSet<u8> = small.iter().copied().filter(|&id| id != 0).collect();
        if ids.is_empty() {
            facts.vanished.push(name);
            continue;
        }
        fill_picture(&stack.images, i, &mut picture);
        write_npy_u8(&folder.image(&name), picture.view().into_dyn())?;
        write_npy_u8(&folder.label(&name), small.view().into_dyn())?;
        ids.into_iter().for_each(|id| *facts.slices_per_label.entry(id).or_default() += 1);
        facts.slices.push(name);
    }
    let files: Vec<PathBuf> = facts.slices.iter().flat_map(|name| [folder.relative_image(name), folder.relative_label(name)]).collect();
    folder.records.write(case, key, &files, facts)
}

/// Slice `i` as `[y, x, 3]`: grey three times, or the three windows.
fn fill_picture(images: &Images, i: usize, picture: &mut Array3<u8>) {
    match images {
        Images::Grey(grey) => {
            let grey = grey.index_axis(Axis(0), i);
            for (mut pixel, &value) in picture.rows_mut().into_iter().zip(grey.iter()) {
                pixel.fill(value);
            }
        }
        Images::Rgb(colour) => picture.assign(&colour.index_axis(Axis(0), i)),
    }
}

/// Name → file, for `folder/*.npz` and `folder/*/*.npz`.
fn find_npz(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let here = list(folder)?;
    let below = here.iter().filter(|path| path.is_dir() && !hidden(path)).map(|path| list(path)).collect::<Result<Vec<_>>>()?;
    for path in here.iter().chain(below.iter().flatten()) {
        if hidden(path) || path.extension().is_none_or(|ending| ending != "npz") {
            continue;
        }
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .ok_or_else(|| Error::refused(path, "a UTF-8 file name", "other bytes", "rename the file"))?;
        if let Some(other) = files.insert(name.to_owned(), path.clone()) {
            return Err(Error::refused(
                path,
                "each name once",
                format!("{} as well", other.display()),
                "name one of the two folders, or make the NPZ with --name-prefix",
            ));
        }
    }
    Ok(files)
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn refuse_overlap(train: &BTreeMap<String, PathBuf>, valid: &BTreeMap<String, PathBuf>) -> Result<()> {
    match train.iter().find(|(name, _)| valid.contains_key(*name)) {
        None => Ok(()),
        Some((name, path)) => Err(Error::refused(
            path,
            "a case that is only trained on",
            format!("the same case in {}", valid[name].display()),
            "a case in two parts is a leak: remove one of the two",
        )),
    }
}

fn dataset(rows: &[NpyRow], common: &Common) -> Dataset {
    let mut parts: BTreeMap<String, DatasetPart> = BTreeMap::new();
    for part in [Part::Train, Part::Valid] {
        let sum = parts.entry(part.name().to_owned()).or_default();
        for (row, facts) in rows.iter().filter(|row| row.part == part).filter_map(|row| Some((row, row.facts.as_ref()?))) {
            sum.cases.push(row.case.clone());
            sum.slices += facts.slices.len();
            sum.vanished_slices += facts.vanished.len();
            facts.slices_per_label.iter().for_each(|(&id, n)| *sum.slices_per_label.entry(id).or_default() += n);
        }
    }
    Dataset { label_table: common.label_table.clone().unwrap_or_default(), window: common.window, label_size: LABEL_SIZE, parts }
}

/// `npy/train` or `npy/valid`.
struct Folder {
    root: PathBuf,
    part: Part,
    records: Records,
}

impl Folder {
    fn open(npy_dir: &Path, part: Part) -> Result<Self> {
        let folder = Self { root: npy_dir.to_owned(), part, records: Records::new(npy_dir, &format!("npz-to-npy/{}", part.name())) };
        for path in [folder.sub("imgs"), folder.sub("gts")] {
            std::fs::create_dir_all(&path).with_context(|| format!("{}: could not be made", path.display()))?;
        }
        for path in [folder.sub("imgs"), folder.sub("gts"), folder.records.folder().to_owned(), npy_dir.to_owned()] {
            ild_cli::sweep_temporary(&path).with_context(|| format!("{}: could not be cleaned", path.display()))?;
        }
        Ok(folder)
    }

    fn sub(&self, kind: &str) -> PathBuf {
        self.root.join(self.part.name()).join(kind)
    }

    fn relative_image(&self, slice: &str) -> PathBuf {
        Path::new(self.part.name()).join("imgs").join(format!("{slice}.npy"))
    }

    fn relative_label(&self, slice: &str) -> PathBuf {
        Path::new(self.part.name()).join("gts").join(format!("{slice}.npy"))
    }

    fn image(&self, slice: &str) -> PathBuf {
        self.root.join(self.relative_image(slice))
    }

    fn label(&self, slice: &str) -> PathBuf {
        self.root.join(self.relative_label(slice))
    }

    /// Removes slices that this program wrote for cases, or from slices, that are here no more; lists those it did not write.
    fn tidy(&self, rows: &[NpyRow]) -> Result<Vec<String>> {
        let expected: BTreeSet<&str> =
            rows.iter().filter_map(|row| row.facts.as_ref()).flat_map(|facts| facts.slices.iter().map(String::as_str)).collect();
        let done: BTreeSet<&str> = rows.iter().filter(|row| row.facts.is_some()).map(|row| row.case.as_str()).collect();
        let mut ours: BTreeSet<String> = rows.iter().map(|row| row.case.clone()).collect();
        if self.records.folder().is_dir() {
            for path in list(self.records.folder())? {
                let Some(case) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
                if !done.contains(case) {
                    ours.insert(case.to_owned());
                    self.records.forget(case)?;
                }
            }
        }
        let mut notes = Vec::new();
        for path in [self.sub("imgs"), self.sub("gts")].iter().map(|folder| list(folder)).collect::<Result<Vec<_>>>()?.concat() {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if expected.contains(stem.as_str()) {
                continue;
            }
            if ours.contains(case_of(&stem)) || ours.contains(&stem) {
                std::fs::remove_file(&path).with_context(|| format!("{}: could not be removed", path.display()))?;
            } else {
                notes.push(format!("{}: not from this input; training will use it unless it is removed", path.display()));
            }
        }
        Ok(notes)
    }
}

/// `case` of `case-007`.
fn case_of(slice: &str) -> &str {
    match slice.rsplit_once('-') {
        Some((case, number)) if number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit()) => case,
        _ => slice,
    }
}

impl NpySummary {
    /// Number of NPZ that ended like this.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }

    /// For the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let ids: BTreeSet<u8> = self.dataset.parts.values().flat_map(|part| part.slices_per_label.keys().copied()).collect();
        let heads = ["part", "cases", "slices", "left out"].map(str::to_owned).into_iter();
        let mut grid = ild_cli::table(heads.chain(ids.iter().map(|&id| format!("{} (slices)", self.dataset.label_table.name(id)))));
        for (name, part) in &self.dataset.parts {
            let counts = ids.iter().map(|id| part.slices_per_label.get(id).copied().unwrap_or(0));
            let numbers = [part.cases.len(), part.slices, part.vanished_slices].into_iter().chain(counts).map(|n| n.to_string());
            grid.add_row([name.clone()].into_iter().chain(numbers).collect::<Vec<_>>());
        }
        let mut lines = vec![grid.to_string(), crate::summary::tally(|status| self.count(status))];
        let vanished: usize = self.dataset.parts.values().map(|part| part.vanished_slices).sum();
        if vanished > 0 {
            lines.push(format!("{vanished} slices left out: their labels vanish at {LABEL_SIZE} × {LABEL_SIZE}"));
        }
        lines.extend(
            self.rows.iter().filter(|row| !row.reason.is_empty()).map(|row| format!("{}: {}: {}", row.case, row.status, row.reason)),
        );
        lines.extend(self.notes.iter().cloned());
        lines.join("\n")
    }
}
