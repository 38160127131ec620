//! `ild-metrics evaluate`: every case, every set of predictions, scored alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ild_cli::done::Records;
use ild_io::cohort::{Beside, CasePatients, LabelNames, Patients, shown};
use ild_io::{Format, Geometry, HeaderNote, LabelTable};
use rayon::prelude::*;
use serde::Serialize;

use crate::cohort::pairing::{CaseFiles, case_files};
use crate::cohort::{Cohort, Outcome, Role, ScoredCase, System, classes_of};
use crate::presence::calibration::PresenceStatement;
use crate::presence::presence_statements;
use crate::{
    Aligned, AnnotatedCase, Bootstrap, CaseScores, Error, EvaluateSettings, HealthySystem, Labels,
    NamedFolder, Prediction, Result, ScoreSettings, WholeCt,
};

/// What is odd about the header of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileNotes {
    /// The file.
    pub file: PathBuf,
    /// What is odd.
    pub notes: Vec<HeaderNote>,
}

impl FileNotes {
    fn of(file: &Path, geometry: &Geometry) -> Option<Self> {
        let notes = geometry.notes.clone();
        (!notes.is_empty()).then(|| Self { file: file.to_owned(), notes })
    }
}

/// A scored cohort, and what could not be scored.
pub struct Evaluation {
    /// The numbers.
    pub cohort: Cohort,
    /// Ground-truth files that were refused, and why; they are in no number.
    pub refused_references: Vec<(PathBuf, String)>,
    /// For each system the predictions without ground truth.
    pub unmatched: Vec<(String, Vec<String>)>,
    /// What deserves a word about the headers of the files: which of two lengths was used, for
    /// instance.
    pub header_notes: Vec<FileNotes>,
    /// The whole CT, where `--truth` knows it.
    pub whole: Option<WholeCt>,
    /// What was found in healthy patients.
    pub healthy: Vec<HealthySystem>,
    /// For each system what it says about the presence of classes, where it does.
    pub presence: Vec<(String, Vec<PresenceStatement>)>,
}

impl Evaluation {
    /// Scores all cases; `seed` is that of the bootstrap.
    ///
    /// A prediction that is missing or refused is scored as an empty one and listed; the other
    /// cases go on.
    ///
    /// # Errors
    /// When a folder or table is refused, when no ground truth can be read, or when the run is
    /// interrupted.
    pub fn run(settings: &EvaluateSettings, seed: u64) -> Result<Self> {
        let references = case_files(&settings.gt, &settings.gt_name_suffix)?;
        let folders = folders(settings)?;
        let files: Vec<CaseFiles> = folders
            .iter()
            .map(|(_, folder)| case_files(&folder.path, &settings.pred_name_suffix))
            .collect::<Result<_>>()?;
        let mut notes = Vec::new();
        for ((_, folder), predicted) in folders.iter().zip(&files) {
            notes.extend(names_beside(folder, predicted, &references)?);
        }
        let named = table_of(settings, &references, &files)?;
        let patients = patients(settings, &references)?;
        notes.extend(patients.notes.iter().cloned());
        notes.iter().for_each(|note| tracing::warn!("{note}"));

        let bar = ild_cli::progress_bar(references.len() as u64, "cases");
        let jobs = references.iter().map(|(case, reference)| {
            let predictions = files.iter().map(|files| files.get(case)).collect();
            CaseJob { case, reference, predictions }
        });
        let scored = jobs.collect::<Vec<_>>().into_par_iter().map(|job| -> Result<_> {
            ild_cli::stop_if_interrupted()?;
            let scored = job.score(settings, &named);
            bar.inc(1);
            Ok((job, scored))
        });
        let scored: Vec<(CaseJob, Result<Scored>)> = scored.collect::<Result<_>>()?;
        bar.finish_and_clear();

        let mut refused_references = Vec::new();
        let mut systems: Vec<System> = folders
            .into_iter()
            .map(|(role, folder)| System {
                name: folder.name,
                role,
                folder: folder.path,
                cases: Vec::new(),
            })
            .collect();
        let (mut table, mut header_notes) = (named, Vec::new());
        for (job, scored) in scored {
            match scored {
                Ok(scored) => {
                    table.extend(&scored.table);
                    header_notes.extend(scored.header_notes);
                    for (i, (outcome, scores)) in scored.by_system.into_iter().enumerate() {
                        systems[i].cases.push(job.scored_case(i, outcome, scores, &patients));
                    }
                }
                Err(cause) => {
                    tracing::error!("{cause}");
                    refused_references.push((job.reference.clone(), cause.to_string()));
                }
            }
        }
        if systems[0].cases.is_empty() {
            let found = refused_references.first().map_or("none".to_owned(), |(_, why)| {
                format!("none; the first was refused because {why}")
            });
            return Err(Error::refused(&settings.gt, "ground truth that can be read", found, ""));
        }
        let patient_of: Vec<String> =
            systems[0].cases.iter().map(|case| case.patient.clone()).collect();
        let bootstrap = Bootstrap::new(&patient_of, settings.bootstrap, seed);
        let unmatched = unmatched(&systems, &files, &references);
        let cohort = Cohort { classes: classes_of(&systems, &table), systems, table, bootstrap };
        let whole = WholeCt::measure(&cohort, settings)?;
        let healthy = HealthySystem::read_all(settings, &cohort.table)?;
        let presence = presence_statements(&cohort, whole.as_ref());
        Ok(Self { cohort, refused_references, unmatched, header_notes, whole, healthy, presence })
    }

    /// Whether everything that was there could be read; decides the exit code.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let predictions =
            self.cohort.systems.iter().flat_map(|system| &system.cases).filter_map(|case| {
                match &case.outcome {
                    Outcome::Refused(why) => Some(why.clone()),
                    _ => None,
                }
            });
        self.refused_references.iter().map(|(_, why)| why.clone()).chain(predictions).collect()
    }
}

/// The evaluated folder first, then the automatic one, the experiments with boxes and the
/// baselines; names are unique.
fn folders(settings: &EvaluateSettings) -> Result<Vec<(Role, NamedFolder)>> {
    let main = NamedFolder { name: settings.name.clone(), path: settings.pred.clone() };
    let optional = [
        (Role::Automatic, "automatic", &settings.automatic),
        (Role::OtherBox, "another lesion's box", &settings.other_box),
        (Role::EmptyBox, "a box that holds nothing", &settings.empty_box),
    ];
    let optional = optional.into_iter().filter_map(|(role, name, path)| {
        Some((role, NamedFolder { name: name.to_owned(), path: path.clone()? }))
    });
    let baselines = settings.baseline.iter().map(|folder| (Role::Baseline, folder.clone()));
    let all: Vec<(Role, NamedFolder)> =
        std::iter::once((Role::Evaluated, main)).chain(optional).chain(baselines).collect();
    let mut seen = BTreeSet::new();
    match all.iter().find(|(_, folder)| !seen.insert(folder.name.clone())) {
        Some((_, twice)) => {
            let found = format!("`{}` twice", twice.name);
            Err(Error::refused(
                &twice.path,
                "a name for each set of predictions",
                found,
                "use --baseline NAME=DIR with another name",
            ))
        }
        None => Ok(all),
    }
}

/// Predictions that no ground truth is called like, in words; refused where that looks like a slip,
/// for the case would count as a failure.
fn names_beside(
    folder: &NamedFolder,
    predicted: &CaseFiles,
    references: &CaseFiles,
) -> Result<Option<String>> {
    let beside =
        Beside::new(predicted.keys().map(String::as_str), references.keys().map(String::as_str));
    beside.refuse_slips(&folder.path, "prediction", "ground-truth file")?;
    let alone = &beside.only_first;
    Ok((!alone.is_empty()).then(|| {
        format!(
            "{}: predictions without ground truth, in no number: {}",
            folder.path.display(),
            shown(alone)
        )
    }))
}

/// What the labels are called: the table of the ground truth's folder (or `--labels`), else what
/// the ground truth says case by case, else what the predictions say. Every file is then read under
/// these names; one that contradicts them is refused when its turn comes.
fn table_of(
    settings: &EvaluateSettings,
    references: &CaseFiles,
    predicted: &[CaseFiles],
) -> Result<LabelTable> {
    if let Some(table) = LabelNames::of_folder(settings.labels.as_deref(), &settings.gt)?.table {
        return Ok(table);
    }
    // A file that cannot be read says no names here; it is refused by name when it is measured, and
    // does not keep the others from it.
    let mut table = LabelTable::new(BTreeMap::new());
    for path in references.values() {
        let own = LabelNames::own(path).unwrap_or_default();
        own.table.iter().for_each(|own| table.extend(own));
    }
    if table.is_empty() {
        let of_truth = |(case, _): &(&String, &PathBuf)| references.contains_key(*case);
        // Segments of DICOM are numbered anew in each file: the number of one names no id of the truth.
        let has_ids = |path: &&PathBuf| Format::of(path).is_ok_and(|f| f != Format::DicomSeg);
        let paths = predicted.iter().flatten().filter(of_truth).map(|(_, path)| path);
        for path in paths.filter(has_ids) {
            let own = LabelNames::beside(path).unwrap_or_default();
            own.table.iter().for_each(|own| table.extend(own));
        }
    }
    Ok(table)
}

fn patients(settings: &EvaluateSettings, references: &CaseFiles) -> Result<CasePatients> {
    let Some(path) = &settings.patients else { return Ok(CasePatients::default()) };
    let cases: Vec<&str> = references.keys().map(String::as_str).collect();
    let suffixes = [settings.img_name_suffix.as_str(), settings.gt_name_suffix.as_str()];
    Ok(Patients::read(path)?.of_cases(&cases, &suffixes)?)
}

fn unmatched(
    systems: &[System],
    files: &[CaseFiles],
    references: &CaseFiles,
) -> Vec<(String, Vec<String>)> {
    let extra = |files: &CaseFiles| {
        files.keys().filter(|case| !references.contains_key(*case)).cloned().collect::<Vec<_>>()
    };
    systems
        .iter()
        .zip(files)
        .map(|(system, files)| (system.name.clone(), extra(files)))
        .filter(|(_, cases)| !cases.is_empty())
        .collect()
}

/// One case with the file of each system.
struct CaseJob<'a> {
    case: &'a String,
    reference: &'a PathBuf,
    predictions: Vec<Option<&'a PathBuf>>,
}

struct Scored {
    table: LabelTable,
    by_system: Vec<(Outcome, CaseScores)>,
    header_notes: Vec<FileNotes>,
}

impl CaseJob<'_> {
    fn score(&self, settings: &EvaluateSettings, named: &LabelTable) -> Result<Scored> {
        let truth = AnnotatedCase::read(self.reference, settings.annotated, named)?;
        if truth.placement.z_index().is_empty() {
            tracing::warn!(
                "{}: no slice holds a label, so none counts as annotated; --annotated all takes them all",
                self.reference.display()
            );
        }
        let mut header_notes: Vec<FileNotes> =
            FileNotes::of(self.reference, truth.placement.geometry()).into_iter().collect();
        // Nobody named the labels: masks may still be filed under the names of the ILD classes, but
        // another disease's label map gets numbers.
        let for_masks = if named.is_empty() { LabelTable::default() } else { named.clone() };
        let mut table = named.clone();
        let wanted: BTreeSet<u8> = table.classes.keys().copied().collect();
        let settings = ScoreSettings {
            nsd_tolerance_mm: settings.nsd_tolerance_mm,
            lesion_overlap: settings.lesion_overlap,
        };
        let mut by_system = Vec::new();
        let mut filed = BTreeSet::new();
        for file in &self.predictions {
            let (outcome, prediction) = self.prediction(*file, &for_masks);
            let path = file.map_or(Path::new(""), PathBuf::as_path);
            let aligned = Aligned::new(&truth, prediction.as_ref(), path);
            let (outcome, pair) = match aligned {
                Ok(pair) => (outcome, pair),
                Err(cause) => (refused(&cause), Aligned::new(&truth, None, path)?),
            };
            let geometry = prediction.as_ref().and_then(|found| found.geometry.as_ref());
            header_notes.extend(geometry.and_then(|geometry| FileNotes::of(path, geometry)));
            let pair = match table.ignored() {
                Some(ignored) => pair.without(ignored),
                None => pair,
            };
            if let Labels::PerClass(maps) = &pair.predicted {
                filed.extend(maps.keys().copied());
            }
            by_system.push((outcome, CaseScores::new(&pair, &wanted, settings)));
        }
        for id in filed {
            if let Some(label) = for_masks.classes.get(&id) {
                table.classes.entry(id).or_insert_with(|| label.clone());
            }
        }
        Ok(Scored { by_system, table, header_notes })
    }

    /// The prediction in `file`; `None` stands for one that is missing or refused.
    fn prediction(
        &self,
        file: Option<&PathBuf>,
        table: &LabelTable,
    ) -> (Outcome, Option<Prediction>) {
        let Some(path) = file else {
            tracing::warn!("{}: no prediction, counted as a failure", self.case);
            return (Outcome::Missing, None);
        };
        match self.up_to_date(path).and_then(|()| Prediction::read(path, table)) {
            Ok(prediction) => (Outcome::Scored, Some(prediction)),
            Err(cause) => (refused(&cause), None),
        }
    }

    /// Refuses a result of `ild-infer` whose weights, CT or prompt are no longer what it was made
    /// from. What somebody has changed since is that person's own.
    fn up_to_date(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        match Records::new(folder, "infer").outdated(self.case) {
            Some(input) if ild_cli::outputs::is_as_written(path) => Err(Error::refused(
                path,
                format!("a result of {} as it is", input.display()),
                "one that was made before that file changed",
                "run ild-infer again",
            )),
            _ => Ok(()),
        }
    }

    fn scored_case(
        &self,
        system: usize,
        outcome: Outcome,
        scores: CaseScores,
        patients: &CasePatients,
    ) -> ScoredCase {
        ScoredCase {
            case: self.case.clone(),
            patient: patients.of(self.case).to_owned(),
            reference_file: self.reference.clone(),
            prediction_file: self.predictions[system].cloned(),
            outcome,
            scores,
        }
    }
}

fn refused(cause: &Error) -> Outcome {
    tracing::error!("{cause}; counted as a failure");
    Outcome::Refused(cause.to_string())
}
