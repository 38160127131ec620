//! Every element of every intermediate of the small models in `../shared`, frame by frame.

use std::collections::BTreeMap;

use candle_core::Tensor;
use ild_model::memory::{
    Direction, FrameOutput, MemoryConfig, Prompt, Sam2Video, Tracker, Version, mask_to_input,
};
use ild_model::{FrameFeatures, Precision, Sam2Config};
use ndarray::{Array2, ArrayD, Axis};

use super::frames::{
    Floors, Model, POINTER, UNROUNDED, assert_memory, assert_stored, differing, input, near,
    pack_bits, part_near, small_sizes, stored,
};
use super::trace::{self, Trace};
use crate::compare::{INTERMEDIATE, assert_close};
use crate::generator::{frame, moving_disc};
use crate::reading::{npz, shared, small_config, to_tensor, values};
use crate::trace::nchw;

const SIDE: usize = 128;
/// Rows and columns of the slices, before they are resized to the input.
const SLICE: (usize, usize) = (120, 100);
const BOX: [f32; 4] = [22.0, 38.0, 66.5, 82.0];
const CLICKS: [([f32; 2], i64); 2] = [([44.0, 61.0], 1), ([80.0, 20.0], 0)];
/// Weights that keep every object score above zero.
const SALT: &str = "v6";

/// As for this repository's own data (`golden.rs`).
const LOGITS: f32 = 1e-4;
const SCORE: f32 = 1e-4;
const PIXELS: u32 = 1;

struct Case {
    name: &'static str,
    version: Version,
    salt: &'static str,
    score_bias: Option<f32>,
    prompt: Prompt,
    /// Frames of the video, and the prompted one.
    frames: usize,
    start: i64,
    directions: &'static [Direction],
    /// Which direction the file tells of, where both were gone in one state.
    told: Option<Direction>,
}

const FORWARD: &[Direction] = &[Direction::Forward];
const REVERSE: &[Direction] = &[Direction::Reverse];

impl Case {
    fn new(name: &'static str, prompt: Prompt, directions: &'static [Direction]) -> Self {
        let version = if name.starts_with("small21") { Version::Sam2_1 } else { Version::Sam2 };
        Self {
            name,
            version,
            salt: SALT,
            score_bias: None,
            prompt,
            frames: 9,
            start: 4,
            directions,
            told: None,
        }
    }
}

/// What the file of a case holds, by kind.
struct Expected {
    floors: Floors,
    numbers: BTreeMap<String, ArrayD<f32>>,
    integers: BTreeMap<String, ArrayD<i32>>,
    bits: BTreeMap<String, ArrayD<u8>>,
}

fn config() -> Sam2Config {
    Sam2Config { image_size: SIDE, ..small_config() }
}

/// A place of the slice in pixels of the input.
fn to_input([x, y]: [f32; 2]) -> [f32; 2] {
    let (height, width) = SLICE;
    [x / width as f32 * SIDE as f32, y / height as f32 * SIDE as f32]
}

fn the_box() -> Vec<([f32; 2], i64)> {
    let [x0, y0, x1, y1] = BOX;
    vec![(to_input([x0, y0]), 2), (to_input([x1, y1]), 3)]
}

fn clicks() -> impl Iterator<Item = ([f32; 2], i64)> {
    CLICKS.into_iter().map(|(place, label)| (to_input(place), label))
}

fn the_disc() -> Prompt {
    Prompt::Mask(mask_to_input(moving_disc(SLICE.0, SLICE.1, 4).view(), SIDE))
}

/// Slices as the reference's loader resizes them (PIL, bicubic).
fn pictures() -> Option<Vec<Array2<u8>>> {
    let inputs = npz::<u8>(&shared("video/small_inputs.npz")?);
    let native = &inputs["native_u8"];
    assert_eq!(native.index_axis(Axis(0), 1), frame(SLICE.0, SLICE.1, 1, "small").into_dyn());
    let all = &inputs["resized_u8"];
    let two = |i| all.index_axis(Axis(0), i).to_owned().into_dimensionality().unwrap();
    Some((0..all.shape()[0]).map(two).collect())
}

fn compare(case: &Case) {
    let Some(pictures) = pictures() else { return };
    let path = shared(&format!("video/{}.npz", case.name)).unwrap();
    let expected = Expected {
        floors: Floors::read(&shared("video/noise_f32_vs_f64.json").unwrap()),
        numbers: npz(&path),
        integers: npz(&path),
        bits: npz(&path),
    };
    let sizes = small_sizes(case.version, 8, 64, 2);
    let model = Model::generated(&config(), &sizes, case.salt, case.score_bias);
    let mut tracker = Tracker::new(model.video(), case.frames);
    let picture = &pictures[case.start as usize];
    let features = model.encode(picture);
    let output = tracker.prompt(case.start, &features, &case.prompt).unwrap();
    let mut parts = prompted(model.video(), &features, &case.prompt);
    parts.extend(encoded(&model, picture, &features));
    parts.extend(trace::memory_encoder(model.video(), &features, &output, true));
    let mut compared = 0;
    if case.told.is_none() {
        compared += check(&expected, case, case.start, &tracker, &output, &parts);
    }
    for direction in case.directions {
        let told = case.told.is_none_or(|told| told == *direction);
        let times: Vec<i64> = match direction {
            Direction::Forward => (case.start + 1..case.frames as i64).collect(),
            Direction::Reverse => (0..case.start).rev().collect(),
        };
        for time in times {
            let picture = &pictures[time as usize];
            let features = model.encode(picture);
            let recalled = tracker.bank().recall(time, *direction, case.frames);
            let tokens = model.video().tokens(&recalled, case.frames).unwrap();
            let mut parts = trace::memory_attention(model.video(), &features, &tokens);
            if told {
                teach(&expected, model.video(), time, &features);
                let [maps, pointers] = trace::looked_at(&recalled);
                assert_eq!(maps, integers(&expected, time, "bank_frames_tpos"));
                assert_eq!(pointers, integers(&expected, time, "ptr_frames_dist"));
            }
            let image = model.video().conditioned(&features, &recalled, case.frames).unwrap();
            let no_mask = model.sam2.sam_prompt_encoder.no_mask_embed().clone();
            parts.extend(trace::heads(model.video(), &image, &[], &no_mask));
            let output = tracker.track(time, &features, *direction).unwrap();
            parts.extend(encoded(&model, picture, &features));
            parts.extend(trace::memory_encoder(model.video(), &features, &output, false));
            if told {
                compared += check(&expected, case, time, &tracker, &output, &parts);
            }
        }
    }
    println!("{}: {compared} arrays", case.name);
}

fn integers(expected: &Expected, time: i64, name: &str) -> Vec<i32> {
    expected.integers[&format!("f{time:02}.{name}")].iter().copied().collect()
}

/// What the image encoder gives.
fn encoded(model: &Model, picture: &Array2<u8>, features: &FrameFeatures) -> Trace {
    let encoder = &model.sam2.image_encoder;
    let stages = encoder.trunk.forward(&input(picture), Precision::F32).unwrap();
    let mut trace = Trace::new();
    for (level, stage) in stages[..2].iter().enumerate() {
        let map = encoder.neck.lateral(level).forward(stage).unwrap();
        trace.insert(format!("fpn{level}"), nchw(&map));
    }
    trace.insert("fpn2".into(), nchw(&features.vision_features));
    let side = config().embedding_size();
    let code = model.memory.frame_pos.reshape((1, side, side, config().d_model)).unwrap();
    trace.insert("fpn2_pos".into(), nchw(&code));
    trace
}

/// What the decoder gives where the user prompted.
fn prompted(video: Sam2Video, features: &FrameFeatures, prompt: &Prompt) -> Trace {
    match prompt {
        Prompt::Points(points) => {
            let no_mask = video.sam2.sam_prompt_encoder.no_mask_embed().clone();
            let image = video.sam2.without_memory(features).unwrap();
            trace::heads(video, &image, points, &no_mask)
        }
        Prompt::Mask(mask) => {
            let mask: Vec<f32> = mask.iter().copied().collect();
            let mask = Tensor::from_vec(mask, (1, 1, SIDE, SIDE), video.sam2.device()).unwrap();
            let small = video.memory.mask_prompt.downsample(&mask).unwrap();
            let dense = video.memory.mask_prompt.embed(&small).unwrap();
            let image = features.with(features.vision_features.clone());
            let mut trace = trace::heads(video, &image, &[], &dense);
            trace.insert("mask_downsample_out".into(), small);
            trace
        }
    }
}

/// The memory attention on the reference's own tokens: nothing that came before differs then.
fn teach(expected: &Expected, video: Sam2Video, time: i64, features: &FrameFeatures) {
    let array = |name: &str| expected.numbers.get(&format!("f{time:02}.memattn.{name}"));
    let (Some(memory), Some(pos)) = (array("memory"), array("memory_pos")) else { return };
    // Tokens of pointers are fewer than those of a map.
    let count = memory.shape()[0] % config().embedding_size().pow(2);
    let tokens = trace::given(&to_tensor(memory), &to_tensor(pos), count);
    for (name, found) in trace::memory_attention(video, features, &tokens) {
        if let Some(array) = expected.numbers.get(&format!("f{time:02}.{}", theirs(&name))) {
            let name = format!("taught {name}");
            assert_close(&name, &values(&found), &values(&to_tensor(array)), INTERMEDIATE);
        }
    }
}

/// A name of ours in the file's shorthand.
fn theirs(name: &str) -> String {
    let short = [
        ("memory_attention.layers.", "memattn.l"),
        ("memory_encoder.mask_downsampler.encoder.", "memenc.down"),
        ("memory_encoder.fuser.layers.", "memenc.fuser"),
        ("memory_encoder.", "memenc."),
    ];
    let name = match name {
        "memory" | "memory_pos" => format!("memattn.{name}"),
        "memory_attention" => "memattn.out".to_owned(),
        _ => name.to_owned(),
    };
    let name = short.iter().fold(name, |name, (long, short)| name.replace(long, short));
    let whole = name.strip_prefix("memattn.l").or(name.strip_prefix("memenc.fuser"));
    if whole.is_some_and(|rest| rest.parse::<usize>().is_ok()) {
        return format!("{name}.out");
    }
    name.replace(".self_attn.q_rope", ".self.q_rope")
        .replace(".self_attn.k_rope", ".self.k_rope")
        .replace(".cross_attn_image.q_rope", ".cross.q_rope")
        .replace(".cross_attn_image.k_rope", ".cross.k_rope")
        .replace(
            "cross_attn_image",
            if name.ends_with("_proj") { "cross_attn_image" } else { "cross_attn" },
        )
}

/// Results and parts of one frame; returns how many arrays were compared.
fn check(
    expected: &Expected,
    case: &Case,
    time: i64,
    tracker: &Tracker,
    output: &FrameOutput,
    parts: &Trace,
) -> usize {
    let key = |name: &str| format!("f{time:02}.{name}");
    let array = |name: &str| expected.numbers.get(&key(name)).map(|a| values(&to_tensor(a)));
    let label = |name: &str| format!("{} {}", case.name, key(name));
    let score = array("object_score_logits").unwrap();
    near(&label("score"), &[output.object_score], &score, SCORE);
    let logits = array("low_res_logits").unwrap();
    near(&label("logits"), &values(&output.low_res_masks), &logits, LOGITS);
    near(&label("pointer"), &values(&output.obj_ptr), &array("obj_ptr").unwrap(), POINTER);
    let shown = values(&output.logits(SLICE.0, SLICE.1).unwrap());
    let bits = &expected.bits[&key("video_mask_bits")];
    let differ = differing(&pack_bits(&shown), bits.iter().copied());
    assert!(differ <= PIXELS, "{}: {differ} pixels differ", label("mask"));
    if let Some(logits) = array("video_logits") {
        near(&label("video logits"), &shown, &logits, LOGITS);
    }
    let mut compared = 4;
    if let Some(map) = array("maskmem_features_bf16") {
        let found = stored(tracker.bank().get(time).unwrap());
        assert_stored(&label("stored"), &found, &map, UNROUNDED);
        compared += 1;
    }
    for (name, found) in parts {
        let Some(array) = array(&theirs(name)) else { continue };
        let found = values(found);
        compared += 1;
        match name.as_str() {
            "memory" => assert_memory(&label(name), &found, &array),
            "sam.object_score_raw" => near(&label(name), &found, &array, SCORE),
            _ => {
                let reach = expected.floors.reach("small", &theirs(name));
                part_near(&label(name), &found, &array, INTERMEDIATE, reach);
            }
        }
    }
    compared
}

#[test]
fn a_box_forward_and_back_is_pytorchs_in_every_element() {
    for (name, directions) in [
        ("small21_box_fwd", FORWARD),
        ("small21_box_rev", REVERSE),
        ("small20_box_fwd", FORWARD),
        ("small20_box_rev", REVERSE),
    ] {
        compare(&Case::new(name, Prompt::Points(the_box()), directions));
    }
}

#[test]
fn masks_and_clicks_are_pytorchs_prompts_too() {
    for (name, directions) in [
        ("small21_mask_fwd", FORWARD),
        ("small21_mask_rev", REVERSE),
        ("small20_mask_fwd", FORWARD),
        ("small20_mask_rev", REVERSE),
    ] {
        compare(&Case::new(name, the_disc(), directions));
    }
    let click = Prompt::Points(clicks().take(1).collect());
    compare(&Case::new("small21_point_fwd", click, FORWARD));
    let both = Prompt::Points(the_box().into_iter().chain(clicks()).collect());
    compare(&Case::new("small21_boxpt_fwd", both, FORWARD));
}

#[test]
fn going_back_without_forgetting_looks_at_the_way_there() {
    let case = Case::new(
        "small21_box_rev_noreset",
        Prompt::Points(the_box()),
        &[Direction::Forward, Direction::Reverse],
    );
    compare(&Case { told: Some(Direction::Reverse), ..case });
}

#[test]
fn an_object_that_goes_and_comes_back_is_followed_over_twenty_frames() {
    for name in ["small21_box_long", "small20_box_long"] {
        let case = Case::new(name, Prompt::Points(the_box()), FORWARD);
        compare(&Case { frames: 20, start: 0, ..case });
    }
}

#[test]
fn an_absent_object_has_its_own_pointer_and_mark() {
    let case = Case::new("small21_box_condocc", Prompt::Points(the_box()), FORWARD);
    compare(&Case { salt: "", ..case });
    for name in ["small21_mask_occluded", "small20_mask_occluded"] {
        let case = Case::new(name, the_disc(), FORWARD);
        compare(&Case { score_bias: Some(-0.2), ..case });
    }
}

#[test]
fn the_tensors_of_a_video_model_are_those_of_the_list() {
    let Some(path) = shared("video/state_dict_small_video_2.1.txt") else { return };
    let sizes = small_sizes(Version::Sam2_1, 8, 64, 2);
    let made = ild_model::Weights::random(&config(), 0).unwrap();
    let made = made.with_random_memory(&config(), &sizes, 0).unwrap();
    let listed = std::fs::read_to_string(path).unwrap();
    let listed: Vec<&str> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let made: std::collections::BTreeSet<&str> = made.names().collect();
    let listed: std::collections::BTreeSet<&str> = listed.into_iter().collect();
    assert_eq!(made, listed);
    let read: MemoryConfig = MemoryConfig::of(
        &ild_model::Weights::random(&config(), 0)
            .unwrap()
            .with_random_memory(&config(), &sizes, 0)
            .unwrap(),
        config().d_model,
    )
    .unwrap();
    assert_eq!(read, sizes);
}
