//! All cases of a run: what is finished is skipped, what fails is reported and the others go on.

mod automatic;
pub mod case;
pub mod read;
pub mod start_answers;
pub mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ild_cli::{Common, FileError, FolderLock, RunReport, Stamp, one_line};
use ild_io::cohort::{Beside, LabelNames, shown};
use ild_io::{LabelTable, SourceSeries};
use ild_preprocess::cohort::record::{Key, Records};
use serde_json::{Value, json};

use self::case::Context;
use self::summary::{CaseFacts, Outcome, Row, Summary};
use crate::model::engine::ModelName;
use crate::prompt::PromptKind;
use crate::prompt::source::PromptSource;
use crate::propagate::Propagation;
use crate::settings::{Checkpoints, Method, Resolved, Settings};
use crate::{CaseFile, Engine, Error, Preset, Result, Stop, find_cases, output};

/// Raised when the same settings give another result than before.
const RESULT_VERSION: u32 = 2;

/// A run over all cases.
pub struct Run {
    settings: Resolved,
    engine: Option<Engine>,
    labels: Option<LabelTable>,
    cases: Vec<CaseFile>,
    records: Records,
    /// The weights and the description of the model, as they were before they were read.
    model_files: Vec<Stamp>,
}

impl Run {
    /// Finds the cases and loads the model.
    ///
    /// # Errors
    /// When there are no cases, or the model or the label table is refused.
    pub fn new(settings: Resolved, common: &Common) -> Result<Self> {
        let flags = &settings.flags;
        flags.hide_what_is_typed();
        let cases = chosen_cases(flags)?;
        let labels = flags.labels.as_deref().map(LabelTable::read).transpose()?;
        let records = Records::new(&flags.output, "infer");
        note_others(&records, &cases, flags);
        let model_files = model_files(flags);
        let engine = match (&flags.checkpoint, settings.method) {
            (Some(checkpoints), Method::Model) => engine_of(checkpoints, flags, common)?,
            _ => None,
        };
        let settings = settings.with_fitted(engine.as_ref())?;
        let flags = &settings.flags;
        let weights = engine.as_ref().and_then(|engine| engine.label_table.as_ref());
        if let (PromptSource::Own(PromptKind::Automatic), Some(file)) =
            (&flags.prompt, &flags.labels)
        {
            named_alike(file, labels.as_ref(), weights)?;
        }
        if flags.save_nii || flags.save_probabilities {
            let table = labels.clone().or_else(|| weights.cloned()).unwrap_or_default();
            one_file_each(&cases, &table, &flags.output)?;
        }
        Ok(Self { settings, engine, labels, cases, records, model_files })
    }

    /// Takes the output folder and sweeps it; all cases are inputs from here on, and no result is
    /// written over one.
    fn hold_output(&self) -> Result<Vec<FolderLock>> {
        let output = self.settings.flags.output.as_path();
        let held: Vec<FolderLock> = match self.settings.flags.shard {
            Some(shard) => FolderLock::hold_share(output, &shard.share())?.into(),
            None => vec![FolderLock::hold(output)?],
        };
        if self.settings.flags.shard.is_none() {
            ild_cli::sweep_temporary(output).map_err(FileError::at(output, "cleaned"))?;
        }
        for case in &self.cases {
            ild_cli::inputs::note(&case.path);
        }
        Ok(held)
    }

    /// Segments every case that is not finished.
    ///
    /// # Errors
    /// Only what ends the whole run: the interruption by the user. Failures of cases are in the
    /// summary.
    pub fn go(&self, force: bool, report: &mut RunReport) -> Result<Summary> {
        let _held = self.hold_output()?;
        if self.settings.flags.prompt.uses_ground_truth() {
            ild_cli::say(
                "The prompt comes from the ground truth: these results measure the model, they are \
                 no prediction for a new patient.",
            )?;
        }
        let mut summary = Summary::default();
        let mut spent = Duration::ZERO;
        let mut segmented = 0u32;
        for (i, case) in self.cases.iter().enumerate() {
            ild_cli::stop_if_interrupted()?;
            let start = Instant::now();
            let left = (segmented > 0).then(|| spent / segmented * (self.cases.len() - i) as u32);
            let outcome = match self.case(case, i, left, force, report) {
                Ok(outcome) => outcome,
                Err(error @ Error::Interrupted(_)) => return Err(error),
                Err(error) => {
                    summary.rejected += usize::from(error.is_rejection());
                    tracing::error!("{}: {}", case.id, one_line(&error));
                    Outcome::Failed(one_line(&error))
                }
            };
            if matches!(outcome, Outcome::Done(_)) {
                spent += start.elapsed();
                segmented += 1;
            }
            summary.rows.push(Row { case: case.id.clone(), outcome });
        }
        Ok(summary)
    }

    fn case(
        &self,
        case: &CaseFile,
        i: usize,
        left: Option<Duration>,
        force: bool,
        report: &mut RunReport,
    ) -> Result<Outcome> {
        let key = self.key(case, report)?;
        if !force && let Some(record) = self.records.finished::<CaseFacts>(&case.id, &key) {
            tracing::info!("{}: finished before, skipped (--force does it again)", case.id);
            return Ok(Outcome::Skipped(record.facts));
        }
        let key = key.hashed();
        if self.records.take_away(&case.id)? {
            tracing::info!("{}: an earlier result of other settings is taken away", case.id);
        }
        for ending in ["nii.gz", "json"] {
            let result = self.settings.flags.output.join(format!("{}.{ending}", case.id));
            ild_cli::outputs::may_write(&result)?;
        }
        let series = source_series(case, &self.settings.flags)?;
        let start = Instant::now();
        let progress = ild_cli::progress_bar(0, "slices");
        let remaining = left.map_or(String::new(), |left| {
            format!(", about {} min for all", left.as_secs().div_ceil(60))
        });
        progress.set_message(format!("{} ({} of {}{remaining})", case.id, i + 1, self.cases.len()));
        let context = Context {
            settings: &self.settings,
            engine: self.engine.as_ref(),
            labels: self.labels.as_ref(),
            stop: Stop::default(),
        };
        let done = context.segment(case, &progress);
        progress.finish_and_clear();
        let mut done = done?;
        for note in &done.scan.notes {
            tracing::warn!("{}: {note}", case.id);
        }
        let files =
            output::write_case(&mut done, &self.settings, self.engine.as_ref(), series.as_ref())?;
        for file in &files {
            report.output(&self.settings.flags.output.join(file));
        }
        let facts = CaseFacts::of(&done, start.elapsed());
        facts.log(&case.id);
        self.records.write(&case.id, key, &files, facts.clone())?;
        Ok(Outcome::Done(facts))
    }

    /// Everything that the result of `case` depends on.
    fn key(&self, case: &CaseFile, report: &mut RunReport) -> Result<Key> {
        let flags = &self.settings.flags;
        let settings =
            serde_json::to_value(flags).map_err(FileError::at(&case.path, "recorded"))?;
        let truth = self.settings.truth.as_ref().map(|place| place.file(&case.id));
        let mut read: Vec<PathBuf> = case.files(flags.series.as_deref())?;
        let own = read.len();
        read.extend(truth.filter(|path| ild_cli::inputs::is_file(path)));
        read.extend(flags.prompt.of_case(&case.id)?.file);
        read.extend(flags.labels.clone());
        let names = read.iter().skip(own).map(|path| Ok(LabelNames::own(path)?.table));
        let names: Vec<_> = names.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        for path in &read[..own] {
            report.input(path)?;
        }
        let weights: Option<Value> = self.engine.as_ref().map(|engine| json!(engine.origin));
        let mut of = json!({ "version": RESULT_VERSION, "settings": settings, "weights": weights });
        if flags.prompt == PromptSource::Own(PromptKind::Automatic) {
            of["rules"] = json!(self.settings.find);
        }
        // Names that masks carry decide their ids, and may stand in a file beside them.
        if !names.is_empty() {
            of["names"] = json!(names);
        }
        let mut key = Key::new(&of, &read.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        key.inputs.extend(self.model_files.iter().cloned());
        Ok(key)
    }

    /// Adds what is true of the whole run to its report.
    pub fn describe(&self, report: &mut RunReport) {
        let flags = &self.settings.flags;
        report.set("settings", flags);
        report.set("prompt_source", flags.prompt.stamp());
        report.set("ground_truth_used", flags.prompt.uses_ground_truth());
        report.set("weights", self.engine.as_ref().map(|engine| &engine.origin));
        report.set("fitted", &self.settings.fitted);
        report.set("trained_window", self.engine.as_ref().and_then(|engine| engine.window));
    }
}

/// The models at `checkpoints`, as the flags have them.
fn engine_of(
    checkpoints: &Checkpoints,
    flags: &Settings,
    common: &Common,
) -> Result<Option<Engine>> {
    let load = |checkpoint: &Path| {
        let name =
            ModelName { typed: flags.model.as_deref(), otherwise: flags.preset.map(Preset::model) };
        let batch = flags.batch_size.map(usize::from);
        Engine::load(checkpoint, name, common.device, flags.precision, batch)
    };
    let mut engine: Option<Engine> = None;
    for file in checkpoints.files() {
        let one = load(file)?;
        engine = Some(match engine {
            Some(all) => all.joined(one)?,
            None => one,
        });
    }
    let engine = engine.map(|e| if flags.mirror { e.with_mirror_image() } else { e });
    match flags.propagate {
        Propagation::Memory => engine.map(Engine::with_memory).transpose(),
        Propagation::Box => Ok(engine),
    }
}

/// The files that the model comes from, with their content.
fn model_files(flags: &Settings) -> Vec<Stamp> {
    let described = flags.model.as_ref().map(PathBuf::from).filter(|path| path.is_file());
    let weights = flags.checkpoint.iter().flat_map(Checkpoints::files);
    let files = weights.chain(described.as_deref());
    files.filter_map(|path| Some(Stamp::of(path)?.hashed())).collect()
}

/// The series that the result becomes a DICOM Segmentation of, when one is asked for.
fn source_series(case: &CaseFile, flags: &Settings) -> Result<Option<SourceSeries>> {
    if !flags.save_dicom_seg {
        return Ok(None);
    }
    if !case.is_dicom() {
        return Err(Error::refused(
            &case.path,
            "a DICOM series, to which a DICOM Segmentation belongs",
            "another format",
            "give the DICOM folder, or `ild-io convert RESULT.nii.gz --like SERIES RESULT.dcm` afterwards",
        ));
    }
    let series = SourceSeries::read(&case.path, flags.dicom())?;
    Ok(Some(if flags.anonymous { series.anonymous() } else { series }))
}

/// Refuses a table that calls a class otherwise than the weights, which find and name classes by
/// themselves: their Honeycombing would be written under another disease's name.
fn named_alike(
    file: &Path,
    given: Option<&LabelTable>,
    weights: Option<&LabelTable>,
) -> Result<()> {
    let (Some(given), Some(weights)) = (given, weights) else { return Ok(()) };
    let other = weights.names().find(|(id, name)| given.id_of(name) != Some(*id));
    match other {
        None => Ok(()),
        Some((id, name)) => Err(Error::refused(
            file,
            format!("label {id} called `{name}`, as the weights call what they find"),
            format!("`{}`", given.name(id)),
            "leave --labels out, or call it so",
        )),
    }
}

/// Says that the output folder holds results of cases that this run does not know: whoever scores
/// the folder scores them too.
fn note_others(records: &Records, cases: &[CaseFile], flags: &Settings) {
    // A job of several knows its own share only.
    if flags.shard.is_some() {
        return;
    }
    let items = records.items();
    let known = |item: &&String| !cases.iter().any(|case| case.id == **item);
    let others: Vec<&str> = items.iter().filter(known).map(String::as_str).collect();
    if !others.is_empty() {
        tracing::warn!(
            "{}: holds results of an earlier run for cases that are not in this one: {}",
            flags.output.display(),
            shown(&others)
        );
    }
}

/// Refuses cases of which two would write one file: `p` with a label `x_y`, and `p_x` with `y`.
fn one_file_each(cases: &[CaseFile], table: &LabelTable, output: &Path) -> Result<()> {
    let mut files: BTreeMap<String, (&str, u8)> = BTreeMap::new();
    for case in cases {
        for &id in table.classes.keys() {
            let file = format!("{}_{}", case.id, table.file_name(id)).to_lowercase();
            let Some((other, its)) = files.insert(file.clone(), (&case.id, id)) else { continue };
            let [a, b] = [(other, its), (case.id.as_str(), id)]
                .map(|(case, id)| format!("`{}` of case {case}", table.name(id)));
            return Err(Error::refused(
                output,
                "a file of its own for each label of each case",
                format!("{file}.nii.gz for {a} and for {b}"),
                "rename a case or a label, or leave --save-nii and --save-probabilities out",
            ));
        }
    }
    Ok(())
}

/// The cases at `--input`, those of `--cases-of` among them, those of `--shard` among these.
fn chosen_cases(flags: &Settings) -> Result<Vec<CaseFile>> {
    let mut cases = find_cases(&flags.input, &flags.img_name_suffix)?;
    if let Some(folder) = &flags.cases_of {
        cases = only_those_of(cases, folder, flags)?;
    }
    let cases = match flags.shard {
        Some(shard) => shard.of(cases),
        None => cases,
    };
    if flags.anonymous { under_pseudonyms(cases, flags) } else { Ok(cases) }
}

/// The cases called by their pseudonyms; refuses what has none, and two of one study.
fn under_pseudonyms(cases: Vec<CaseFile>, flags: &Settings) -> Result<Vec<CaseFile>> {
    let mut named: BTreeMap<String, CaseFile> = BTreeMap::new();
    for case in cases {
        if !case.is_dicom() {
            return Err(Error::refused(
                &case.path,
                "DICOM, of whose study a pseudonym is made",
                "another format, whose only name is that of its file",
                "rename the file, and leave --anonymous out",
            ));
        }
        let id = SourceSeries::read(&case.path, flags.dicom())?.pseudonym();
        let case = CaseFile { id, ..case };
        let path = case.path.clone();
        if let Some(other) = named.insert(case.id.clone(), case) {
            return Err(Error::refused(
                path,
                "a study of its own for each case, of which a pseudonym is made",
                format!("the study of {}", other.path.display()),
                "segment them one after the other into folders of their own",
            ));
        }
    }
    Ok(named.into_values().collect())
}

/// The cases that `folder` holds too. A name there that no case has is said, and refused when it
/// looks like a slip or none matches.
fn only_those_of(
    mut cases: Vec<CaseFile>,
    folder: &Path,
    flags: &Settings,
) -> Result<Vec<CaseFile>> {
    let names = |cases: &[CaseFile]| cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>();
    let (wanted, here) = (names(&find_cases(folder, &flags.img_name_suffix)?), names(&cases));
    let beside = Beside::new(wanted.iter().map(String::as_str), here.iter().map(String::as_str));
    beside.refuse_slips(folder, "case", "CT")?;
    if !beside.only_first.is_empty() {
        tracing::warn!(
            "{}: cases without a file in {}: {}",
            folder.display(),
            flags.input.display(),
            shown(&beside.only_first)
        );
    }
    cases.retain(|case| beside.both.contains(case.id.as_str()));
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: [&str; 3]) -> LabelTable {
        let label = |name: &str| ild_io::Label { name: name.to_owned(), color: [0; 3], code: None };
        LabelTable::new((1..).zip(names.map(label)).collect())
    }

    #[test]
    fn classes_that_the_weights_name_are_called_nothing_else() {
        let weights = table(["GGO", "Honeycombing", "Reticulation"]);
        let said = |names| named_alike(Path::new("l.json"), Some(&table(names)), Some(&weights));
        assert!(said(["ggo", "Honeycombing", "Reticulation"]).is_ok());
        let text = said(["Honeycombing", "GGO", "Reticulation"]).unwrap_err().to_string();
        assert!(text.contains("label 1 called `GGO`") && text.contains("`Honeycombing`"), "{text}");
    }

    #[test]
    fn two_cases_never_write_one_file() {
        let case = |id: &str| CaseFile { id: id.to_owned(), path: format!("{id}.npz").into() };
        let table = table(["x y", "y", "z"]);
        let cases = [case("p"), case("p_x"), case("q")];
        let text = one_file_each(&cases, &table, Path::new("out")).unwrap_err().to_string();
        assert!(
            text.contains("p_x_y.nii.gz for `x y` of case p and for `y` of case p_x"),
            "{text}"
        );
        assert!(one_file_each(&cases[..1], &table, Path::new("out")).is_ok());
        assert!(one_file_each(&cases[1..], &table, Path::new("out")).is_ok());
    }
}
