//! Object pointers: what the decoder's mask token knows of the object, kept for later frames.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::layers::{Linear, Mlp};
use crate::memory::bank::Bank;
use crate::memory::config::{MemoryConfig, Version};
use crate::memory::position::sine_of_distances;

/// Pointers from tokens (`obj_ptr_proj`), the pointer of an absent object (`no_obj_ptr`), and their
/// codes of time (`obj_ptr_tpos_proj`, 2.1 only).
#[derive(Debug, Clone)]
pub struct ObjectPointer {
    obj_ptr_proj: Mlp,
    no_obj_ptr: Tensor,
    obj_ptr_tpos_proj: Option<Linear>,
    d: usize,
    config: MemoryConfig,
}

impl ObjectPointer {
    /// Reads `obj_ptr_proj`, `no_obj_ptr` and, for 2.1, `obj_ptr_tpos_proj`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &MemoryConfig, d: usize, vb: &VarBuilder) -> Result<Self> {
        let tpos = || Linear::new(d, config.mem_dim, vb.pp("obj_ptr_tpos_proj"));
        let obj_ptr_tpos_proj =
            if config.version == Version::Sam2_1 { Some(tpos()?) } else { None };
        let init = Init::Randn { mean: 0.0, stdev: 0.02 };
        Ok(Self {
            obj_ptr_proj: Mlp::new(&[d, d, d, d], vb.pp("obj_ptr_proj"))?,
            no_obj_ptr: vb.get_with_hints((1, d), "no_obj_ptr", init)?,
            obj_ptr_tpos_proj,
            d,
            config: *config,
        })
    }

    /// The pointer of a mask token; an absent object has the same one always.
    ///
    /// # Shapes
    /// - `token`: `[1, d]`; returns `[1, d]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn of_token(&self, token: &Tensor, present: bool) -> Result<Tensor> {
        if present { self.obj_ptr_proj.forward(token) } else { Ok(self.no_obj_ptr.clone()) }
    }

    /// The pointer of an object that is not there.
    ///
    /// # Shapes
    /// - returns `[1, d]`
    #[must_use]
    pub fn absent(&self) -> &Tensor {
        &self.no_obj_ptr
    }

    /// Pointers, each cut into tokens as wide as a map's, and their codes of time. Distances are
    /// divided by the farthest that a video of `frames` frames looks at, so that in a short one the
    /// same distance has another code.
    ///
    /// # Shapes
    /// - `pointers`: distance in frames and `[1, d]`; returns twice `[1, t, mem_dim]`, or `None`
    ///   without pointers
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn tokens(
        &self,
        pointers: &[(i64, &Tensor)],
        frames: usize,
    ) -> Result<Option<(Tensor, Tensor)>> {
        let Some((_, first)) = pointers.first() else { return Ok(None) };
        let (parts, width) = (self.config.tokens_of_a_pointer(self.d), self.config.mem_dim);
        let shape = (1, pointers.len() * parts, width);
        let all: Vec<&Tensor> = pointers.iter().map(|(_, pointer)| *pointer).collect();
        let tokens = Tensor::cat(&all, 0)?.reshape(shape)?;
        let Some(proj) = &self.obj_ptr_tpos_proj else {
            return Ok(Some((tokens, Tensor::zeros(shape, DType::F32, first.device())?)));
        };
        let farthest = (Bank::pointer_reach(frames).max(2) - 1) as f64;
        let distances: Vec<f64> =
            pointers.iter().map(|(distance, _)| *distance as f64 / farthest).collect();
        let codes = proj.forward(&sine_of_distances(&distances, self.d, first.device())?)?;
        let codes = codes.unsqueeze(1)?.broadcast_as((pointers.len(), parts, width))?;
        Ok(Some((tokens, codes.contiguous()?.reshape(shape)?)))
    }
}
