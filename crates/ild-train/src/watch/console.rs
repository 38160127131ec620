//! What a person sees while a run goes on: a bar on a terminal, one log line per epoch.

use ild_io::LabelTable;
use indicatif::ProgressBar;

use crate::error::Result;
use crate::run::progress::Averaged;
use crate::watch::callback::{Callback, Position, RunInfo};
use crate::watch::history::{EpochRecord, StepRecord, Validation};

/// Shows progress on stderr.
#[derive(Debug)]
pub struct Console {
    table: LabelTable,
    epochs: usize,
    bar: ProgressBar,
}

impl Console {
    /// Class names come from `table`.
    #[must_use]
    pub fn new(table: LabelTable) -> Self {
        Self { table, epochs: 0, bar: ProgressBar::hidden() }
    }
}

impl Console {
    /// `, valid loss …, Dice …` and what the lesion head finds.
    fn in_words(&self, validation: &Validation) -> String {
        let mut line = format!(", valid loss {:.4}, Dice", validation.loss.total());
        for (id, dice) in &validation.dice_of_class {
            line += &format!(" {} {:.3}", self.table.name(*id), dice.mean());
        }
        if let Some(head) = &validation.head {
            let any = head.any.dice().unwrap_or(f64::NAN);
            line +=
                &format!(", head loss {:.4}, without prompt {any:.3}, by class", head.loss.total());
            for (id, pixels) in &head.of_class {
                let dice = pixels.dice().unwrap_or(f64::NAN);
                line += &format!(" {} {dice:.3}", self.table.name(*id));
            }
        }
        line
    }
}

impl Callback for Console {
    fn started(&mut self, run: &RunInfo) -> Result<()> {
        self.epochs = run.epochs;
        self.bar = ild_cli::progress_bar((run.epochs * run.items_per_epoch) as u64, "slices");
        self.bar.set_position((run.epochs_done * run.items_per_epoch) as u64);
        self.bar.reset_eta();
        Ok(())
    }

    fn stepped(&mut self, step: &StepRecord, position: Position) -> Result<()> {
        self.bar.set_position(((step.epoch - 1) * position.items + position.items_done) as u64);
        self.bar.set_message(format!(
            "epoch {}/{} loss {:.4}",
            step.epoch, self.epochs, position.mean_loss
        ));
        Ok(())
    }

    fn finished_epoch(&mut self, history: &[EpochRecord]) -> Result<()> {
        let Some(epoch) = history.last() else { return Ok(()) };
        let mut line =
            format!("epoch {}/{}: train loss {:.4}", epoch.epoch, self.epochs, epoch.train.total());
        line += &epoch.validation.as_ref().map_or(String::new(), |v| self.in_words(v));
        let (speed, waiting, seconds) =
            (epoch.items_per_second, 100.0 * epoch.waiting_share, epoch.total_seconds());
        line += &format!(", {seconds:.0} s, {speed:.1} slices/s, {waiting:.0} % waiting for data");
        tracing::info!("{line}{}", if epoch.is_best { ", best so far" } else { "" });
        Ok(())
    }

    fn averaged(&mut self, averaged: &Averaged) -> Result<()> {
        let [first, last] = averaged.epochs;
        let said = averaged.validation.as_ref().map_or(String::new(), |v| self.in_words(v));
        let verdict = match (&averaged.validation, averaged.is_best) {
            (None, _) => ", without validation slices not taken as the best",
            (_, true) => ": better than every epoch, and the best weights",
            (_, false) => ": an epoch is better and stays the best",
        };
        tracing::info!("mean of the weights of epochs {first} to {last}{said}{verdict}");
        Ok(())
    }
}
