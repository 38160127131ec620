//! `training.html`: the run for a person who looks in on it, at any time and without a network.

use std::io::Write;
use std::path::PathBuf;

use ild_io::LabelTable;
use ild_metrics::chart::{Bar, Chart, Marks, Series};
use ild_metrics::report::page::{Cell, LegendEntry, Page, Picture, Table, Tile};
use ild_metrics::report::png_picture;

use crate::error::{Error, Result};
use crate::run::progress::Averaged;
use crate::run::recipe::Recipe;
use crate::watch::callback::{Callback, Position, RunInfo};
use crate::watch::history::{EpochRecord, HeadScore, Overlap, StepRecord, Validation};
use crate::watch::step_log;
use crate::watch::warnings::warnings;
use crate::watch::worst::Worst;

/// Name of the page in the run folder.
pub const PAGE: &str = "training.html";
/// While the run goes on, a browser asks for the page again after so many seconds.
const REFRESH_SECONDS: u32 = 20;
/// Points of a curve over steps; more of them are averaged.
const POINTS: usize = 400;

/// Writes the page as the run goes on.
pub struct RunPage {
    folder: PathBuf,
    table: LabelTable,
    recipe: Recipe,
    model: String,
    epochs: usize,
    history: Vec<EpochRecord>,
    steps: Vec<StepRecord>,
    worst: Worst,
    averaged: Option<Averaged>,
}

impl RunPage {
    /// Of a run of `model` by `recipe`; classes are called as in `table`.
    #[must_use]
    pub fn new(model: String, recipe: Recipe, table: LabelTable) -> Self {
        Self {
            folder: PathBuf::new(),
            epochs: recipe.epochs,
            table,
            recipe,
            model,
            history: Vec::new(),
            steps: Vec::new(),
            worst: Worst::default(),
            averaged: None,
        }
    }

    fn write(&self, is_over: bool) -> Result<()> {
        let html = self.page(is_over)?.html().map_err(|source| self.unwritten(source))?;
        let path = self.folder.join(PAGE);
        Ok(ild_cli::write_atomic_unsynced(&path, |file| file.write_all(html.as_bytes()))?)
    }

    fn unwritten(&self, source: ild_metrics::Error) -> Error {
        Error::Picture { path: self.folder.join(PAGE), source: Box::new(source) }
    }

    fn page(&self, is_over: bool) -> Result<Page> {
        let done = self.history.len();
        let state = match (is_over, done) {
            (true, _) => format!("finished after {done} of {} epochs", self.epochs),
            (false, 0) => format!("epoch 1 of {} is running", self.epochs),
            (false, _) => format!("{done} of {} epochs done", self.epochs),
        };
        let last_epoch = self.steps.last().map_or(0, |step| step.epoch);
        let of_last: Vec<StepRecord> =
            self.steps.iter().filter(|step| step.epoch == last_epoch).copied().collect();
        let notices = warnings(&self.history, &of_last, self.recipe.clip_norm, &self.table);
        Ok(Page {
            title: format!("Training of {}", self.model),
            subtitle: state,
            refresh_seconds: (!is_over).then_some(REFRESH_SECONDS),
            tiles: self.tiles(),
            notices,
            tables: self.classes().into_iter().collect(),
            charts: self.charts()?,
            charts_title: "Curves".to_owned(),
            charts_open: true,
            pictures: self.pictures(),
            pictures_note: "Where the last validation went worst: ground truth dashed, answer solid, box white.".to_owned(),
            legend: self.legend(),
            meaning: self.meaning(),
            facts: self.facts(),
            ..Page::default()
        })
    }

    fn meaning(&self) -> Vec<String> {
        let mut lines = vec![
            "Dice here is of validation slices, each lesion asked for by its box, and of all slices without any prompt where the weights have a lesion head. \
             It chooses the best epoch and says nothing about new patients: that is what test patients are for."
                .to_owned(),
        ];
        lines.extend(self.averaged.as_ref().map(|averaged| {
            let [prompted, automatic] = dice_of(averaged.validation.as_ref());
            let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.3}"));
            let [first, last] = averaged.epochs;
            let best = if averaged.is_best { "is" } else { "is not" };
            format!(
                "The mean of the weights of epochs {first} to {last} (averaged.safetensors) has a Dice of {} by box and {} without a prompt; it {best} the best.",
                number(prompted),
                number(automatic)
            )
        }));
        lines
    }

    fn tiles(&self) -> Vec<Tile> {
        let Some(last) = self.history.last() else { return Vec::new() };
        let best = self.history.iter().rfind(|epoch| epoch.is_best);
        let share = |name: &str, value: Option<f64>, note: String| {
            let number = value.map_or("–".to_owned(), |value| format!("{value:.3}"));
            let at = value.map(|value| 100.0 * value.clamp(0.0, 1.0));
            Tile { name: name.to_owned(), number, color: ACCENT.to_owned(), at, span: None, note }
        };
        let of = |epoch: Option<&EpochRecord>| {
            dice_of(epoch.and_then(|epoch| epoch.validation.as_ref()))
        };
        let ([prompted, automatic], [prompted_best, automatic_best]) = (of(Some(last)), of(best));
        let best_epoch = best.map_or(0, |epoch| epoch.epoch);
        let note = |value: Option<f64>| {
            value.map_or(String::new(), |value| format!("best epoch {best_epoch}: {value:.3}"))
        };
        let left = self.epochs.saturating_sub(self.history.len());
        let seconds = self.history.iter().map(EpochRecord::total_seconds).sum::<f64>();
        let per_epoch = seconds / self.history.len() as f64;
        let time = Tile {
            name: "time per epoch".to_owned(),
            number: format!("{per_epoch:.0} s"),
            color: ACCENT.to_owned(),
            at: None,
            span: None,
            note: format!(
                "{:.1} slices a second, {:.0} % waiting; {:.0} min for the {left} epochs left",
                last.items_per_second,
                100.0 * last.waiting_share,
                per_epoch * left as f64 / 60.0
            ),
        };
        let mut tiles = vec![share("Dice, prompted by box", prompted, note(prompted_best))];
        if last.train_head.is_some() {
            tiles.push(share("Dice, without a prompt", automatic, note(automatic_best)));
        }
        tiles.push(time);
        tiles
    }

    /// The last epoch class by class, and how often each was drawn in all.
    fn classes(&self) -> Option<Table> {
        let last = self.history.last()?;
        let validation = last.validation.as_ref();
        let number =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
        let rows = self.table.classes.keys().map(|&id| {
            let prompted = validation.and_then(|v| v.dice_of_class.get(&id));
            let head = validation.and_then(|v| v.head.as_ref());
            let automatic = head.and_then(|head| head.of_class.get(&id)).and_then(Overlap::dice);
            let drawn: usize = self.history.iter().filter_map(|epoch| epoch.drawn.get(&id)).sum();
            vec![
                Cell::new(self.table.name(id)).with_color(self.table.color(id)),
                Cell::new(number(prompted.map(|dice| dice.mean()))),
                Cell::new(prompted.map_or(0, |dice| dice.masks).to_string()),
                Cell::new(number(automatic)),
                Cell::new(drawn.to_string()),
            ]
        });
        Some(Table {
            title: format!("Classes, epoch {}", last.epoch),
            note: "Dice on validation slices. Without a prompt, pixels of all slices are counted together.".to_owned(),
            heads: ["class", "Dice, by box", "lesions asked", "Dice, no prompt", "drawn in all"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows.collect(),
        })
    }

    fn charts(&self) -> Result<Vec<String>> {
        let over = |value: fn(&EpochRecord) -> Option<f64>| -> Vec<(f64, f64)> {
            self.history.iter().filter_map(|e| Some((e.epoch as f64, value(e)?))).collect()
        };
        let line = |name: &str, points: Vec<(f64, f64)>| Series { name: name.to_owned(), points };
        let valid = |e: &EpochRecord| e.validation.as_ref().map(|v| v.loss.total());
        let mut loss = vec![
            line("training", over(|e| Some(e.train.total()))),
            line("validation", over(valid)),
        ];
        loss.push(line("training, head", over(|e| e.train_head.map(|head| head.total()))));
        loss.push(line(
            "validation, head",
            over(|e| Some(e.validation.as_ref()?.head.as_ref()?.loss.total())),
        ));
        let by_class = self.table.classes.keys().map(|&id| {
            let of = |e: &EpochRecord| Some(e.validation.as_ref()?.dice_of_class.get(&id)?.mean());
            let points =
                self.history.iter().filter_map(|e| Some((e.epoch as f64, of(e)?))).collect();
            line(&self.table.name(id), points)
        });
        let without = self.table.classes.keys().map(|&id| {
            let of = |e: &EpochRecord| {
                e.validation.as_ref()?.head.as_ref()?.of_class.get(&id).and_then(Overlap::dice)
            };
            let points =
                self.history.iter().filter_map(|e| Some((e.epoch as f64, of(e)?))).collect();
            line(&self.table.name(id), points)
        });
        let of_steps = |value: fn(&StepRecord) -> f64| averaged(&self.steps, value);
        let drawn = self.table.classes.keys().map(|&id| {
            let n: usize = self.history.iter().filter_map(|epoch| epoch.drawn.get(&id)).sum();
            Bar { name: self.table.name(id), value: Some(n as f64) }
        });
        let lines = |title: &str, x: &str, y: &str, series: Vec<Series>| Chart {
            title: title.to_owned(),
            x_label: x.to_owned(),
            y_label: y.to_owned(),
            marks: Marks::Lines(series.into_iter().filter(|s| !s.points.is_empty()).collect()),
        };
        let charts = [
            lines("Loss", "epoch", "loss", loss),
            lines("Dice by class, prompted by box", "epoch", "Dice", by_class.collect()),
            lines("Dice by class, without a prompt", "epoch", "Dice", without.collect()),
            lines("Loss of the steps", "step", "loss", vec![line("loss", of_steps(|s| s.loss))]),
            lines(
                "Learning rate",
                "step",
                "learning rate",
                vec![line("learning rate", of_steps(|s| s.lr))],
            ),
            lines(
                "Gradient before clipping",
                "step",
                "length",
                vec![line("length", of_steps(|s| s.gradient_norm))],
            ),
            lines(
                "Seconds an epoch",
                "epoch",
                "s",
                vec![line("training and validation", over(|e| Some(e.total_seconds())))],
            ),
            Chart {
                title: "Drawn for training".to_owned(),
                x_label: "times".to_owned(),
                y_label: String::new(),
                marks: Marks::Bars { bars: drawn.collect(), mean_line: true },
            },
        ];
        let is_empty =
            |chart: &Chart| matches!(&chart.marks, Marks::Lines(series) if series.is_empty());
        let shown = charts.iter().filter(|chart| !is_empty(chart));
        shown.map(|chart| chart.inline_svg().map_err(|source| self.unwritten(source))).collect()
    }

    fn pictures(&self) -> Vec<Picture> {
        let caption = |slice: &str, label: u8, dice: f64| {
            format!("{slice}, {}: Dice {dice:.2}", self.table.name(label))
        };
        self.worst
            .slices()
            .iter()
            .map(|w| png_picture(&w.draw(&self.table), caption(&w.slice, w.label, w.dice)))
            .collect()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let entry = |&id: &u8| {
            let [r, g, b] = self.table.color(id);
            LegendEntry { name: self.table.name(id), color: format!("rgb({r} {g} {b})") }
        };
        self.table.classes.keys().map(entry).collect()
    }

    fn facts(&self) -> Vec<(String, String)> {
        let recipe = &self.recipe;
        [
            ("model", self.model.clone()),
            ("learning rate", format!("{:e}", recipe.lr)),
            ("slices per step", recipe.items_per_step().to_string()),
            (
                "gradient clipped at",
                if recipe.clip_norm > 0.0 {
                    recipe.clip_norm.to_string()
                } else {
                    "never".to_owned()
                },
            ),
            ("ild-train", env!("CARGO_PKG_VERSION").to_owned()),
            (
                "all settings",
                "config.toml in the same folder; all numbers: history.csv, steps.csv".to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Dice by box, and without a prompt.
fn dice_of(validation: Option<&Validation>) -> [Option<f64>; 2] {
    let head = validation.and_then(|validation| validation.head.as_ref());
    [validation.and_then(Validation::mean_dice), head.and_then(HeadScore::mean_dice)]
}

/// The page's own accent.
const ACCENT: &str = "var(--accent)";

/// At most [`POINTS`] means of neighbouring steps.
fn averaged(steps: &[StepRecord], value: fn(&StepRecord) -> f64) -> Vec<(f64, f64)> {
    let size = steps.len().div_ceil(POINTS).max(1);
    let mean = |part: &[StepRecord]| {
        let at = part.iter().map(|step| step.step as f64).sum::<f64>() / part.len() as f64;
        (at, part.iter().map(value).sum::<f64>() / part.len() as f64)
    };
    steps.chunks(size).map(mean).collect()
}

impl Callback for RunPage {
    fn started(&mut self, run: &RunInfo) -> Result<()> {
        self.folder = run.folder.to_owned();
        self.epochs = run.epochs;
        self.history = run.history.to_vec();
        self.steps = step_log::read(&run.folder.join("steps.csv"), run.steps_done);
        self.write(false)
    }

    fn stepped(&mut self, step: &StepRecord, _: Position) -> Result<()> {
        self.steps.push(*step);
        Ok(())
    }

    fn validated(&mut self, worst: &Worst) -> Result<()> {
        self.worst = worst.clone();
        Ok(())
    }

    fn finished_epoch(&mut self, history: &[EpochRecord]) -> Result<()> {
        self.history = history.to_vec();
        self.write(false)
    }

    fn averaged(&mut self, averaged: &Averaged) -> Result<()> {
        self.averaged = Some(averaged.clone());
        Ok(())
    }

    fn ended(&mut self) -> Result<()> {
        self.write(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_are_drawn_as_few_means() {
        let steps: Vec<StepRecord> = (1..=1000)
            .map(|step| StepRecord {
                step,
                epoch: 1,
                loss: step as f64,
                lr: 0.0,
                gradient_norm: 0.0,
            })
            .collect();
        let points = averaged(&steps, |step| step.loss);
        assert_eq!(points.len(), 334);
        assert_eq!(points[0], (2.0, 2.0));
        assert_eq!(averaged(&steps[..3], |step| step.loss).len(), 3);
        assert!(averaged(&[], |step| step.loss).is_empty());
    }
}
