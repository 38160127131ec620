//! The lesion head of a run: which classes it has and where it starts.

use candle_core::Tensor;
use ild_model::Weights;

use crate::data::dataset::SliceDataset;
use crate::data::sampler::slices_of_class;
use crate::error::Result;
use crate::run::setup::Setup;

/// Share of pixels that are lesion, as a start: the first steps would otherwise push everything to
/// "no".
const LESION_SHARE: f32 = 0.03;

/// Gives the weights a lesion head for the classes on the training slices, where the recipe trains
/// one; a head of the same classes is kept.
///
/// # Errors
/// When the weights hold a head that cannot be understood.
pub fn provide_head(setup: &mut Setup) -> Result<()> {
    if !setup.recipe.trains_head() {
        return Ok(());
    }
    let classes: Vec<u8> = slices_of_class(&setup.train.labels_present()).into_keys().collect();
    let known = setup.weights.lesion_classes()?;
    if known.as_ref() == Some(&classes) {
        return Ok(());
    }
    if let Some(known) = known {
        tracing::warn!(
            "the lesion head of the weights has the classes {known:?}, the training slices {classes:?}: the head starts anew"
        );
    }
    setup.weights.add_lesion_head(&setup.config, &classes, setup.seed)?;
    start_from_shares(&mut setup.weights, &setup.train, &classes)
}

/// Output biases that answer what is true on average.
fn start_from_shares(weights: &mut Weights, train: &SliceDataset, classes: &[u8]) -> Result<()> {
    let logit = |share: f32| (share / (1.0 - share)).ln();
    let all = train.slices().len() + train.healthy().len();
    let share = |n: usize| (n as f32 + 1.0) / (all as f32 + 2.0);
    let of_class = slices_of_class(&train.labels_present());
    let mut present = vec![logit(share(train.slices().len()))];
    present.extend(classes.iter().map(|id| logit(share(of_class.get(id).map_or(0, Vec::len)))));
    let device = candle_core::Device::Cpu;
    let n = present.len();
    weights.insert(
        "lesion_head.lesion.bias",
        Tensor::from_vec(vec![logit(LESION_SHARE)], 1, &device)?,
    );
    weights.insert("lesion_head.present.layers.1.bias", Tensor::from_vec(present, n, &device)?);
    Ok(())
}
