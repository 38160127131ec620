//! Weights, pictures and sample places from formulas, the same in every language
//! (`tests/golden/model/reference.py`).

use candle_core::{Device, Tensor};
use ild_model::{Sam2Config, Weights};
use ndarray::{Array2, Array3};

fn fnv1a64(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The stream of numbers that belongs to a name (splitmix64, Steele et al. 2014).
fn stream(name: &str) -> impl Iterator<Item = u64> {
    let seed = fnv1a64(name);
    (1u64..).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

const EMBEDDINGS: [&str; 10] = [
    "iou_token.weight",
    "mask_tokens.weight",
    "obj_score_token.weight",
    "point_embeddings",
    "not_a_point_embed",
    "no_mask_embed",
    "pos_embed",
    "no_mem",
    "no_obj",
    "tpos_enc",
];

/// Offset and scale of a weight, from its name and shape.
fn offset_and_scale(name: &str, shape: &[usize]) -> (f64, f64) {
    if name.ends_with("positional_encoding_gaussian_matrix") {
        (0.0, 3f64.sqrt())
    } else if EMBEDDINGS.iter().any(|part| name.contains(part)) {
        (0.0, 0.5)
    } else if shape.len() == 1 {
        if name.ends_with(".weight") || name.ends_with(".gamma") { (1.0, 0.2) } else { (0.0, 0.1) }
    } else {
        (0.0, (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt())
    }
}

/// One generated weight.
pub fn tensor(name: &str, shape: &[usize]) -> Tensor {
    salted(name, shape, "")
}

/// The same with other values of the same kind.
pub fn salted(name: &str, shape: &[usize], salt: &str) -> Tensor {
    let (offset, scale) = offset_and_scale(name, shape);
    let unit = |z: u64| 2.0 * ((z >> 11) as f64 * 2f64.powi(-53)) - 1.0;
    let seed = if salt.is_empty() { name.to_owned() } else { format!("{name}#{salt}") };
    let values: Vec<f32> = stream(&seed)
        .take(shape.iter().product())
        .map(|z| (offset + scale * unit(z)) as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Generated weights of the whole image path.
pub fn weights(config: &Sam2Config) -> Weights {
    let names_and_shapes = Weights::random(config, 0).unwrap();
    Weights::from_tensors(
        names_and_shapes.iter().map(|(name, like)| (name.to_owned(), tensor(name, like.dims()))),
    )
    .unwrap()
}

/// A grey picture of stripes, a disc and noise: `[y, x]`.
pub fn picture(height: usize, width: usize, name: &str) -> Array2<u8> {
    let triangle = |t: usize, p: usize| (t % (2 * p)).abs_diff(p) * 255 / p;
    let (cy, cx, r) = (height * 55 / 100, width * 40 / 100, height.min(width) * 14 / 100);
    let noise: Vec<u64> = stream(name).take(height * width).collect();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let stripes = (triangle(x, 97) + triangle(y, 61) + triangle(x + 2 * y, 143)) / 3;
        let inside = x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < r * r;
        let value = (stripes + (noise[y * width + x] & 31) as usize + if inside { 80 } else { 0 })
            as i64
            - 16;
        value.clamp(0, 255) as u8
    })
}

/// Frame `k` of the videos in `../shared`: bands that drift, noise, and a bright disc that drifts
/// and breathes.
pub fn frame(height: usize, width: usize, k: usize, name: &str) -> Array2<u8> {
    let triangle = |t: i64, p: i64| (t.rem_euclid(2 * p) - p).abs() * 255 / p;
    let noise: Vec<u64> = stream(&format!("{name}/{k}")).take(height * width).collect();
    let disc = moving_disc(height, width, k);
    let shift = k as i64;
    Array2::from_shape_fn((height, width), |(row, column)| {
        let (y, x) = (row as i64, column as i64);
        let bands = triangle(x + y + 2 * shift, 97) + triangle(3 * y - x + 5 * shift, 131);
        let noise = (noise[row * width + column] & 31) as i64;
        let value = (bands + triangle(x, 61)).div_euclid(3) + noise - 16;
        (value + if disc[(row, column)] { 80 } else { 0 }).clamp(0, 255) as u8
    })
}

/// The disc of frame `k`.
pub fn moving_disc(height: usize, width: usize, k: usize) -> Array2<bool> {
    let (cx, cy) = (width * (40 + k) / 100, height * (55 - k) / 100);
    let r = height.min(width) * (18 - k % 5) / 100;
    Array2::from_shape_fn((height, width), |(y, x)| {
        x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < r * r
    })
}

/// The picture with three equal channels: `[y, x, 3]`.
pub fn rgb(picture: &Array2<u8>) -> Array3<u8> {
    Array3::from_shape_fn((picture.nrows(), picture.ncols(), 3), |(y, x, _)| picture[(y, x)])
}

/// Which `k` of `n` elements are sampled.
pub fn places(n: usize, k: usize) -> Vec<usize> {
    stream("sample_idx").take(k.min(n)).map(|z| (z % n as u64) as usize).collect()
}

#[test]
fn the_generator_gives_the_published_numbers() {
    assert_eq!(fnv1a64("a"), 0xaf63_dc4c_8601_ec8c);
    let matrix =
        tensor("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", &[2, 128]);
    let matrix = matrix.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(matrix[..3], [-0.489_121_05, 1.085_509_9, 0.199_021_3]);
    assert_eq!(matrix[255], 1.052_569_2);
    let norm = tensor("image_encoder.trunk.blocks.0.norm1.weight", &[96]).to_vec1::<f32>().unwrap();
    assert_eq!(norm[..2], [0.941_697_96, 1.122_695_4]);
    let full = picture(512, 512, "full_img512");
    assert_eq!(full.iter().map(|v| u64::from(*v)).sum::<u64>(), 34_183_462);
    assert_eq!(full[(281, 204)], 232);
    let frame = frame(512, 512, 0, "vid");
    assert_eq!(frame.iter().map(|v| u64::from(*v)).sum::<u64>(), 35_357_768);
    assert_eq!(frame.iter().take(6).copied().collect::<Vec<_>>(), [252, 255, 252, 255, 243, 251]);
}
