//! `--average-last`: the mean of the weights of the last epochs, validated as an epoch is.

use crate::error::Result;
use crate::optimiser::epoch_mean::EpochMean;
use crate::run::save::AVERAGED;
use crate::run::trainer::Trainer;
use crate::watch::worst::Worst;

impl Trainer {
    /// Adds the weights of the epoch that has just ended, if it is one of the last; before the state
    /// is saved, so that both are of one moment.
    pub(crate) fn sum_up_epoch(&mut self) -> Result<()> {
        let epoch = self.progress.epochs_done;
        let wanted = self.setup.recipe.first_averaged().filter(|first| epoch >= *first);
        let Some(first) = wanted else {
            self.mean = None;
            return Ok(());
        };
        let values = self.values();
        match &mut self.mean {
            Some(mean) if mean.first >= first && mean.last() + 1 == epoch => mean.add(&values)?,
            // Also where a run goes on for more epochs than it was begun for.
            mean => *mean = Some(EpochMean::start(epoch, &values)?),
        }
        Ok(())
    }

    /// Once the last epoch is done: writes the mean, and takes it as the best weights where it
    /// validates better than every epoch.
    pub(crate) fn average(&mut self) -> Result<()> {
        let Some(mean) = &self.mean else { return Ok(()) };
        let (path, is_new) = (self.folder.averaged(), self.progress.averaged.is_none());
        if !is_new && (path.is_file() || !self.writes()) {
            return Ok(());
        }
        let epochs = [mean.first, mean.last()];
        if mean.epochs < self.setup.recipe.average_last {
            tracing::warn!(
                "the mean is of {} epochs only, {} to {}: those before were trained without --average-last {}",
                mean.epochs,
                epochs[0],
                epochs[1],
                self.setup.recipe.average_last
            );
        }
        let weights = self.with_values(mean.mean()?);
        if is_new {
            let validation = self.validate_weights(&weights, &mut Worst::default())?;
            self.progress.average(epochs, validation);
        }
        let Some(averaged) = &self.progress.averaged else { return Ok(()) };
        if self.writes() {
            let mut metadata = self.metadata(&path)?;
            metadata.insert(AVERAGED.to_owned(), format!("{}-{}", epochs[0], epochs[1]));
            weights.write_safetensors(&path, &metadata)?;
            if averaged.is_best {
                weights.write_safetensors(&self.folder.best(), &metadata)?;
            }
            self.save_state()?;
        }
        if !is_new {
            return Ok(());
        }
        self.callbacks.iter_mut().try_for_each(|callback| callback.averaged(averaged))
    }
}
