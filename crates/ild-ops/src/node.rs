//! From a fused operation to a node of Candle's graph.
//!
//! Candle's custom operations take at most three tensors. Further inputs are tied together by
//! [`Bundle`]s: nodes without data of their own whose only purpose is to carry the gradients back.

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape,
    Storage, Tensor, bail,
};

use super::memory::unspecified;

/// An operation on contiguous f32 buffers, with its own gradient.
pub(crate) trait Fused: Send + Sync + 'static {
    /// The name in error messages.
    const NAME: &'static str;

    /// Writes every element of `out`.
    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]);

    /// Writes every element of each gradient that is asked for.
    fn backward(
        &self,
        inputs: &[&[f32]],
        out: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    );
}

/// Whether the fused kernels apply: f32 on the CPU.
pub(crate) fn on_cpu(inputs: &[&Tensor]) -> bool {
    inputs.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// Whether a gradient will flow to any of these.
pub(crate) fn tracked(inputs: &[&Tensor]) -> bool {
    inputs.iter().any(|t| t.track_op())
}

/// Runs `op` on the inputs; the result has `shape` and, where an input has one, a place in the
/// graph.
pub(crate) fn apply<F: Fused>(
    op: F,
    shape: impl Into<Shape>,
    inputs: &[&Tensor],
) -> Result<Tensor> {
    let inputs = inputs.iter().map(|t| t.contiguous()).collect::<Result<Vec<_>>>()?;
    let tracked = inputs.iter().map(Tensor::track_op).collect();
    let node = Node { op, shape: shape.into(), inputs: Vec::new(), tracked };
    match inputs.as_slice() {
        [a] => a.apply_op1(node),
        [a, b] => a.apply_op2(b, node),
        [a, b, c] => a.apply_op3(b, c, node),
        [a, b, rest @ ..] => {
            let bundle = bundle(rest)?;
            a.apply_op3(b, &bundle, Node { inputs: rest.to_vec(), ..node })
        }
        [] => bail!("{} needs an input", F::NAME),
    }
}

struct Node<F> {
    op: F,
    shape: Shape,
    /// The inputs from the third on, where there are more than three: the third argument is then
    /// their bundle.
    inputs: Vec<Tensor>,
    tracked: Vec<bool>,
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("expected a contiguous tensor, found strides {:?}", layout.stride()),
    }
}

/// Calls `f` with the contents of the tensors.
fn with_slices<T>(tensors: &[&Tensor], f: impl FnOnce(&[&[f32]]) -> Result<T>) -> Result<T> {
    let guards: Vec<_> = tensors.iter().map(|t| t.storage_and_layout()).collect();
    let slices = guards.iter().map(|(storage, layout)| match &**storage {
        Storage::Cpu(storage) => slice(storage, layout),
        _ => bail!("expected tensors on the CPU"),
    });
    f(&slices.collect::<Result<Vec<_>>>()?)
}

impl<F: Fused> Node<F> {
    fn forward(&self, arguments: &[&[f32]]) -> Result<(CpuStorage, Shape)> {
        let mut out = unspecified(self.shape.elem_count());
        if self.inputs.is_empty() {
            self.op.forward(arguments, &mut out);
        } else {
            let rest: Vec<&Tensor> = self.inputs.iter().collect();
            with_slices(&rest, |rest| {
                self.op.forward(&[&arguments[..2], rest].concat(), &mut out);
                Ok(())
            })?;
        }
        Ok((CpuStorage::F32(out), self.shape.clone()))
    }

    /// One gradient for each argument of the node.
    fn backward(
        &self,
        arguments: &[&Tensor],
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let mut inputs = arguments.to_vec();
        if !self.inputs.is_empty() {
            inputs.truncate(2);
            inputs.extend(&self.inputs);
        }
        // The gradients of a bundle's tensors are parts of one buffer, as the bundle's shape says.
        let apart = inputs.len().min(if self.inputs.is_empty() { 3 } else { 2 });
        let mut buffers: Vec<Vec<f32>> =
            inputs[..apart].iter().map(|t| unspecified(t.elem_count())).collect();
        if apart < inputs.len() {
            buffers.push(vec![0.0; inputs[apart..].iter().map(|t| t.elem_count()).sum()]);
        }
        {
            let mut gradients: Vec<Option<&mut [f32]>> = Vec::with_capacity(inputs.len());
            let (own, bundled) = buffers.split_at_mut(apart);
            gradients.extend(
                own.iter_mut()
                    .zip(&self.tracked)
                    .map(|(buffer, &tracked)| tracked.then_some(buffer.as_mut_slice())),
            );
            let mut left = bundled.first_mut().map_or(&mut [][..], Vec::as_mut_slice);
            for (tensor, &tracked) in inputs[apart..].iter().zip(&self.tracked[apart..]) {
                let (part, rest) = left.split_at_mut(tensor.elem_count());
                gradients.push(tracked.then_some(part));
                left = rest;
            }
            let grad = grad.contiguous()?;
            let tensors: Vec<&Tensor> = inputs.iter().copied().chain([out, &grad]).collect();
            with_slices(&tensors, |slices| {
                let (slices, last) = slices.split_at(inputs.len());
                self.op.backward(slices, last[0], last[1], &mut gradients);
                Ok(())
            })?;
        }
        let tensor = |(buffer, argument): (Vec<f32>, &&Tensor)| {
            argument
                .track_op()
                .then(|| Tensor::from_vec(buffer, argument.shape(), argument.device()))
                .transpose()
        };
        buffers.into_iter().zip(arguments).map(tensor).collect()
    }
}

impl<F: Fused> CustomOp1 for Node<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(&[slice(s, l)?])
    }

    fn bwd(&self, a: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.backward(&[a], out, grad)?.swap_remove(0))
    }
}

impl<F: Fused> CustomOp2 for Node<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(&[slice(s1, l1)?, slice(s2, l2)?])
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.backward(&[a, b], out, grad)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten()))
    }
}

impl<F: Fused> CustomOp3 for Node<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if self.inputs.is_empty() {
            self.forward(&[slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?])
        } else {
            self.forward(&[slice(s1, l1)?, slice(s2, l2)?])
        }
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.backward(&[a, b, c], out, grad)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten(), gradients.next().flatten()))
    }
}

/// Ties tensors into one node whose gradient is theirs, flattened, one after the other.
pub(crate) fn bundle(tensors: &[Tensor]) -> Result<Tensor> {
    let mut tensors = tensors.iter();
    let first = tensors.next().cloned();
    let first = first.ok_or_else(|| candle_core::Error::Msg("a bundle needs a tensor".into()))?;
    tensors.try_fold(first, |all, next| {
        all.apply_op2(next, Bundle { len: all.elem_count() + next.elem_count() })
    })
}

/// A node of `len` elements without data: nobody reads it, the fused operation holds the tensors
/// themselves.
struct Bundle {
    len: usize,
}

impl CustomOp2 for Bundle {
    fn name(&self) -> &'static str {
        "bundle"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(Vec::new()), Shape::from(self.len)))
    }

    fn cuda_fwd(
        &self,
        s: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((super::gpu::nothing_like(s)?, Shape::from(self.len)))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let part = |tensor: &Tensor, start: usize| {
            tensor
                .track_op()
                .then(|| grad.narrow(0, start, tensor.elem_count())?.reshape(tensor.shape()))
                .transpose()
        };
        Ok((part(a, 0)?, part(b, a.elem_count())?))
    }
}
