//! The learning rate at each optimiser step.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Not at all: the reference's recipe.
    #[default]
    Constant,
    /// Half a cosine, SGDR without restarts (Loshchilov and Hutter 2017, eq. 5).
    Cosine,
    /// `(1 − t)^power`, as nnU-Net does with power 0.9.
    Poly,
}

/// A linear warm-up followed by a decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Learning rate at the end of the warm-up.
    pub peak: f64,
    /// Learning rate at the end of the run, as a share of `peak`; not used by [`Decay::Constant`].
    pub final_share: f64,
    /// Steps of the warm-up.
    pub warmup_steps: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Shape after the warm-up.
    pub decay: Decay,
    /// Exponent of [`Decay::Poly`].
    pub poly_power: f64,
}

impl Schedule {
    /// Learning rate of optimiser step `step`, counted from 0.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        let length = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let done = ((step - self.warmup_steps) as f64 / length as f64).min(1.0);
        let left = match self.decay {
            Decay::Constant => return self.peak,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Decay::Poly => (1.0 - done).powf(self.poly_power),
        };
        self.peak * (self.final_share + (1.0 - self.final_share) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(decay: Decay) -> Schedule {
        Schedule {
            peak: 1e-3,
            final_share: 0.1,
            warmup_steps: 9,
            total_steps: 109,
            decay,
            poly_power: 0.9,
        }
    }

    #[test]
    fn the_warm_up_is_linear_and_reaches_the_peak() {
        let s = schedule(Decay::Cosine);
        assert!((s.at(0) - 1e-4).abs() < 1e-15);
        assert!((s.at(4) - 5e-4).abs() < 1e-15);
        assert_eq!(s.at(9), 1e-3);
    }

    #[test]
    fn decays_end_at_the_final_share_and_stay_there() {
        for decay in [Decay::Cosine, Decay::Poly] {
            let s = schedule(decay);
            assert!((s.at(109) - 1e-4).abs() < 1e-12, "{decay:?}");
            assert_eq!(s.at(5000), s.at(109));
            assert!((9..108).all(|step| s.at(step + 1) < s.at(step)), "{decay:?} must fall");
        }
        assert!((schedule(Decay::Cosine).at(59) - 5.5e-4).abs() < 1e-12);
    }

    #[test]
    fn constant_without_warm_up_is_the_reference() {
        let s = Schedule { warmup_steps: 0, ..schedule(Decay::Constant) };
        assert!((0..200).all(|step| s.at(step) == 1e-3));
    }
}
