//! All cases of a run: what is finished is skipped, what fails is reported and the others go on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ild_cli::{Common, RunReport};
use ild_io::LabelTable;
use ild_preprocess::cohort::record::{Key, Records};
use ild_preprocess::one_line;
use serde_json::{Value, json};

use crate::one_case::{Context, seconds};
use crate::prompt::PromptSource;
use crate::{CaseFacts, CaseFile, Engine, Error, Result, Settings, find_cases, output};

/// Raised when the same settings give another result than before.
const RESULT_VERSION: u32 = 1;

/// How a case ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Segmented now.
    Done(CaseFacts),
    /// Segmented by an earlier run with the same settings and inputs.
    Skipped(CaseFacts),
    /// Not segmented, and why.
    Failed(String),
}

/// One line of the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Case.
    pub case: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Case by case, in the order of their names.
    pub rows: Vec<Row>,
    /// Failures that were refusals of an input.
    rejected: usize,
}

impl Summary {
    fn failed(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count()
    }

    /// `Err` when a case failed.
    ///
    /// # Errors
    /// [`Error::Cases`].
    pub fn verdict(&self) -> Result<()> {
        let failed = self.failed();
        if failed == 0 {
            Ok(())
        } else {
            Err(Error::Cases { failed, total: self.rows.len(), rejected: failed == self.rejected })
        }
    }

    /// The table at the end of a run.
    #[must_use]
    pub fn table(&self, settings: &Settings) -> String {
        let mut table =
            ild_cli::table(["case", "labels", "slices", "encoded", "seconds", "prompt", "output"]);
        for Row { case, outcome } in &self.rows {
            let path = settings.output.join(format!("{case}.nii.gz")).display().to_string();
            match outcome {
                Outcome::Done(facts) | Outcome::Skipped(facts) => {
                    let time = if matches!(outcome, Outcome::Done(_)) {
                        format!("{:.1}", facts.seconds)
                    } else {
                        "done before".to_owned()
                    };
                    let labels = if facts.labels.is_empty() {
                        "none".to_owned()
                    } else {
                        facts.labels.join(", ")
                    };
                    table.add_row([
                        case.clone(),
                        labels,
                        facts.slices.to_string(),
                        facts.encoded.to_string(),
                        time,
                        settings.prompt.stamp().to_owned(),
                        path,
                    ]);
                }
                Outcome::Failed(why) => {
                    table.add_row([case.as_str(), "failed", "", "", "", "", why]);
                }
            }
        }
        table.to_string()
    }
}

/// A run over all cases.
pub struct Run {
    settings: Settings,
    engine: Option<Engine>,
    labels: Option<LabelTable>,
    cases: Vec<CaseFile>,
    records: Records,
}

impl Run {
    /// Finds the cases and loads the model.
    ///
    /// # Errors
    /// When there are no cases, or the model or the label table is refused.
    pub fn new(settings: Settings, common: &Common) -> Result<Self> {
        let mut cases = find_cases(&settings.input, &settings.img_name_suffix)?;
        if let Some(folder) = &settings.cases_of {
            let wanted: BTreeSet<String> = find_cases(folder, &settings.img_name_suffix)?
                .into_iter()
                .map(|case| case.id)
                .collect();
            cases.retain(|case| wanted.contains(&case.id));
            if cases.is_empty() {
                let next = "compare the file names: a case is what stands before .npz and --img-name-suffix";
                return Err(Error::refused(
                    &settings.input,
                    format!("cases that {} holds too", folder.display()),
                    "none",
                    next,
                ));
            }
        }
        if let Some(shard) = settings.shard {
            cases = shard.of(cases);
        }
        let labels = settings.labels.as_deref().map(LabelTable::read).transpose()?;
        let engine = match (&settings.checkpoint, settings.baseline) {
            (Some(checkpoint), None) => Some(Engine::load(
                checkpoint,
                settings.model.as_deref(),
                common.device,
                settings.precision,
                settings.batch_size.map(usize::from),
            )?),
            _ => None,
        };
        let records = Records::new(&settings.output, "infer");
        Ok(Self { settings, engine, labels, cases, records })
    }

    /// Segments every case that is not finished.
    ///
    /// # Errors
    /// Only what ends the whole run: the interruption by the user. Failures of cases are in the
    /// summary.
    pub fn go(&self, force: bool, report: &mut RunReport) -> Result<Summary> {
        if self.settings.prompt == PromptSource::GroundTruth {
            println!(
                "The prompt comes from the ground truth: these results measure the model, they are no prediction for a new patient."
            );
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
        report.input(&case.path)?;
        let key = self.key(case)?;
        if !force && let Some(record) = self.records.finished::<CaseFacts>(&case.id, &key) {
            tracing::info!("{}: finished before, skipped (--force does it again)", case.id);
            return Ok(Outcome::Skipped(record.facts));
        }
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
        };
        let done = context.segment(case, &progress);
        progress.finish_and_clear();
        let mut done = done?;
        for note in &done.scan.notes {
            tracing::warn!("{}: {note}", case.id);
        }
        let files = output::write_case(&mut done, &self.settings, self.engine.as_ref())?;
        for file in &files {
            report.output(&self.settings.output.join(file));
        }
        let facts = CaseFacts {
            labels: done
                .merger
                .per_label
                .keys()
                .map(|&id| done.scan.label_table.name(id))
                .collect(),
            slices: done.scan.z_index().len(),
            encoded: done.encoded,
            seconds: seconds(start),
            notes: done.scan.notes.clone(),
        };
        tracing::info!(
            "{}: {} slices in {:.1} s ({:.2} slices/s)",
            case.id,
            facts.slices,
            facts.seconds,
            facts.slices as f64 / facts.seconds
        );
        self.records.write(&case.id, key, &files, facts.clone())?;
        Ok(Outcome::Done(facts))
    }

    /// Everything that the result of `case` depends on.
    fn key(&self, case: &CaseFile) -> Result<Key> {
        let settings = serde_json::to_value(&self.settings).map_err(anyhow::Error::new)?;
        let truth = self.settings.gt_path.as_ref().map(|place| {
            if place.is_dir() {
                place.join(format!("{}{}", case.id, self.settings.gt_name_suffix))
            } else {
                place.clone()
            }
        });
        let mut read: Vec<PathBuf> = vec![case.path.clone()];
        read.extend(truth.filter(|path| path.is_file()));
        read.extend(self.settings.prompt.file_for(&case.id)?);
        read.extend(self.settings.labels.clone());
        let hashes = read
            .iter()
            .map(|path| ild_cli::sha256_of_file(path).map_err(Error::Write))
            .collect::<Result<Vec<_>>>()?;
        let weights: Option<Value> = self.engine.as_ref().map(|engine| json!(engine.origin));
        Ok(Key::new(
            &json!({ "version": RESULT_VERSION, "settings": settings, "inputs": hashes, "weights": weights }),
            &[],
        ))
    }

    /// Adds what is true of the whole run to its report.
    pub fn describe(&self, report: &mut RunReport) {
        report.set("settings", &self.settings);
        report.set("prompt_source", self.settings.prompt.stamp());
        report.set("weights", self.engine.as_ref().map(|engine| &engine.origin));
        report.set("trained_window", self.engine.as_ref().and_then(|engine| engine.window));
    }
}
