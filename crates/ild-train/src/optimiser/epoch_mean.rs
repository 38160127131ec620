//! The mean of the weights that successive epochs end with (stochastic weight averaging, Izmailov et
//! al. 2018).
//!
//! A plain mean is right because nothing in SAM 2 or the lesion head counts while it learns: layer
//! norms have no running statistics, and what is frozen is the same in every epoch.

use candle_core::{Result, Tensor};

/// A running sum over epochs, in the parameters' order.
#[derive(Clone, Debug)]
pub struct EpochMean {
    /// The first epoch in it, from 1.
    pub first: usize,
    /// Epochs in it, one after the other.
    pub epochs: usize,
    /// Their sums, f32.
    pub sums: Vec<Tensor>,
}

impl EpochMean {
    /// Of the epoch `first` alone.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn start(first: usize, values: &[Tensor]) -> Result<Self> {
        let sums = values.iter().map(Tensor::copy).collect::<Result<_>>()?;
        Ok(Self { first, epochs: 1, sums })
    }

    /// Adds the next epoch.
    ///
    /// # Errors
    /// When the values are not of the same parameters.
    pub fn add(&mut self, values: &[Tensor]) -> Result<()> {
        self.epochs += 1;
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum = (&*sum + value)?;
        }
        Ok(())
    }

    /// The last epoch in it.
    #[must_use]
    pub fn last(&self) -> usize {
        self.first + self.epochs - 1
    }

    /// The means.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn mean(&self) -> Result<Vec<Tensor>> {
        self.sums.iter().map(|sum| sum / self.epochs as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_mean_is_the_mean_and_later_epochs_do_not_reach_back() {
        let value = |v: f32| [Tensor::new(&[v, 2.0 * v], &Device::Cpu).unwrap()];
        let mut mean = EpochMean::start(8, &value(1.0)).unwrap();
        mean.add(&value(4.0)).unwrap();
        mean.add(&value(7.0)).unwrap();
        assert_eq!((mean.first, mean.last()), (8, 10));
        assert_eq!(mean.mean().unwrap()[0].to_vec1::<f32>().unwrap(), [4.0, 8.0]);
        assert_eq!(mean.sums[0].to_vec1::<f32>().unwrap(), [12.0, 24.0]);
    }
}
