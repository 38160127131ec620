//! The trunk of the image encoder: Hiera (Ryali et al. 2023, arXiv:2306.00989), as SAM 2 uses it.

use std::sync::OnceLock;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use crate::config::Sam2Config;
use ild_ops::{self as ops, Aside, Precision, recomputed};

mod attention;
mod block;
mod patch_embed;
mod position;

pub use attention::MultiScaleAttention;
pub use block::MultiScaleBlock;
pub use patch_embed::PatchEmbed;
pub use position::{PositionEmbedding, resize_bicubic};

/// Patch embedding, position embedding and four stages of blocks.
#[derive(Debug)]
pub struct Hiera {
    /// The position embedding (`pos_embed`, `pos_embed_window`).
    pub position: PositionEmbedding,
    /// The patch embedding.
    pub patch_embed: PatchEmbed,
    /// The blocks of all stages.
    pub blocks: Vec<MultiScaleBlock>,
    stage_ends: Vec<usize>,
    frozen_position: OnceLock<Tensor>,
    recompute: Option<Aside>,
}

impl Hiera {
    /// Reads `pos_embed`, `pos_embed_window`, `patch_embed` and `blocks`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        let position = PositionEmbedding::new(config, vb.clone())?;
        let patch_embed = PatchEmbed::new(config.embed_dim, vb.pp("patch_embed"))?;
        let blocks = config.blocks().into_iter().enumerate();
        let blocks = blocks
            .map(|(i, block)| MultiScaleBlock::new(block, vb.pp("blocks").pp(i)))
            .collect::<Result<_>>()?;
        let stage_ends = config.stages.iter().scan(0, |end, count| {
            *end += count;
            Some(*end - 1)
        });
        Ok(Self {
            position,
            patch_embed,
            blocks,
            stage_ends: stage_ends.collect(),
            frozen_position: OnceLock::new(),
            recompute: None,
        })
    }

    /// From now on every block keeps its input only and runs a second time in the backward pass.
    ///
    /// The gradients of the blocks' tensors are then not in the store that `backward` returns, but
    /// in the one returned here.
    pub fn recompute(&mut self) -> Aside {
        self.recompute.get_or_insert_default().clone()
    }

    /// Tokens with their position, before the first block.
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`; returns `[b, s/4, s/4, c]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn embed(&self, image: &Tensor) -> Result<Tensor> {
        let tokens = self.patch_embed.forward(image)?;
        let (_, h, w, _) = tokens.dims4()?;
        ops::add_position(&tokens, &self.position_of(h, w)?)
    }

    /// The map at the end of each stage, finest first; for `precision` see
    /// [`MultiScaleBlock::forward`].
    ///
    /// # Shapes
    /// - `image`: `[b, 3, s, s]`; returns `[b, s/4, s/4, c]`, `[b, s/8, s/8, 2c]`, `[b, s/16, s/16,
    ///   4c]`, `[b, s/32, s/32, 8c]`
    ///
    /// # Errors
    /// Shapes other than these.
    pub fn forward(&self, image: &Tensor, precision: Precision) -> Result<Vec<Tensor>> {
        let mut x = self.embed(image)?;
        let mut stages = Vec::with_capacity(self.stage_ends.len());
        for (i, block) in self.blocks.iter().enumerate() {
            x = match &self.recompute {
                Some(aside) => {
                    let block = block.clone();
                    recomputed(move |x| block.forward(x, precision), &x, aside)?
                }
                None => block.forward(&x, precision)?,
            };
            if self.stage_ends.contains(&i) {
                stages.push(x.clone());
            }
        }
        Ok(stages)
    }

    /// The position embedding; made once where it cannot change.
    fn position_of(&self, height: usize, width: usize) -> Result<Tensor> {
        if let Some(known) =
            self.frozen_position.get().filter(|known| known.dims()[1..3] == [height, width])
        {
            return Ok(known.clone());
        }
        let position = self.position.forward(height, width)?;
        if !position.track_op() {
            let _ = self.frozen_position.set(position.clone());
        }
        Ok(position)
    }
}
