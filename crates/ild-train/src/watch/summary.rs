//! The table at the end of a run.

use crate::run::progress::Progress;
use crate::run::setup::Setup;

/// Prints the best and the last epoch, Dice of each class and how often it was drawn.
pub(crate) fn print_summary(progress: &Progress, setup: &Setup) -> crate::error::Result<()> {
    let Some(last) = progress.history.last() else { return Ok(()) };
    let best = progress.history.iter().rfind(|epoch| epoch.is_best).unwrap_or(last);
    let mut table = ild_cli::table(["", "best epoch", "last epoch", "drawn in training"]);
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    let drawn = progress.drawn();
    table.add_row([
        "epoch".to_owned(),
        best.epoch.to_string(),
        last.epoch.to_string(),
        drawn.values().sum::<usize>().to_string(),
    ]);
    table.add_row([
        "training loss".to_owned(),
        number(Some(best.train.total())),
        number(Some(last.train.total())),
        String::new(),
    ]);
    let valid =
        |epoch: &crate::EpochRecord| number(epoch.validation.as_ref().map(|v| v.loss.total()));
    table.add_row(["validation loss".to_owned(), valid(best), valid(last), String::new()]);
    let mean = |epoch: &crate::EpochRecord| {
        number(epoch.validation.as_ref().and_then(crate::Validation::mean_dice))
    };
    table.add_row([
        "validation Dice, mean of classes".to_owned(),
        mean(best),
        mean(last),
        String::new(),
    ]);
    for id in setup.label_table.classes.keys() {
        let dice = |epoch: &crate::EpochRecord| {
            number(
                epoch.validation.as_ref().and_then(|v| v.dice_of_class.get(id)).map(|d| d.mean()),
            )
        };
        let times = drawn.get(id).copied().unwrap_or_default().to_string();
        table.add_row([
            format!("  {}", setup.label_table.name(*id)),
            dice(best),
            dice(last),
            times,
        ]);
    }
    Ok(ild_cli::say(table)?)
}
