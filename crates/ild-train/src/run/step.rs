//! One optimiser step: the gradients of its batches, put together and applied.

use ild_model::lesion_head;

use crate::data::batch::Batch;
use crate::data::dataset::Sample;
use crate::error::Result;
use crate::optimiser::gradients::Gradients;
use crate::run::objective::{Losses, Objective};
use crate::run::trainer::Trainer;
use crate::watch::history::StepRecord;

impl Trainer {
    /// One optimiser step on `items` items, of which `samples` are this process's own; the
    /// gradients of its batches are averaged.
    pub(crate) fn step(&mut self, samples: &[Sample], items: usize) -> Result<StepRecord> {
        let mut losses = Losses::default();
        let mut sum: Option<Gradients> = None;
        for batch in samples.chunks(self.setup.recipe.batch_size) {
            let share = batch.len() as f64 / items as f64;
            let gradients = self.gradients_of(batch, &mut losses)?.scaled(share)?;
            sum = Some(match sum {
                None => gradients,
                Some(sum) => sum.plus(gradients)?,
            });
        }
        let mut drawn = vec![0.0; 256];
        let asked = samples.iter().flat_map(|sample| &sample.prompts);
        asked.for_each(|prompt| drawn[usize::from(prompt.label)] += 1.0);
        drawn[0] = 0.0; // questions about nothing
        let gradients = self.together(sum, &mut losses, &mut drawn)?;
        let loss = losses.prompts;
        self.require_finite("the training loss", loss.total())?;
        self.require_finite("the lesion head's loss", losses.head.total())?;
        let lr = self.schedule.at(self.progress.steps_done);
        let gradient_norm = self.update(gradients, lr)?;
        self.count(items, &drawn, losses);
        Ok(StepRecord {
            step: self.progress.steps_done,
            epoch: self.progress.epochs_done + 1,
            loss: loss.total(),
            lr,
            gradient_norm,
        })
    }

    /// The sums of this step over all processes.
    fn together(
        &self,
        own: Option<Gradients>,
        losses: &mut Losses,
        drawn: &mut [f64],
    ) -> Result<Gradients> {
        let own = own.unwrap_or_else(|| Gradients::none(self.parameters.len()));
        let peers = &*self.setup.peers;
        if peers.count() == 1 {
            return Ok(own);
        }
        losses.prompts.sum_over(peers);
        losses.head.sum_over(peers);
        peers.sum_f64(drawn);
        Ok(own.sum_over(self.parameters.iter().map(|(_, var)| var), peers)?)
    }

    /// Forward and backward pass over one batch; adds its losses to `loss`.
    fn gradients_of(&self, samples: &[Sample], losses: &mut Losses) -> Result<Gradients> {
        let batch = Batch::new(samples, self.head.as_ref(), &self.setup.device)?;
        let mut store =
            self.objective().backward(&self.model, self.memory.as_ref(), &batch, losses)?;
        if let Some(aside) = &self.aside {
            store.extend(aside.take())?;
        }
        Ok(Gradients::take(&mut store, self.parameters.iter())?)
    }

    fn objective(&self) -> Objective {
        let recipe = &self.setup.recipe;
        Objective {
            scores: !recipe.parity,
            head_weight: self.head.as_ref().map(|_| recipe.head_weight),
            head_gradient: recipe.head_gradient,
        }
    }

    /// One optimiser step; returns the length of the gradient of SAM 2's own parameters.
    ///
    /// The lesion head, whose parameters come last, has its own learning rate on the same schedule
    /// and its own clipping: it does not touch the other parameters in any way.
    fn update(&mut self, gradients: Gradients, lr: f64) -> Result<f64> {
        let names = self.parameters.iter().map(|(name, _)| name);
        let own = names.take_while(|name| !name.starts_with(lesion_head::PREFIX)).count();
        let (ours, head) = gradients.split(own);
        let norm = ours.norm()?;
        self.require_finite("the gradient", norm)?;
        let head_norm = head.norm()?;
        self.require_finite("the lesion head's gradient", head_norm)?;
        let limit = self.setup.recipe.clip_norm;
        let clip = |gradients: Gradients, norm: f64| {
            if limit > 0.0 { gradients.clipped(norm, limit) } else { Ok(gradients) }
        };
        let gradients = clip(ours, norm)?.followed_by(clip(head, head_norm)?);
        let head_lr = lr / self.setup.recipe.lr * self.setup.recipe.head_lr;
        let rate = |i: usize| if i < own { lr } else { head_lr };
        self.optimizer.step_each(rate, gradients.as_slice())?;
        if let Some(ema) = &mut self.ema {
            ema.update(self.parameters.iter().map(|(_, var)| var))?;
        }
        Ok(norm)
    }

    fn count(&mut self, items: usize, drawn: &[f64], losses: Losses) {
        self.progress.steps_done += 1;
        let running = &mut self.progress.running;
        running.items_done += items;
        running.loss.merge(losses.prompts);
        running.head.merge(losses.head);
        for (label, &times) in (0..=u8::MAX).zip(drawn).filter(|&(_, &times)| times > 0.0) {
            *running.drawn.entry(label).or_default() += times as usize;
        }
    }
}
