//! From an operation made of kernels to a node of Candle's graph; the counterpart of `ops/node.rs`.

use std::sync::{Mutex, PoisonError};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor,
    bail,
};

use super::launch::Argument;
use super::memory::Room;
use crate::node::bundle;

/// An operation on contiguous tensors of one device, with its own gradient.
pub(super) trait Operation: Send + Sync + 'static {
    /// The name in error messages.
    const NAME: &'static str;

    /// Writes every number of the result to `out`.
    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()>;

    /// One entry for each input: its gradient where `wanted`, else `None`.
    fn backward(
        &self,
        inputs: &[Tensor],
        out: &Tensor,
        grad: &Tensor,
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>>;
}

/// Runs `op`; the result has `shape` and the first input's type and, where an input has one, a
/// place in the graph.
///
/// Inputs from the third on, where there are more than three, must be f32: their gradients travel
/// in one buffer.
pub(super) fn apply<O: Operation>(
    op: O,
    shape: impl Into<Shape>,
    inputs: &[&Tensor],
) -> Result<Tensor> {
    let shape = shape.into();
    let inputs = inputs.iter().map(|t| t.contiguous()).collect::<Result<Vec<_>>>()?;
    let Some(first) = inputs.first() else { bail!("{} needs an input", O::NAME) };
    let tracked = inputs.iter().map(Tensor::track_op).collect();
    let detached: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
    let (room, out) = Room::new(&shape, first.dtype(), first.device())?;
    op.forward(&detached, out)?;
    let node = Node { op, shape, inputs: detached, tracked, room: Mutex::new(Some(room)) };
    match inputs.as_slice() {
        [a] => a.apply_op1(node),
        [a, b] => a.apply_op2(b, node),
        [a, b, c] => a.apply_op3(b, c, node),
        [a, b, rest @ ..] => a.apply_op3(b, &bundle(rest)?, node),
        [] => bail!("{} needs an input", O::NAME),
    }
}

struct Node<O> {
    op: O,
    shape: Shape,
    inputs: Vec<Tensor>,
    tracked: Vec<bool>,
    /// The result, until Candle has taken it.
    room: Mutex<Option<Room>>,
}

impl<O: Operation> Node<O> {
    fn take(&self) -> Result<Room> {
        match self.room.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(room) => Ok(room),
            None => bail!("{} was run twice", O::NAME),
        }
    }

    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        match self.take()? {
            Room::Cpu(storage) => Ok((storage, self.shape.clone())),
            Room::Cuda(_) => bail!("{}: expected a result on the CPU", O::NAME),
        }
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        match self.take()? {
            Room::Cuda(storage) => Ok((storage, self.shape.clone())),
            Room::Cpu(_) => bail!("{}: expected a result on the GPU", O::NAME),
        }
    }

    /// One gradient for each argument of the node.
    fn backward(
        &self,
        arguments: usize,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<std::vec::IntoIter<Option<Tensor>>> {
        let mut gradients = self.op.backward(
            &self.inputs,
            &out.detach(),
            &grad.detach().contiguous()?,
            &self.tracked,
        )?;
        if self.inputs.len() > arguments {
            let rest = gradients.split_off(arguments - 1);
            gradients.push(self.flat(&rest, arguments - 1)?);
        }
        Ok(gradients.into_iter())
    }

    /// The gradients of a bundle's tensors, one after the other.
    fn flat(&self, gradients: &[Option<Tensor>], from: usize) -> Result<Option<Tensor>> {
        if !self.tracked[from..].contains(&true) {
            return Ok(None);
        }
        let parts =
            gradients.iter().zip(&self.inputs[from..]).map(|(gradient, input)| match gradient {
                Some(gradient) => gradient.flatten_all(),
                None => Tensor::zeros(input.elem_count(), DType::F32, input.device()),
            });
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0).map(Some)
    }
}

impl<O: Operation> CustomOp1 for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(&self, _: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.backward(1, out, grad)?.next().flatten())
    }
}

impl<O: Operation> CustomOp2 for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.backward(2, out, grad)?;
        Ok((gradients.next().flatten(), gradients.next().flatten()))
    }
}

impl<O: Operation> CustomOp3 for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.backward(3, out, grad)?;
        Ok((gradients.next().flatten(), gradients.next().flatten(), gradients.next().flatten()))
    }
}
