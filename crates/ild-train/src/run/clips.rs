//! Loss along clips: one lesion is pointed out on the first slice, SAM 2's memory carries it through
//! the others.

use candle_core::{Device, Tensor};
use ild_model::memory::{Bank, Direction, Memory, MemoryConfig, Sam2Video, Source, Version};
use ild_model::{FrameFeatures, ImageFeatures, Sam2, Weights};

use crate::data::batch::Clip;
use crate::error::Result;
use crate::optimiser::prompt_loss::prompt_loss;
use crate::run::setup::Setup;
use crate::watch::history::MeanLoss;

/// Slices of the CT that a clip is from, as the codes of time see it: as many as they tell apart.
const CT_SLICES: usize = 16;
/// Each number of the vector that queries and keys begin as. With 1 and with 5 a small model did not
/// tell two lesions apart in 20 epochs of clips, with 3 it sometimes did; 1 was tried before the random
/// part was cut down (`tests/clips.rs`).
const SAME_PLACE: f32 = 3.0;
/// What is left of the random part of queries and keys.
const ELSEWHERE: f64 = 0.1;

/// Gives the weights a memory of random weights where the recipe trains one and they have none.
///
/// # Errors
/// When the slices do not say which are neighbours, or a memory is there in part only.
pub(crate) fn provide_memory(setup: &mut Setup) -> Result<()> {
    if setup.recipe.clip_slices < 2 {
        return Ok(());
    }
    setup.train.require_neighbours()?;
    if setup.weights.names().any(|name| name.starts_with("memory_")) {
        return Ok(());
    }
    let sizes = MemoryConfig::in_proportion(Version::Sam2_1, setup.config.d_model);
    tracing::info!("the weights have no memory: it starts from random ones");
    let weights = std::mem::take(&mut setup.weights);
    setup.weights = weights.with_random_memory(&setup.config, &sizes, setup.seed)?;
    look_at_the_same_place(&mut setup.weights, &sizes, setup.config.d_model)
}

/// Queries and keys begin as one constant vector that is turned by its token's place, and little else:
/// so a token first looks at the same place of the slices before, where the angles are the same. From
/// plain random weights this alone would take most of a small training.
fn look_at_the_same_place(
    weights: &mut Weights,
    sizes: &MemoryConfig,
    d_model: usize,
) -> Result<()> {
    let bias = Tensor::full(SAME_PLACE, d_model, &Device::Cpu)?;
    for layer in 0..sizes.layers {
        for part in ["q_proj", "k_proj"] {
            let name = format!("memory_attention.layers.{layer}.cross_attn_image.{part}");
            weights.insert(format!("{name}.bias"), bias.clone());
            let weight = format!("{name}.weight");
            if let Some(drawn) = weights.get(&weight) {
                let drawn = (drawn * ELSEWHERE)?;
                weights.insert(&weight, drawn);
            }
        }
    }
    Ok(())
}

/// The mean loss of each clip's later slices and how many they are; adds to `losses`.
pub(crate) fn follow(
    (model, memory): (&Sam2, &Memory),
    features: &ImageFeatures,
    clips: &[Clip],
    scores: bool,
    losses: &mut MeanLoss,
) -> Result<Vec<(usize, Tensor)>> {
    let video = Sam2Video::new(model, memory);
    let mut parts = Vec::new();
    for clip in clips {
        let first = frame(model, features, clip.first)?;
        let mut bank = Bank::new(memory.config().num_maskmem);
        bank.add_prompted(video.teach(0, &first, Source::Points(&clip.corners), true)?.remembered);
        for (image, time, asked) in &clip.frames {
            let recalled = bank.recall(*time, Direction::Forward, CT_SLICES);
            let source = Source::Memory(&recalled, CT_SLICES);
            let present = asked.filled[0] > 0.0;
            let lesson = video.teach(*time, &frame(model, features, *image)?, source, present)?;
            let loss = prompt_loss(&lesson.answer, asked, scores)?;
            losses.add(&loss.dice.to_vec1()?, &loss.bce.to_vec1()?);
            parts.push((1, loss.total));
            bank.add_tracked(lesson.remembered);
        }
    }
    Ok(parts)
}

/// Features of image `i` of the batch, as the video path takes them.
fn frame(model: &Sam2, features: &ImageFeatures, i: usize) -> Result<FrameFeatures> {
    let of = |tensor: &Tensor| tensor.narrow(0, i, 1)?.contiguous();
    let [fine, finer] = &features.high_res;
    let one = ImageFeatures {
        image_embed: of(&features.image_embed)?,
        high_res: [of(fine)?, of(finer)?],
    };
    Ok(model.frame_of(&one)?)
}
