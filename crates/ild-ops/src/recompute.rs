//! Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): a block keeps its input only, and
//! runs again when its gradient is asked for.
//!
//! The backward pass of the outer graph knows a checkpointed block as one operation with one input,
//! so the gradients of the block's own tensors cannot travel through it: they are put [`Aside`],
//! and whoever called `backward` fetches them.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, Var, bail,
};

/// Gradients of the tensors of checkpointed blocks, until they are fetched.
#[derive(Clone, Default)]
pub struct Aside(Arc<Mutex<GradStore>>);

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Aside")
    }
}

impl Aside {
    /// What was put aside since the last call.
    #[must_use]
    pub fn take(&self) -> GradStore {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, gradients: GradStore) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(gradients)
    }
}

/// `block(x)` without keeping what lies between: the same values, the same gradients, a second
/// forward pass.
///
/// # Errors
/// What `block` fails with.
pub fn recomputed<F>(block: F, x: &Tensor, aside: &Aside) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    let output = block(&x.detach())?.detach().contiguous()?;
    x.contiguous()?.apply_op1(Recomputed {
        block,
        output: Mutex::new(Some(output)),
        aside: aside.clone(),
    })
}

struct Recomputed<F> {
    block: F,
    /// The result, until the operation has handed it out.
    output: Mutex<Option<Tensor>>,
    aside: Aside,
}

impl<F> Recomputed<F> {
    fn take_output(&self) -> Result<Tensor> {
        match self.output.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(output) => Ok(output),
            None => bail!("a checkpointed block was run twice"),
        }
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Recomputed<F> {
    fn name(&self) -> &'static str {
        "recomputed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let output = self.take_output()?;
        let (storage, layout) = output.storage_and_layout();
        match &*storage {
            Storage::Cpu(values) => Ok((values.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("expected the output of a block on the CPU"),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let output = self.take_output()?;
        let (storage, layout) = output.storage_and_layout();
        match &*storage {
            Storage::Cuda(values) => Ok((values.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("expected the output of a block on the GPU"),
        }
    }

    fn bwd(&self, input: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let input = Var::from_tensor(&input.detach())?;
        let output = (self.block)(input.as_tensor())?;
        let mut gradients = (output * gradient)?.sum_all()?.backward()?;
        gradients.remove(gradient); // the gradient of the gradient is of no use, and as large as a map
        let of_input = gradients.remove(input.as_tensor()).map(|gradient| gradient.detach());
        let mut kept = GradStore::default();
        for id in gradients.get_ids().copied().collect::<Vec<_>>() {
            // A leaf's gradient carries the graph that made it, which would keep every activation
            // alive.
            if let Some(gradient) = gradients.get_id(id) {
                kept.insert_id(id, gradient.detach());
            }
        }
        self.aside.put(kept)?;
        of_input.map_or_else(|| input.zeros_like().map(Some), |gradient| Ok(Some(gradient)))
    }
}
