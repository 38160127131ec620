//! Going on from a checkpoint of the reference's script: `{"model", "optimizer", "epoch"}`.

use std::path::Path;

use candle_core::DType;
use ild_model::Weights;
use ild_model::checkpoint::{TorchFile, Value};
use ild_model::lesion_head;

use crate::error::{Error, Result};
use crate::optimiser::adamw::Moments;
use crate::run::progress::Progress;
use crate::run::trainer::Trainer;

impl Trainer {
    /// Goes on after the epoch that a `.pth` of the reference's script holds: parameters, moments,
    /// epoch.
    ///
    /// The optimiser's entries have no names there, only numbers; both sides number the parameters
    /// alike.
    ///
    /// # Errors
    /// When the file is not such a checkpoint or belongs to another model.
    pub fn resume_reference(&mut self, path: &Path) -> Result<()> {
        let file = TorchFile::open(path)?;
        let refuse = |expected: &str, found: String| Error::WrongState {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
            next: "to start from its weights alone, give it to --pretrained",
        };
        let mut weights = Weights::from_tensors(file.state_dict()?)
            .map_err(|name| refuse("with each tensor once", format!("`{name}` twice")))?;
        // The reference has no lesion head: ours stays as it is.
        for (name, var) in self.parameters.iter() {
            if name.starts_with(lesion_head::PREFIX) && weights.get(name).is_none() {
                weights.insert(name, var.as_detached_tensor());
            }
        }
        self.parameters.set_from(&weights)?;

        let root = file.root();
        let state = root
            .key("optimizer")
            .and_then(|optimizer| optimizer.key("state"))
            .filter(|state| state.is_dict());
        let state = state.ok_or_else(|| refuse("with `optimizer`", root.describe()))?;
        let mut moments: Vec<Option<Moments>> = vec![None; self.parameters.len()];
        for (index, entry) in state.entries() {
            let slot = index
                .as_i64()
                .and_then(|i| usize::try_from(i).ok())
                .and_then(|i| moments.get_mut(i));
            let slot = slot.ok_or_else(|| {
                refuse("of the same model", format!("optimiser entry {}", index.describe()))
            })?;
            *slot = Some(self.moments_of(&file, entry, &refuse)?);
        }
        let steps_done = moments.iter().flatten().map(|m| m.step).max().unwrap_or(0);
        self.optimizer
            .restore(moments)
            .map_err(|error| refuse("of the same model", error.to_string()))?;
        let epoch =
            root.key("epoch").and_then(Value::as_i64).and_then(|epoch| usize::try_from(epoch).ok());
        let epoch = epoch.ok_or_else(|| refuse("with `epoch`", root.describe()))?; // the last finished one, from 0
        self.progress = Progress { epochs_done: epoch + 1, steps_done, ..Progress::default() };
        Ok(())
    }

    fn moments_of(
        &self,
        file: &TorchFile,
        entry: Value,
        refuse: &impl Fn(&str, String) -> Error,
    ) -> Result<Moments> {
        let tensor = |key: &str| -> Result<candle_core::Tensor> {
            let value = entry.key(key).ok_or_else(|| {
                refuse("with AdamW's moments", format!("an entry without `{key}`"))
            })?;
            Ok(file.tensor(value, key)?.to_dtype(DType::F32)?.to_device(&self.setup.device)?)
        };
        let step = match entry.key("step").and_then(Value::as_i64) {
            Some(step) => step as u64,
            None => tensor("step")?.flatten_all()?.get(0)?.to_scalar::<f32>()? as u64,
        };
        Ok(Moments { step, exp_avg: tensor("exp_avg")?, exp_avg_sq: tensor("exp_avg_sq")? })
    }
}
