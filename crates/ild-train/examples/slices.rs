//! How well a checkpoint answers prompts and segments without them on the slices of an npy folder:
//!
//! ```text
//! cargo run --release --example slices -- best.safetensors nano npy/valid
//! ```

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use ild_model::{Sam2, Sam2Config, Weights, lesion_head};
use ild_train::{
    Alone, Asking, Augmentation, DenseTarget, ItemSettings, Overlap, SliceDataset, Worst, validate,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, model, folder] = &arguments[..] else {
        anyhow::bail!("expected CHECKPOINT MODEL FOLDER, found {arguments:?}")
    };
    let config = Sam2Config::from_name_or_file(model)?;
    let weights = Weights::read(Path::new(checkpoint))?;
    let (model, _) = Sam2::load(&config, &weights, &Device::Cpu)?;
    let data = Arc::new(SliceDataset::open(Path::new(folder))?);
    let items = ItemSettings {
        clip_slices: 1,
        asking: Asking::Mixed(1),
        image_size: config.image_size,
        bbox_shift: 5,
        augmentation: Augmentation::default(),
        seed: 2024,
        threads: 1,
    };
    let head = model.lesion_head().map(|head| {
        let classes = head.classes().to_vec();
        DenseTarget::new(classes.clone(), &vec![1; classes.len()], lesion_head::map_side(&config))
    });
    let found = validate(&model, &data, &items, head.as_ref(), 4, &Alone, &mut Worst::default())?;
    println!("{} slices, {} lesions", data.slices().len(), found.loss.items);
    for (id, dice) in &found.dice_of_class {
        println!("box of one lesion, label {id}: mean Dice {:.3} (n {})", dice.mean(), dice.masks);
    }
    let shown = |overlap: &Overlap| overlap.dice().map_or("–".to_owned(), |d| format!("{d:.3}"));
    if let Some(head) = &found.head {
        for (id, overlap) in &head.of_class {
            println!("no prompt, label {id}: Dice {} over all slices", shown(overlap));
        }
        println!(
            "no prompt, any class: Dice {}; mean of classes {:.3}",
            shown(&head.any),
            head.mean_dice().unwrap_or(f64::NAN)
        );
    }
    Ok(())
}
