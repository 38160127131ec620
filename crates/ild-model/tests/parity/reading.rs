//! Arrays and words that another program wrote.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ild_model::{Sam2Config, Weights};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

/// The repository's own golden data.
pub fn golden(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/model")).join(file)
}

/// A file of the larger set beside the workspace, if it is there.
pub fn shared(file: &str) -> Option<PathBuf> {
    ild_test_support::shared(&format!("fixtures/{file}"))
}

/// The arrays of one element type of an `.npz`.
pub fn npz<T: ReadableElement + Clone>(path: &Path) -> BTreeMap<String, ArrayD<T>> {
    let mut reader = NpzReader::new(
        File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap();
    let names = reader.names().unwrap();
    let arrays = names.into_iter().filter_map(|name| {
        let array = reader.by_name::<OwnedRepr<T>, IxDyn>(&name).ok()?;
        Some((name.trim_end_matches(".npy").to_owned(), array))
    });
    arrays.collect()
}

pub fn to_tensor(array: &ArrayD<f32>) -> Tensor {
    let values: Vec<f32> = array.iter().copied().collect();
    Tensor::from_vec(values, array.shape(), &Device::Cpu).unwrap()
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The names of a JSON list.
pub fn names(list: &serde_json::Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The model of the golden data: 256 pixels, three windows that need padding, one global block.
pub fn small_config() -> Sam2Config {
    Sam2Config {
        image_size: 256,
        embed_dim: 8,
        num_heads: 1,
        stages: [1, 2, 3, 2],
        window_spec: [8, 4, 14, 7],
        global_att_blocks: vec![4],
        window_pos_embed_bkg_spatial_size: [7, 7],
        d_model: 32,
        mlp_dim: 2048,
        dynamic_multimask_via_stability: true,
        drawn_prompts: false,
    }
}

/// The same weights with the masks of token 0 made 64 times steeper: few logits near 0, so that
/// evaluation keeps it.
pub fn steeper(mut weights: Weights) -> Weights {
    for part in ["weight", "bias"] {
        let name = format!("sam_mask_decoder.output_hypernetworks_mlps.0.layers.2.{part}");
        let tensor = (weights.get(&name).unwrap() * 64.0).unwrap();
        weights.insert(name, tensor);
    }
    weights
}
