//! From flags to a [`Setup`]: data looked through, weights read, and everything worth a word said
//! before the first step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ild_model::{Sam2Config, Weights, open_device};

use crate::data::dataset::SliceDataset;
use crate::data::sampler::slices_of_class;
use crate::data::sidecar::Sidecar;
use crate::error::{Error, Result};
use crate::peers::Alone;
use crate::run::args::TrainArgs;
use crate::run::setup::Setup;
use crate::run::start::Start;
use crate::run::state::read_state_weights;
use crate::run::trained_on::{CASES, known_cases, note_differences};

/// Reads everything that the flags name.
///
/// # Errors
/// When there is nothing to train on, or a file is refused.
pub fn prepare(args: &TrainArgs, common: &ild_cli::Common, start: &Start) -> Result<Setup> {
    args.recipe.check()?;
    let config = Sam2Config::from_name_or_file(&args.model)?;
    let sidecar = Sidecar::read(&args.npy_dir)?;
    let train = training_slices(&args.npy_dir, &sidecar)?;
    let valid = validation_slices(&args.npy_dir, &sidecar)?;
    let weights = starting_weights(args, &config, &sidecar, common.seed, start)?;
    let known = known_cases(&sidecar);
    let label_table = sidecar.label_table.unwrap_or_default();
    let mut metadata = BTreeMap::from([("task".to_owned(), args.task_name.clone())]);
    if let Some(window) = sidecar.window {
        metadata.insert("window".to_owned(), window.to_string());
    }
    metadata.extend(known.map(|known| (CASES.to_owned(), known)));
    Ok(Setup {
        model: args.model.clone(),
        device: open_device(common.device)?,
        config,
        weights,
        train: Arc::new(train),
        valid: valid.map(Arc::new),
        recipe: args.recipe.clone(),
        seed: common.seed,
        loader_threads: usize::from(args.loader_threads),
        save_every_steps: args.save_every_steps,
        label_table,
        metadata,
        made_from: BTreeMap::new(),
        peers: Arc::new(Alone),
    })
}

/// Weights the model is built from: those of the run that goes on, else the pretrained, else random
/// ones.
fn starting_weights(
    args: &TrainArgs,
    config: &Sam2Config,
    sidecar: &Sidecar,
    seed: u64,
    start: &Start,
) -> Result<Weights> {
    let given = match start {
        Start::Resume(state) => return read_state_weights(state),
        Start::ResumeReference(checkpoint) => Some(checkpoint),
        Start::Fresh | Start::Done(_) => args.pretrained.as_ref(),
    };
    if let Some(path) = given {
        let weights = Weights::read(path)?;
        weights.require_finite(path)?;
        note_differences(path, &weights, sidecar);
        return Ok(weights);
    }
    if args.model != "nano" {
        let model = &args.model;
        tracing::warn!(
            "no --pretrained: model {model} starts from random weights, which takes far more data than fine-tuning"
        );
    }
    Ok(Weights::random(config, seed)?)
}

fn training_slices(npy_dir: &Path, sidecar: &Sidecar) -> Result<SliceDataset> {
    let folder = npy_dir.join("train");
    let train = SliceDataset::open_declared(&folder, &sidecar.declared("train"))?;
    say_what_is_left_out(&train, "training");
    if train.slices().is_empty() {
        let (found, next) = match train.without_label.len() {
            0 => ("no gts/*.npy".to_owned(), "make them with ild-preprocess npz-to-npy"),
            n => (
                format!("{n} slices, all without a label at 256²"),
                "look at the labels: were they removed as dust, or are they thinner than two pixels?",
            ),
        };
        return Err(Error::NothingToTrainOn { folder, found, next });
    }
    let classes = slices_of_class(&train.labels_present());
    let table = sidecar.label_table.clone().unwrap_or_default();
    let learned = |id: &u8| classes.contains_key(id) || train.ignored() == Some(*id);
    for (id, _) in table.classes.iter().filter(|(id, _)| !learned(id)) {
        tracing::warn!(
            "label {id} ({}) is on no training slice: the model will not learn it",
            table.name(*id)
        );
    }
    for id in classes.keys().filter(|id| !table.classes.contains_key(id)) {
        tracing::warn!("label {id} is on training slices but not in the label table");
    }
    Ok(train)
}

fn validation_slices(npy_dir: &Path, sidecar: &Sidecar) -> Result<Option<SliceDataset>> {
    let valid = SliceDataset::open_declared(&npy_dir.join("valid"), &sidecar.declared("valid"))?;
    say_what_is_left_out(&valid, "validation");
    if valid.slices().is_empty() {
        tracing::warn!(
            "no validation slices in {}: the best epoch is chosen by the training loss",
            npy_dir.join("valid").display()
        );
        return Ok(None);
    }
    Ok(Some(valid))
}

fn say_what_is_left_out(data: &SliceDataset, what: &str) {
    if let [first, ..] = &data.without_label[..] {
        tracing::warn!(
            "{} {what} slices hold no label at 256² and are left out, {first} first",
            data.without_label.len()
        );
    }
    if let [first, ..] = &data.without_label_file[..] {
        tracing::warn!(
            "{} {what} images have no label file and are left out, {first} first",
            data.without_label_file.len()
        );
    }
}
