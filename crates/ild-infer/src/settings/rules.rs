//! `--prompt auto`: by which rules lesions are found, and who says so: the flag, else what was fitted
//! to the weights, else the default.

use clap::Args;
use ild_cli::Usage;
use serde::Serialize;

use super::Resolved;
use super::flags::{not_negative, share};
use crate::find::FindSettings;
use crate::prompt::{PromptKind, PromptSource};
use crate::{Engine, Result};

/// The rules that the user names.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RuleFlags {
    /// `auto`: a lesion needs a voxel of at least this probability … [default: as fitted to the
    /// weights, else 0.6]
    #[arg(long, value_name = "0..1", value_parser = share)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_high: Option<f32>,
    /// `auto`: … and is all that hangs together above this [default: as fitted, else 0.4].
    #[arg(long, value_name = "0..1", value_parser = share)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_low: Option<f32>,
    /// `auto`: smaller lesions are dropped, mL [default: as fitted, else 0.3].
    #[arg(long, value_name = "ML", value_parser = not_negative)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_smallest_ml: Option<f64>,
    /// `auto`: smaller parts of another class than what they touch take its class, mL [default: as
    /// fitted, else 8].
    #[arg(long, value_name = "ML", value_parser = not_negative)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_part_ml: Option<f64>,
    /// `auto`: classes of which less is found in a case, all lesions together, are dropped, mL
    /// [default: as fitted, else 10].
    #[arg(long, value_name = "ML", value_parser = not_negative)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_class_ml: Option<f64>,
    /// `auto`: classes less probable than this on every slice of a case name no lesion in it
    /// [default: as fitted, else 0.5].
    #[arg(long, value_name = "0..1", value_parser = share)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_presence: Option<f32>,
    /// `auto`: leave aside what was fitted to the weights (ild-fit): the defaults above count.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unfitted: bool,
}

impl RuleFlags {
    /// The flags over `otherwise`.
    #[must_use]
    pub fn over(&self, otherwise: FindSettings) -> FindSettings {
        let low = self.auto_low.unwrap_or(otherwise.low);
        FindSettings {
            high: self.auto_high.unwrap_or(otherwise.high).max(low),
            low,
            smallest_ml: self.auto_smallest_ml.unwrap_or(otherwise.smallest_ml),
            part_ml: self.auto_part_ml.unwrap_or(otherwise.part_ml),
            class_ml: self.auto_class_ml.unwrap_or(otherwise.class_ml),
            presence: self.auto_presence.unwrap_or(otherwise.presence),
        }
    }

    /// Whether every rule is named, so that nothing else can count.
    fn names_all(&self) -> bool {
        let shares = [self.auto_high, self.auto_low, self.auto_presence];
        let volumes = [self.auto_smallest_ml, self.auto_part_ml, self.auto_class_ml];
        shares.iter().all(Option::is_some) && volumes.iter().all(Option::is_some)
    }
}

impl Resolved {
    /// Takes the rules that were fitted to the weights, where lesions are found without a prompt and
    /// no flag says otherwise.
    ///
    /// # Errors
    /// Refuses weights that answer together and were fitted apart: nothing says whose rules fit their
    /// mean.
    pub fn with_fitted(mut self, engine: Option<&Engine>) -> Result<Self> {
        let flags = &self.flags.auto_rules;
        let is_automatic = self.flags.prompt == PromptSource::Own(PromptKind::Automatic);
        let Some(engine) = engine.filter(|_| is_automatic && !flags.unfitted && !flags.names_all())
        else {
            return Ok(self);
        };
        if let Some(other) = &engine.fitted_otherwise {
            return Err(crate::Error::refused(
                other,
                format!("the rules that were fitted to {}", engine.origin.checkpoint.display()),
                "other rules, or none",
                "weights that answer together have no rules of their own: --unfitted takes the defaults, or name each --auto-… rule",
            ));
        }
        let Some(fitted) = &engine.fitted else { return Ok(self) };
        self.find = flags.over(fitted.rules);
        let rules = serde_json::to_string(&self.find).unwrap_or_default();
        let over = if self.find == fitted.rules { "" } else { ", flags over them" };
        let what = match fitted.changes_something() {
            true => "rules fitted to these weights",
            false => "the default rules, to which nothing else was preferred",
        };
        tracing::info!(
            "{what} on {} validation patients ({}): {rules}{over}",
            fitted.how.patients,
            fitted.how.date
        );
        self.fitted = Some(fitted.clone());
        Ok(self)
    }

    /// What the stamp of a result says of its rules.
    #[must_use]
    pub fn rules_in_words(&self) -> String {
        let fitted = self.fitted.as_ref().filter(|fitted| fitted.changes_something());
        fitted.map_or_else(String::new, |f| format!(", rules fitted (n {})", f.how.patients))
    }
}

/// Refuses rules beside a prompt, where they would decide nothing.
pub(super) fn only_where_meant(
    flags: &RuleFlags,
    prompt: &PromptSource,
) -> std::result::Result<(), Usage> {
    let is_automatic = *prompt == PromptSource::Own(PromptKind::Automatic);
    if flags.unfitted && !is_automatic {
        return Err(Usage(
            "--unfitted is about the rules of --prompt auto, and this is another prompt: leave it out"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_what_was_fitted_and_the_higher_threshold_is_never_the_lower() {
        let fitted = FindSettings { low: 0.3, class_ml: 3.0, ..FindSettings::default() };
        let flags = RuleFlags { auto_low: Some(0.7), ..RuleFlags::default() };
        let rules = flags.over(fitted);
        assert_eq!((rules.low, rules.high, rules.class_ml), (0.7, 0.7, 3.0));
        assert_eq!(RuleFlags::default().over(fitted), fitted);
        assert!(!flags.names_all());
    }
}
