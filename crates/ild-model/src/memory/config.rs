//! What the tensors of a checkpoint say about its memory.

use crate::error::{Error, Result};
use crate::weights::Weights;

/// The tensors that came with SAM 2.1; a checkpoint has all of them or none.
const NEW_IN_2_1: [&str; 3] =
    ["no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias"];

/// Which of the two published families the weights belong to. Their flags differ, and a checkpoint
/// does not name them: the three tensors that came with 2.1 tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Object pointers know no time, and an absent object leaves its map as it is.
    Sam2,
    /// Object pointers know their distance in time, and an absent object is marked in its map.
    Sam2_1,
}

/// Sizes of the memory. They are read off the tensors' shapes: no description needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// 2.0 or 2.1.
    pub version: Version,
    /// Channels of a stored map, and of a token of a pointer (`mem_dim`).
    pub mem_dim: usize,
    /// Layers of the memory attention.
    pub layers: usize,
    /// Hidden width of their MLPs (`dim_feedforward`).
    pub dim_feedforward: usize,
    /// Blocks of the memory encoder's fuser.
    pub fuser_layers: usize,
    /// Maps that a frame looks at: the prompted ones share the first place (`num_maskmem`).
    pub num_maskmem: usize,
}

impl MemoryConfig {
    /// The sizes that all published models have.
    #[must_use]
    pub fn published(version: Version) -> Self {
        Self {
            version,
            mem_dim: 64,
            layers: 4,
            dim_feedforward: 2048,
            fuser_layers: 2,
            num_maskmem: 7,
        }
    }

    /// The published sizes in proportion to the model's width.
    #[must_use]
    pub fn in_proportion(version: Version, d_model: usize) -> Self {
        const PUBLISHED_D: usize = 256;
        let sizes = Self::published(version);
        let of = |channels: usize| (channels * d_model / PUBLISHED_D).max(1);
        Self { mem_dim: of(sizes.mem_dim), dim_feedforward: of(sizes.dim_feedforward), ..sizes }
    }

    /// What the shapes of `weights` say.
    ///
    /// # Errors
    /// [`Error::Refused`] for weights without a memory, or with some but not all of the tensors
    /// that came with 2.1.
    pub fn of(weights: &Weights, d_model: usize) -> Result<Self> {
        let size = |name: &str| weights.get(name).and_then(|tensor| tensor.dims().first().copied());
        let count = |name: &dyn Fn(usize) -> String| {
            (0..).take_while(|i| weights.get(&name(*i)).is_some()).count()
        };
        let layers = count(&|i| format!("memory_attention.layers.{i}.linear1.weight"));
        let fuser_layers = count(&|i| format!("memory_encoder.fuser.layers.{i}.gamma"));
        let sizes = (
            size("memory_encoder.out_proj.weight"),
            size("memory_attention.layers.0.linear1.weight"),
            size("maskmem_tpos_enc"),
        );
        let (Some(mem_dim), Some(dim_feedforward), Some(num_maskmem)) = sizes else {
            return Err(refusal(
                weights,
                "tensors of SAM 2's memory (memory_attention, memory_encoder, maskmem_tpos_enc)",
                "none, or not all of them",
                "weights that began as Meta's or MedSAM2's have them; without a memory boxes carry a lesion from slice to slice",
            ));
        };
        if mem_dim == 0 || !d_model.is_multiple_of(mem_dim) || num_maskmem < 2 {
            return Err(refusal(
                weights,
                &format!(
                    "maps of a divisor of {d_model} channels (memory_encoder.out_proj) and two or more places in time (maskmem_tpos_enc)"
                ),
                &format!("{mem_dim} channels and {num_maskmem} places"),
                "",
            ));
        }
        let version = version(weights)?;
        Ok(Self { version, mem_dim, layers, dim_feedforward, fuser_layers, num_maskmem })
    }

    /// Tokens of `mem_dim` channels that a pointer is cut into.
    #[must_use]
    pub fn tokens_of_a_pointer(&self, d_model: usize) -> usize {
        d_model / self.mem_dim
    }
}

fn version(weights: &Weights) -> Result<Version> {
    let missing: Vec<&str> =
        NEW_IN_2_1.into_iter().filter(|name| weights.get(name).is_none()).collect();
    match missing.len() {
        0 => Ok(Version::Sam2_1),
        3 => Ok(Version::Sam2),
        _ => Err(refusal(
            weights,
            &format!("all of {} (SAM 2.1) or none (SAM 2)", NEW_IN_2_1.join(", ")),
            &format!("no {}", missing.join(", ")),
            "is this a mix of two checkpoints?",
        )),
    }
}

fn refusal(weights: &Weights, expected: &str, found: &str, next: &str) -> Error {
    let path = weights.origin.clone().unwrap_or_else(|| "the weights".into());
    Error::refused(path, expected, found, next)
}
