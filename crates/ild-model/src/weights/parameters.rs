//! What training changes.

use candle_core::{DType, Device, Tensor, Var};

use crate::error::{Error, Result};
use crate::lesion_head;
use crate::weights::Weights;

/// The trainable tensors, in the order of the reference's optimiser: image encoder, then mask
/// decoder.
///
/// The IoU head and the object score head are among them and get no gradient; the networks of masks
/// 1 to 3 get a zero one.
#[derive(Debug, Clone)]
pub struct Parameters {
    named: Vec<(String, Var)>,
}

impl Parameters {
    pub(crate) fn new(named: Vec<(String, Var)>) -> Self {
        Self { named }
    }

    /// These and those of a memory, before the lesion head, which stays last.
    #[must_use]
    pub fn with_memory(mut self, memory: Self) -> Self {
        let is_head = |(name, _): &(String, Var)| name.starts_with(lesion_head::PREFIX);
        let at = self.named.iter().position(is_head).unwrap_or(self.named.len());
        self.named.splice(at..at, memory.named);
        self
    }

    /// Names and variables in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Var)> {
        self.named.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// The variable of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, variable)| variable)
    }

    /// How many tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// How many numbers.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.named.iter().map(|(_, variable)| variable.elem_count()).sum()
    }

    /// Overwrites the variables with the tensors of the same name.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape; some variables may have been set by then.
    pub fn set_from(&self, weights: &Weights) -> Result<()> {
        for (name, variable) in &self.named {
            let missing = || Error::Shape {
                what: "weights",
                expected: format!("a tensor `{name}`"),
                found: Vec::new(),
            };
            let tensor = weights.get(name).ok_or_else(missing)?;
            variable.set(&tensor.to_dtype(DType::F32)?.to_device(variable.device())?)?;
        }
        Ok(())
    }

    /// Copies of the present values on the CPU, independent of further training.
    ///
    /// # Errors
    /// When a copy fails.
    pub fn snapshot(&self) -> Result<Vec<(String, Tensor)>> {
        let copy = |variable: &Var| variable.as_tensor().detach().copy()?.to_device(&Device::Cpu);
        self.named.iter().map(|(name, variable)| Ok((name.clone(), copy(variable)?))).collect()
    }
}
