//! The files a person looks at during and after a run: `history.csv`, `steps.csv`, `loss.png`,
//! TensorBoard events.

use std::path::PathBuf;

use ild_io::LabelTable;
use ild_metrics::chart::{Series, line_chart};

use crate::error::{Error, Result};
use crate::watch::callback::{Callback, Position, RunInfo};
use crate::watch::history::{EpochRecord, StepRecord, write_history};
use crate::watch::step_log::StepLog;
use crate::watch::tensorboard::EventFile;

/// Writes the files as the run goes on.
#[derive(Debug)]
pub struct RunFiles {
    folder: PathBuf,
    table: LabelTable,
    open: Option<(StepLog, EventFile)>,
}

impl RunFiles {
    /// Names of the Dice columns come from `table`.
    #[must_use]
    pub fn new(table: LabelTable) -> Self {
        Self { folder: PathBuf::new(), table, open: None }
    }

    fn write_history(&self, history: &[EpochRecord]) -> Result<()> {
        write_history(&self.folder.join("history.csv"), history, &self.table)?;
        loss_curve(&self.folder.join("loss.png"), history)
    }
}

impl Callback for RunFiles {
    fn started(&mut self, run: &RunInfo) -> Result<()> {
        self.folder = run.folder.to_owned();
        let steps = StepLog::open(&self.folder.join("steps.csv"), run.steps_done)?;
        self.open = Some((steps, EventFile::create(&self.folder.join("tensorboard"))?));
        // A run that was killed after its state was saved has not written these.
        if run.history.is_empty() { Ok(()) } else { self.write_history(run.history) }
    }

    fn stepped(&mut self, step: &StepRecord, _: Position) -> Result<()> {
        let Some((steps, events)) = &mut self.open else { return Ok(()) };
        steps.push(step)?;
        events.scalars(
            step.step,
            [
                ("step/loss", step.loss),
                ("step/lr", step.lr),
                ("step/gradient_norm", step.gradient_norm),
            ],
        )
    }

    fn finished_epoch(&mut self, history: &[EpochRecord]) -> Result<()> {
        self.write_history(history)?;
        let (Some((_, events)), Some(epoch)) = (&mut self.open, history.last()) else {
            return Ok(());
        };
        let mut values = vec![
            ("train/loss".to_owned(), epoch.train.total()),
            ("train/dice_loss".to_owned(), epoch.train.dice()),
            ("train/bce".to_owned(), epoch.train.bce()),
            ("speed/items_per_second".to_owned(), epoch.items_per_second),
            ("speed/waiting_share".to_owned(), epoch.waiting_share),
        ];
        if let Some(validation) = &epoch.validation {
            values.push(("valid/loss".to_owned(), validation.loss.total()));
            values.extend(validation.mean_dice().map(|dice| ("valid/dice".to_owned(), dice)));
            let classes = validation.dice_of_class.iter();
            values.extend(
                classes.map(|(id, dice)| {
                    (format!("valid/dice/{}", self.table.name(*id)), dice.mean())
                }),
            );
        }
        events.scalars(epoch.epoch as u64, values.iter().map(|(tag, value)| (tag.as_str(), *value)))
    }
}

/// Training and validation loss over epochs, as PNG or SVG.
///
/// # Errors
/// When the picture cannot be drawn or written.
pub fn loss_curve(path: &std::path::Path, history: &[EpochRecord]) -> Result<()> {
    let line = |name: &str, value: &dyn Fn(&EpochRecord) -> Option<f64>| Series {
        name: name.to_owned(),
        points: history
            .iter()
            .filter_map(|epoch| value(epoch).map(|loss| (epoch.epoch as f64, loss)))
            .collect(),
    };
    let mut series = vec![line("training", &|epoch| Some(epoch.train.total()))];
    if history.iter().any(|epoch| epoch.validation.is_some()) {
        series.push(line("validation", &|epoch| epoch.validation.as_ref().map(|v| v.loss.total())));
        series.push(line("validation Dice", &|epoch| {
            epoch.validation.as_ref().and_then(|v| v.mean_dice())
        }));
    }
    let drawn =
        line_chart(path, "Loss (Dice + cross-entropy) and validation Dice", "epoch", "", &series);
    drawn.map_err(|source| Error::Picture { path: path.to_owned(), source: Box::new(source) })
}
