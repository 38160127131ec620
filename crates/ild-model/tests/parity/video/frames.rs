//! Models, frames and prompts of the golden data, and what is compared on every frame.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use ild_model::memory::{Memory, MemoryConfig, Remembered, Sam2Video, Version};
use ild_model::{FrameFeatures, Sam2, Sam2Config, Weights, image_to_input};
use ndarray::Array2;

use crate::compare::distance;
use crate::generator::{rgb, salted};
use crate::reading::values;

/// The bias of the object score, which some cases replace.
const SCORE_BIAS: &str = "sam_mask_decoder.pred_obj_score_head.layers.2.bias";

/// Stored maps: of the elements at most this share may be another bf16 number, one step away. The
/// reference in f32 and in f64 differ in up to 1.2 % of the samples of a map.
const STEPPED: f64 = 0.02;

/// Object pointers, whose numbers are of order 1.
pub const POINTER: f32 = 2e-4;

/// Maps of small models before they are rounded; the reference in f32 is within 2.8e-5 of itself in
/// f64.
pub const UNROUNDED: f32 = 1e-4;

/// Generated weights with a memory.
pub fn weights_of(config: &Sam2Config, sizes: &MemoryConfig, salt: &str) -> Weights {
    let shapes = Weights::random(config, 0).unwrap();
    let shapes = shapes.with_random_memory(config, sizes, 0).unwrap();
    let made = shapes.iter().map(|(name, like)| (name.to_owned(), salted(name, like.dims(), salt)));
    Weights::from_tensors(made).unwrap()
}

/// A model of generated weights and its memory.
pub struct Model {
    pub sam2: Sam2,
    pub memory: Memory,
}

impl Model {
    pub fn generated(
        config: &Sam2Config,
        sizes: &MemoryConfig,
        salt: &str,
        score_bias: Option<f32>,
    ) -> Self {
        let mut weights = weights_of(config, sizes, salt);
        if let Some(bias) = score_bias {
            weights.insert(SCORE_BIAS, Tensor::new(&[bias], &Device::Cpu).unwrap());
        }
        let (sam2, _) = Sam2::load(config, &weights, &Device::Cpu).unwrap();
        let (memory, _) = Memory::load(config, &weights, &Device::Cpu).unwrap();
        Self { sam2, memory }
    }

    pub fn video(&self) -> Sam2Video<'_> {
        Sam2Video::new(&self.sam2, &self.memory)
    }

    /// A picture of the input's size, encoded.
    pub fn encode(&self, picture: &Array2<u8>) -> FrameFeatures {
        self.sam2.encode_frame(&input(picture)).unwrap()
    }
}

pub fn input(picture: &Array2<u8>) -> Tensor {
    let (h, w) = picture.dim();
    let input = image_to_input(rgb(picture).view(), h).into_raw_vec_and_offset().0;
    Tensor::from_vec(input, (1, 3, h, w), &Device::Cpu).unwrap()
}

/// Everything that can be left out of a description is.
pub fn small_sizes(version: Version, mem_dim: usize, ffn: usize, fuser: usize) -> MemoryConfig {
    MemoryConfig {
        mem_dim,
        layers: 2,
        dim_feedforward: ffn,
        fuser_layers: fuser,
        ..MemoryConfig::published(version)
    }
}

/// A disc of 0 and 1.
pub fn disc(side: usize, (cx, cy): (usize, usize), square: usize) -> Array2<bool> {
    Array2::from_shape_fn((side, side), |(y, x)| {
        x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < square
    })
}

/// `np.packbits` of what is above 0.
pub fn pack_bits(values: &[f32]) -> Vec<u8> {
    let byte = |bits: &[f32]| {
        bits.iter().enumerate().fold(0, |byte, (i, v)| byte | (u8::from(*v > 0.0) << (7 - i)))
    };
    values.chunks(8).map(byte).collect()
}

/// Pixels that differ.
pub fn differing(found: &[u8], expected: impl IntoIterator<Item = u8>) -> u32 {
    found.iter().zip(expected).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// A stored map as the reference lays it out: `[mem_dim, n]`.
pub fn stored(frame: &Remembered) -> Vec<f32> {
    let map = frame.map.as_ref().unwrap().to_dtype(candle_core::DType::F32).unwrap();
    values(&map.squeeze(0).unwrap().t().unwrap().contiguous().unwrap())
}

/// How far the reference in f32 is from itself in f64, by case and part, and the largest value of the
/// part; worst over the frames of the case.
pub struct Floors(BTreeMap<String, BTreeMap<String, [f32; 2]>>);

impl Floors {
    pub fn read(path: &Path) -> Self {
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// The reference's f32 and ours each lie about a floor beside what is exact: both together. The
    /// worst of all `cases` (the beginning of their names), because a bf16 step that one case was
    /// spared costs another as much. 0 for a part of which none says anything.
    pub fn reach(&self, cases: &str, part: &str) -> f32 {
        let alike = self.0.iter().filter(|(case, _)| case.starts_with(cases));
        2.0 * alike.filter_map(|(_, parts)| parts.get(part)).fold(0f32, |most, [f, _]| most.max(*f))
    }
}

/// Asserts that a part is within `relative` of its largest value, or within reach of its floor.
pub fn part_near(name: &str, found: &[f32], expected: &[f32], relative: f32, reach: f32) {
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    near(name, found, expected, (relative * largest).max(reach));
}

/// Asserts that two stored maps are the same but for rounding at the border between two steps.
/// Near 0 a step is smaller than what they may be apart before the rounding.
pub fn assert_stored(name: &str, found: &[f32], expected: &[f32], unrounded: f32) {
    let stepped = steps(found, expected, unrounded, 0.0).unwrap();
    println!("{name}: {stepped} steps");
    assert_few(name, stepped, expected.len());
}

/// The same of tokens: maps with pointers behind them, which are f32.
pub fn assert_memory(name: &str, found: &[f32], expected: &[f32]) {
    let stepped = steps(found, expected, POINTER, POINTER).unwrap();
    assert_few(name, stepped, expected.len());
}

/// How many elements are one bf16 step away; an error when one is farther.
pub fn steps(found: &[f32], expected: &[f32], unrounded: f32, equal: f32) -> Result<usize, String> {
    assert_eq!(found.len(), expected.len());
    let mut stepped = 0;
    for (a, b) in found.iter().zip(expected) {
        // One step of bf16 is 2⁻⁷ of the lowest number of a binade, and less of all others.
        let (step, apart) = (b.abs() / 128.0, (a - b).abs());
        if apart > step.max(unrounded) {
            return Err(format!("{a}, expected {b}"));
        }
        stepped += usize::from(apart > equal);
    }
    Ok(stepped)
}

/// Asserts that no more than their share is a step away.
pub fn assert_few(name: &str, stepped: usize, of: usize) {
    let allowed = (STEPPED * of as f64).ceil() as usize;
    assert!(stepped <= allowed, "{name}: {stepped} of {of} a bf16 step away, allowed {allowed}");
}

/// Prints the difference and asserts that it is within reach.
pub fn near(name: &str, found: &[f32], expected: &[f32], absolute: f32) {
    let distance = distance(found, expected);
    println!("{name}: {distance:?}");
    assert!(distance.absolute <= absolute, "{name}: {distance:?}, allowed {absolute}");
}
