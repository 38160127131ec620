//! Every intermediate of a frame, under SAM 2's names.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use ild_model::FrameFeatures;
use ild_model::memory::bank::Recalled;
use ild_model::memory::memory_attention::{MemoryTokens, RoPEAttention};
use ild_model::memory::position::Rotation;
use ild_model::memory::{FrameOutput, Sam2Video};
use ild_ops as ops;

use crate::trace::nchw;

pub type Trace = BTreeMap<String, Tensor>;

/// What the memory attention does with a frame.
pub fn memory_attention(video: Sam2Video, frame: &FrameFeatures, tokens: &MemoryTokens) -> Trace {
    let (attention, rotation) = (&video.memory.memory_attention, &video.memory.rotation);
    let (_, h, w, d) = frame.vision_features.dims4().unwrap();
    let flat = frame.vision_features.reshape((1, h * w, d)).unwrap();
    let keys = (&tokens.memory + &tokens.memory_pos).unwrap();
    let turned = keys.dim(1).unwrap() - tokens.pointer_tokens;
    let mut trace = Trace::new();
    trace.insert("memory".into(), tokens.memory.clone());
    trace.insert("memory_pos".into(), tokens.memory_pos.clone());
    let mut x = attention.input(&flat, &video.memory.frame_pos).unwrap();
    for (i, layer) in attention.layers.iter().enumerate() {
        let mut put = |part: &str, tensor: Tensor| {
            trace.insert(format!("memory_attention.layers.{i}{part}"), tensor);
        };
        let normed = layer.norm1.forward(&x).unwrap();
        projections(
            &layer.self_attn,
            ".self_attn",
            &normed,
            [&normed, &normed],
            h * w,
            rotation,
            &mut put,
        );
        put(".norm1", normed);
        let attended = layer.attend_self(&x, rotation).unwrap();
        put(".self_attn", (&attended - &x).unwrap());
        let normed = layer.norm2.forward(&attended).unwrap();
        let cross = &layer.cross_attn_image;
        projections(
            cross,
            ".cross_attn_image",
            &normed,
            [&keys, &tokens.memory],
            turned,
            rotation,
            &mut put,
        );
        put(".norm2", normed);
        let looked = layer.attend_memory(&attended, tokens, &keys, rotation).unwrap();
        put(".cross_attn_image", (&looked - &attended).unwrap());
        let normed = layer.norm3.forward(&looked).unwrap();
        put(".linear1", layer.linear1.forward(&normed).unwrap());
        put(".norm3", normed);
        x = layer.feed_forward(&looked).unwrap();
        put("", x.clone());
    }
    let out = attention.forward(&flat, &video.memory.frame_pos, tokens, rotation).unwrap();
    trace.insert("memory_attention".into(), out);
    trace
}

fn projections(
    attention: &RoPEAttention,
    name: &str,
    q: &Tensor,
    [k, v]: [&Tensor; 2],
    turned: usize,
    rotation: &Rotation,
    put: &mut impl FnMut(&str, Tensor),
) {
    put(&format!("{name}.q_proj"), attention.q_proj.forward(q).unwrap());
    put(&format!("{name}.k_proj"), attention.k_proj.forward(k).unwrap());
    put(&format!("{name}.v_proj"), attention.v_proj.forward(v).unwrap());
    put(&format!("{name}.q_rope"), attention.queries(q, rotation).unwrap());
    let keys = attention.keys(k, rotation, turned).unwrap();
    put(&format!("{name}.k_rope"), keys.narrow(1, 0, turned).unwrap());
}

/// What the memory encoder does with a frame and its result.
pub fn memory_encoder(
    video: Sam2Video,
    frame: &FrameFeatures,
    output: &FrameOutput,
    prompted: bool,
) -> Trace {
    let (encoder, s) = (&video.memory.memory_encoder, video.sam2.config().image_size);
    let logits = ops::upsample_bilinear(&output.low_res_masks, s, s).unwrap();
    let mask = encoder.mask_to_encode(&logits, prompted).unwrap();
    let mut trace = Trace::new();
    let mut put = |part: String, map: &Tensor| {
        trace.insert(format!("memory_encoder.{part}"), nchw(map));
    };
    put("mask_in".into(), &mask);
    let mut x = mask.clone();
    for (i, (conv, norm)) in encoder.mask_downsampler.steps.iter().enumerate() {
        x = conv.forward(&x).unwrap();
        put(format!("mask_downsampler.encoder.{}", 3 * i), &x);
        x = norm.forward(&x).unwrap();
        put(format!("mask_downsampler.encoder.{}", 3 * i + 1), &x);
        x = ops::gelu(&x).unwrap();
    }
    let down = encoder.mask_downsampler.forward(&mask).unwrap();
    put("mask_downsampler.encoder.12".into(), &down);
    let projected = encoder.pix_feat_proj.forward(&frame.vision_features).unwrap();
    put("pix_feat_proj".into(), &projected);
    let mut x = (projected + down).unwrap();
    for (i, block) in encoder.fuser.iter().enumerate() {
        put(format!("fuser.layers.{i}.dwconv"), &block.depthwise(&x).unwrap());
        x = block.forward(&x).unwrap();
        put(format!("fuser.layers.{i}"), &x);
    }
    put("out_proj".into(), &encoder.forward(&frame.vision_features, &mask).unwrap());
    let side = video.sam2.config().embedding_size();
    let code = &video.memory.map_pos;
    let code = code.reshape((1, side, side, code.dim(2).unwrap())).unwrap();
    put("pos".into(), &code);
    trace
}

/// What the decoder says of a frame that the memory attention has seen, or of a prompted one.
pub fn heads(
    video: Sam2Video,
    features: &ild_model::ImageFeatures,
    points: &[([f32; 2], i64)],
    dense: &Tensor,
) -> Trace {
    let (device, encoder) = (video.sam2.device(), &video.sam2.sam_prompt_encoder);
    let none = [([0.0; 2], -1)];
    let points = if points.is_empty() { &none[..] } else { points };
    let places: Vec<f32> = points.iter().flat_map(|(place, _)| *place).collect();
    let labels: Vec<i64> = points.iter().map(|(_, label)| *label).collect();
    let places = Tensor::from_vec(places, (1, points.len(), 2), device).unwrap();
    let labels = Tensor::from_vec(labels, (1, points.len()), device).unwrap();
    let sparse = encoder.embed_points(&places, &labels).unwrap();
    let all = video.sam2.decode_with(features, &sparse, dense).unwrap();
    let (_, h, w, d) = features.image_embed.dims4().unwrap();
    let dense = dense.broadcast_as((1, h, w, d)).unwrap();
    Trace::from([
        ("sparse".into(), sparse),
        ("dense".into(), nchw(&dense)),
        ("sam.backbone_features".into(), nchw(&features.image_embed)),
        ("sam.masks_all".into(), all.logits),
        ("sam.mask_tokens_out".into(), all.mask_tokens),
        ("sam.iou_all".into(), all.iou),
        ("sam.object_score_raw".into(), all.object_score),
    ])
}

/// Frame and place in time of each map, frame and distance of each pointer, in order.
pub fn looked_at(recalled: &Recalled) -> [Vec<i32>; 2] {
    let maps = recalled.maps.iter().flat_map(|(place, f)| [f.time as i32, *place as i32]);
    let pointers = recalled.pointers.iter().flat_map(|(away, f)| [f.time as i32, *away as i32]);
    [maps.collect(), pointers.collect()]
}

/// The tokens that the reference gave, in place of ours: what follows is then compared without the
/// rounding of what came before.
pub fn given(memory: &Tensor, memory_pos: &Tensor, pointer_tokens: usize) -> MemoryTokens {
    let batch_first = |tensor: &Tensor| {
        let (l, _, m) = tensor.dims3().unwrap();
        tensor.reshape((1, l, m)).unwrap().to_dtype(DType::F32).unwrap()
    };
    MemoryTokens {
        memory: batch_first(memory),
        memory_pos: batch_first(memory_pos),
        pointer_tokens,
    }
}
