//! What the flags come to: defaults that depend on other flags, and combinations that cannot be
//! meant.

use std::path::PathBuf;

use ild_cli::Usage;
use ild_preprocess::Windowing;

use super::rules::only_where_meant;
use super::{Checkpoints, Settings};
use crate::find::{FindSettings, Fitted};
use crate::prompt::{PromptKind, PromptSource};
use crate::propagate::{GapRule, Propagation};
use crate::{Baseline, JourneySettings};

/// A journey is given up after this many empty answers in a row, unless told otherwise.
const STOP_AFTER: usize = 3;
/// Smaller pieces of a label are islands, unless told otherwise, mL.
const SMALLEST_ML: f64 = 0.1;

/// How a case is segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By the model.
    Model,
    /// Without one.
    Baseline(Baseline),
}

/// The decisions of a run.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// By what.
    pub method: Method,
    /// How boxes travel.
    pub journey: JourneySettings,
    /// Pieces below this are dropped, mL; 0: none.
    pub smallest_ml: f64,
    /// By which rules lesions are found without a prompt.
    pub find: FindSettings,
    /// The rules that were fitted to the weights, where they count ([`Resolved::with_fitted`]).
    pub fitted: Option<Fitted>,
    /// The window typed by the user.
    pub window: Option<Windowing>,
    /// Where labels of a CT lie.
    pub truth: Option<TruthPlace>,
    /// The flags themselves, for what needs no deciding and for the record.
    pub flags: Settings,
}

/// `--gt-path` and `--gt-name-suffix`.
#[derive(Clone, Debug)]
pub struct TruthPlace {
    path: PathBuf,
    suffix: String,
}

impl TruthPlace {
    /// The label file of `case`, whether or not it is there.
    #[must_use]
    pub fn file(&self, case: &str) -> PathBuf {
        if self.path.is_dir() {
            self.path.join(format!("{case}{}", self.suffix))
        } else {
            self.path.clone()
        }
    }
}

impl Settings {
    /// Decides.
    ///
    /// # Errors
    /// Flags that contradict one another; says which.
    pub fn resolve(self) -> Result<Resolved, Usage> {
        let method = self.baseline.map_or(Method::Model, Method::Baseline);
        if method != Method::Model && self.prompt != PromptSource::Own(PromptKind::GroundTruth) {
            return Err(Usage(
                "--baseline box-fill fills the boxes of the ground truth: it goes with --prompt gt only"
                    .to_owned(),
            ));
        }
        only_where_meant(&self.auto_rules, &self.prompt)?;
        if self.propagate == Propagation::Memory {
            self.memory_is_meant()?;
        }
        if self.save_uncertainty && !self.has_several_views() {
            return Err(Usage(
                "--save-uncertainty says how far apart several answers are: name several weights, or add --mirror"
                    .to_owned(),
            ));
        }
        let journey = JourneySettings {
            bbox_shift: self.bbox_shift,
            gap: self.gap.unwrap_or(if self.parity { GapRule::Carry } else { GapRule::Near }),
            stop_after: match self.stop_after {
                Some(0) => None,
                None if self.parity => None,
                other => Some(other.unwrap_or(STOP_AFTER)),
            },
        };
        let truth = self
            .gt_path
            .clone()
            .map(|path| TruthPlace { path, suffix: self.gt_name_suffix.clone() });
        Ok(Resolved {
            method,
            journey,
            smallest_ml: self.smallest_ml.unwrap_or(if self.parity { 0.0 } else { SMALLEST_ML }),
            find: self.auto_rules.over(FindSettings::default()),
            fitted: None,
            window: self.typed_window(),
            truth,
            flags: self,
        })
    }

    fn has_several_views(&self) -> bool {
        self.mirror || self.checkpoint.iter().flat_map(Checkpoints::files).count() > 1
    }

    /// Combinations in which no memory would be asked.
    fn memory_is_meant(&self) -> Result<(), Usage> {
        let refuse = |words: &str| Err(Usage(format!("--propagate memory: {words}")));
        if self.has_several_views() {
            return refuse(
                "it remembers what one model saw; give one --checkpoint, and no --mirror",
            );
        }
        if self.parity {
            return refuse("the older scripts, which --parity follows, have none; leave one out");
        }
        if self.prompt == PromptSource::Own(PromptKind::Automatic) {
            return refuse(
                "with --prompt auto each slice is answered for itself and nothing is propagated",
            );
        }
        Ok(())
    }

    fn typed_window(&self) -> Option<Windowing> {
        match (self.window, self.window_level, self.window_width) {
            (Some(window), ..) => Some(window),
            (None, Some(level_hu), Some(width_hu)) => {
                Some(Windowing::Grey(ild_io::Window { level_hu, width_hu }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn settings(more: &[&str]) -> Settings {
        let words = ["ild-infer", "--input", "a", "--checkpoint", "b", "--output", "c", "--prompt"];
        Cli::try_parse_from(words.iter().chain(more)).unwrap_or_else(|e| panic!("{e}")).settings
    }

    #[test]
    fn parity_is_the_older_scripts_way_unless_a_flag_says_otherwise() {
        let ours = settings(&["gt"]).resolve().unwrap();
        assert_eq!((ours.journey.gap, ours.journey.stop_after), (GapRule::Near, Some(3)));
        assert!(ours.smallest_ml > 0.0);
        let theirs = settings(&["gt", "--parity"]).resolve().unwrap();
        assert_eq!((theirs.journey.gap, theirs.journey.stop_after), (GapRule::Carry, None));
        assert_eq!(theirs.smallest_ml, 0.0);
        let mixed = settings(&["gt", "--parity", "--stop-after", "4"]).resolve().unwrap();
        assert_eq!(mixed.journey.stop_after, Some(4));
    }

    #[test]
    fn filled_boxes_are_those_of_the_ground_truth_and_nothing_else() {
        assert!(settings(&["gt", "--baseline", "box-fill"]).resolve().is_ok());
        for prompt in ["auto", "heuristic", "gt-empty", "boxes.json"] {
            let refused = settings(&[prompt, "--baseline", "box-fill"]).resolve();
            assert!(refused.is_err_and(|usage| usage.0.contains("--prompt gt")), "{prompt}");
        }
    }

    #[test]
    fn memory_is_refused_where_it_would_not_be_asked() {
        assert!(settings(&["gt", "--propagate", "memory"]).resolve().is_ok());
        for words in [&["gt", "--parity"][..], &["auto"]] {
            let words = [words, &["--propagate", "memory"]].concat();
            let refused = settings(&words).resolve();
            assert!(refused.is_err_and(|usage| usage.0.starts_with("--propagate memory")));
        }
    }

    #[test]
    fn several_answers_are_asked_for_by_several_weights_or_the_mirror_image() {
        let several = ["gt", "--checkpoint", "a,b"];
        for words in [&["gt", "--mirror"][..], &several] {
            let uncertain = settings(&[words, &["--save-uncertainty"]].concat());
            assert!(uncertain.resolve().is_ok(), "{words:?}");
            let memory = settings(&[words, &["--propagate", "memory"]].concat()).resolve();
            assert!(memory.is_err_and(|usage| usage.0.contains("one model")), "{words:?}");
        }
        let one = settings(&["gt", "--save-uncertainty"]).resolve();
        assert!(one.is_err_and(|usage| usage.0.contains("--mirror")));
    }

    #[test]
    fn shares_lie_between_0_and_1() {
        for (flag, value) in [
            ("--heuristic-min-iou", "1.1"),
            ("--heuristic-min-stability", "-0.1"),
            ("--heuristic-min-stability", "nan"),
        ] {
            let words = ["x", "--input", "a", "--checkpoint", "b", "--output", "c"];
            let more = ["--prompt", "heuristic", &format!("{flag}={value}")].map(str::to_owned);
            let parsed = Cli::try_parse_from(words.map(str::to_owned).into_iter().chain(more));
            assert!(parsed.is_err_and(|e| e.to_string().contains("from 0 to 1")), "{flag} {value}");
        }
    }
}
