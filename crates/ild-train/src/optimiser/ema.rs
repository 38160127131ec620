//! A moving average of the weights, which often validates better than the weights themselves
//! (Polyak and Juditsky 1992).

use candle_core::{Result, Tensor, Var};

/// Averages of parameters, in the parameters' order.
#[derive(Debug)]
pub struct Ema {
    /// Share of the average that stays at each update.
    pub decay: f64,
    /// Updates so far.
    pub updates: u64,
    /// The averages.
    pub shadows: Vec<Tensor>,
}

impl Ema {
    /// Starts from the parameters as they are.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new<'a>(parameters: impl Iterator<Item = &'a Var>, decay: f64) -> Result<Self> {
        let shadows =
            parameters.map(|var| var.as_detached_tensor().copy()).collect::<Result<_>>()?;
        Ok(Self { decay, updates: 0, shadows })
    }

    /// Moves the averages towards the parameters; faster in the first steps, so that the start is
    /// forgotten.
    ///
    /// # Errors
    /// When the parameters are not those it was made of.
    pub fn update<'a>(&mut self, parameters: impl Iterator<Item = &'a Var>) -> Result<()> {
        self.updates += 1;
        let t = self.updates as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        for (shadow, var) in self.shadows.iter_mut().zip(parameters) {
            *shadow = ild_ops::lerp(shadow, &var.as_detached_tensor(), 1.0 - decay)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_average_follows_the_parameters_and_leaves_them_alone() {
        let var = Var::new(&[0f32, 10.0], &Device::Cpu).unwrap();
        let mut ema = Ema::new([&var].into_iter(), 0.9).unwrap();
        var.set(&Tensor::new(&[1f32, 10.0], &Device::Cpu).unwrap()).unwrap();
        let mut expected = 0.0;
        for t in 1..=50 {
            ema.update([&var].into_iter()).unwrap();
            let decay = 0.9f64.min((1.0 + f64::from(t)) / (10.0 + f64::from(t)));
            expected = decay * expected + (1.0 - decay);
        }
        let average = ema.shadows[0].to_vec1::<f32>().unwrap();
        assert!(
            (f64::from(average[0]) - expected).abs() < 1e-6 && (average[1] - 10.0).abs() < 1e-6,
            "{average:?}"
        );
        assert_eq!(var.to_vec1::<f32>().unwrap(), [1.0, 10.0]);
    }
}
