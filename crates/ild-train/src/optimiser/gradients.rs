//! Gradients of the trained parameters, from Candle's store into the optimiser's order.

use candle_core::backprop::GradStore;
use candle_core::{Result, Storage, Tensor, Var};
use rayon::prelude::*;

use crate::peers::Peers;

/// One entry per parameter; `None` where the loss does not depend on it.
#[derive(Clone, Debug)]
pub struct Gradients(Vec<Option<Tensor>>);

/// The mask tokens that training never selects: PyTorch computes their masks and then drops them,
/// so their gradient is zero, not absent.
fn unused_mask_token(name: &str) -> bool {
    ["1", "2", "3"].iter().any(|token| {
        name.starts_with(&format!("sam_mask_decoder.output_hypernetworks_mlps.{token}."))
    })
}

impl Gradients {
    /// Takes the gradients of `parameters` out of `store`, cut off from the graph that made them
    /// (which would pin every activation).
    ///
    /// # Errors
    /// When memory runs out.
    pub fn take<'a>(
        store: &mut GradStore,
        parameters: impl Iterator<Item = (&'a str, &'a Var)>,
    ) -> Result<Self> {
        parameters
            .map(|(name, var)| match store.remove(var.as_tensor()) {
                Some(gradient) => Ok(Some(gradient.detach())),
                None if unused_mask_token(name) => {
                    var.zeros_like().map(|zeros| Some(zeros.detach()))
                }
                None => Ok(None),
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// In the parameters' order.
    #[must_use]
    pub fn as_slice(&self) -> &[Option<Tensor>] {
        &self.0
    }

    /// Of `parameters` parameters, none: what a process without an item adds.
    pub(crate) fn none(parameters: usize) -> Self {
        Self(vec![None; parameters])
    }

    /// Adds the gradients of the other processes; one that is absent everywhere stays absent.
    ///
    /// # Errors
    /// When a gradient is not `f32`.
    pub(crate) fn sum_over<'a>(
        self,
        parameters: impl Iterator<Item = &'a Var>,
        peers: &dyn Peers,
    ) -> Result<Self> {
        let mut present: Vec<f64> =
            self.0.iter().map(|gradient| f64::from(u8::from(gradient.is_some()))).collect();
        peers.sum_f64(&mut present);
        let vars: Vec<Option<&Var>> =
            parameters.zip(&present).map(|(var, &n)| (n > 0.0).then_some(var)).collect();
        let mut values: Vec<f32> =
            Vec::with_capacity(vars.iter().flatten().map(|var| var.elem_count()).sum());
        for (gradient, var) in self.0.iter().zip(&vars) {
            match (gradient, var) {
                (Some(gradient), _) => values.extend(gradient.flatten_all()?.to_vec1::<f32>()?),
                (None, Some(var)) => values.resize(values.len() + var.elem_count(), 0.0),
                (None, None) => {}
            }
        }
        peers.sum_f32(&mut values);
        let mut rest = &values[..];
        let mut next = |var: &Var| {
            let (own, others) = rest.split_at(var.elem_count());
            rest = others;
            Tensor::from_slice(own, var.shape(), var.device())
        };
        vars.into_iter().map(|var| var.map(&mut next).transpose()).collect::<Result<_>>().map(Self)
    }

    /// Those of the first `at` parameters, and the rest.
    #[must_use]
    pub fn split(mut self, at: usize) -> (Self, Self) {
        let rest = self.0.split_off(at.min(self.0.len()));
        (self, Self(rest))
    }

    /// Both, one after the other.
    #[must_use]
    pub fn followed_by(mut self, rest: Self) -> Self {
        self.0.extend(rest.0);
        self
    }

    /// Every gradient times `factor`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn scaled(self, factor: f64) -> Result<Self> {
        if factor == 1.0 {
            return Ok(self);
        }
        self.0
            .into_iter()
            .map(|g| g.map(|g| g * factor).transpose())
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Sum of two gradients of the same parameters.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn plus(self, other: Self) -> Result<Self> {
        let add = |pair: (Option<Tensor>, Option<Tensor>)| match pair {
            (Some(a), Some(b)) => a.add(&b).map(Some),
            (a, b) => Ok(a.or(b)),
        };
        self.0.into_iter().zip(other.0).map(add).collect::<Result<_>>().map(Self)
    }

    /// Length of all gradients as one vector.
    ///
    /// # Errors
    /// When a gradient is not `f32`.
    pub fn norm(&self) -> Result<f64> {
        let (here, elsewhere): (Vec<&Tensor>, Vec<&Tensor>) =
            self.0.iter().flatten().partition(|gradient| gradient.device().is_cpu());
        let mut sum = here.into_iter().map(sum_of_squares).sum::<Result<f64>>()?;
        if !elsewhere.is_empty() {
            // One number of each leaves the device.
            let squares = elsewhere
                .into_iter()
                .map(|gradient| gradient.sqr()?.sum_all())
                .collect::<Result<Vec<_>>>()?;
            sum += Tensor::stack(&squares, 0)?
                .to_vec1::<f32>()?
                .into_iter()
                .map(f64::from)
                .sum::<f64>();
        }
        Ok(sum.sqrt())
    }

    /// Shortened to length `limit` if longer, as PyTorch's `clip_grad_norm_`; `norm` is what
    /// [`Gradients::norm`] gave.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn clipped(self, norm: f64, limit: f64) -> Result<Self> {
        self.scaled((limit / (norm + 1e-6)).min(1.0))
    }
}

/// In `f64`, over fixed pieces, so that the result does not depend on the number of threads.
fn sum_of_squares(tensor: &Tensor) -> Result<f64> {
    const PIECE: usize = 1 << 14;
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("expected a tensor on the CPU")
    };
    let start = layout.start_offset();
    let values = &storage.as_slice::<f32>()?[start..start + layout.shape().elem_count()];
    let square = |piece: &[f32]| piece.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
    let pieces: Vec<f64> = values.par_chunks(PIECE).map(square).collect();
    Ok(pieces.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn gradients(values: &[f32]) -> Gradients {
        Gradients(vec![Some(Tensor::new(values, &Device::Cpu).unwrap()), None])
    }

    #[test]
    fn long_gradients_are_shortened_and_short_ones_kept() {
        let g = gradients(&[3.0, 4.0]);
        let norm = g.norm().unwrap();
        assert_eq!(norm, 5.0);
        let clipped = g.clone().clipped(norm, 1.0).unwrap();
        assert!((clipped.norm().unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(g.clipped(norm, 9.0).unwrap().norm().unwrap(), 5.0);
    }

    #[test]
    fn an_absent_gradient_stays_absent_in_a_sum() {
        let sum = gradients(&[1.0, 2.0]).plus(gradients(&[10.0, 20.0])).unwrap();
        assert_eq!(sum.0[0].as_ref().unwrap().to_vec1::<f32>().unwrap(), [11.0, 22.0]);
        assert!(sum.0[1].is_none());
    }

    #[test]
    fn an_unused_mask_token_has_a_zero_gradient_and_an_unused_head_has_none() {
        let used = Var::new(2f32, &Device::Cpu).unwrap();
        let (token, head) = (used.copy().unwrap(), used.copy().unwrap());
        let (token, head) = (Var::from_tensor(&token).unwrap(), Var::from_tensor(&head).unwrap());
        let mut store = used.sqr().unwrap().backward().unwrap();
        let named = [
            ("sam_mask_decoder.conv_s0.bias", &used),
            ("sam_mask_decoder.output_hypernetworks_mlps.2.layers.0.bias", &token),
            ("sam_mask_decoder.iou_prediction_head.layers.0.bias", &head),
        ];
        let taken = Gradients::take(&mut store, named.into_iter()).unwrap();
        let values: Vec<Option<f32>> =
            taken.0.iter().map(|g| g.as_ref().map(|g| g.to_scalar().unwrap())).collect();
        assert_eq!(values, [Some(4.0), Some(0.0), None]);
    }
}
