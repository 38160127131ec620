//! The lesion head of a run: which classes it has and where it starts.

use candle_core::Tensor;
use ild_io::LabelTable;
use ild_model::Weights;

use crate::data::dataset::SliceDataset;
use crate::data::sampler::slices_of_class;
use crate::error::Result;
use crate::run::setup::Setup;
use crate::run::trained_on::{LABEL_TABLE, label_table_of, table_text};

/// Share of pixels that are lesion, as a start: the first steps would otherwise push everything to
/// "no".
const LESION_SHARE: f32 = 0.03;

/// Gives the weights a lesion head for the classes on the training slices, where the recipe trains
/// one; a head of the same classes, by id and by name, is kept.
///
/// # Errors
/// When the weights hold a head that cannot be understood.
pub fn provide_head(setup: &mut Setup) -> Result<()> {
    if !setup.recipe.trains_head() {
        return Ok(());
    }
    let classes: Vec<u8> = slices_of_class(&setup.train.labels_present()).into_keys().collect();
    let known = setup.weights.lesion_classes()?;
    let learned = label_table_of(&setup.weights);
    let renamed = learned.and_then(|learned| other_name(&classes, &learned, &setup.label_table));
    match (known, renamed) {
        (Some(known), None) if known == classes => return Ok(()),
        (Some(known), None) => tracing::warn!(
            "the lesion head of the weights has the classes {known:?}, the training slices {classes:?}: the head starts anew"
        ),
        (Some(_), Some((id, was, is))) => tracing::warn!(
            "the lesion head of the weights calls label {id} `{was}`, this cohort `{is}`: the head starts anew"
        ),
        (None, _) => {}
    }
    setup.weights.add_lesion_head(&setup.config, &classes, setup.seed)?;
    // From here on the head speaks of this cohort's classes, also when the run goes on later.
    setup.weights.metadata.insert(LABEL_TABLE.to_owned(), table_text(&setup.label_table));
    start_from_shares(&mut setup.weights, &setup.train, &classes)
}

/// The first of `classes` that the two tables call otherwise.
fn other_name(
    classes: &[u8],
    learned: &LabelTable,
    cohort: &LabelTable,
) -> Option<(u8, String, String)> {
    let names = classes.iter().map(|&id| (id, learned.name(id), cohort.name(id)));
    names.into_iter().find(|(_, was, is)| was != is)
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
