//! Every intermediate of one pass under the reference's names and in its layout.

use std::collections::BTreeMap;

use candle_core::Tensor;
use ild_model::config::MASK_TOKENS;
use ild_model::decoder::transformer::TwoWayAttentionBlock;
use ild_model::{ImageFeatures, Precision, Sam2};

pub type Trace = BTreeMap<String, Tensor>;

/// All of an image and a box each.
pub fn trace(model: &Sam2, x: &Tensor, boxes: &Tensor) -> Trace {
    let mut trace = Trace::new();
    trunk_and_neck(model, x, &mut trace);
    let features = model.encode_image(x).unwrap();
    let prompt = model.sam_prompt_encoder.embed_boxes(boxes).unwrap();
    let mut put = |name: &str, tensor: &Tensor| trace.insert(name.to_owned(), tensor.clone());
    put("image_embed", &nchw(&features.image_embed));
    put("image_embed_with_no_mem", &nchw(&features.image_embed));
    for (name, map) in ["high_res_feats0", "high_res_feats1"].into_iter().zip(&features.high_res) {
        put(name, &nchw(map));
    }
    put("sparse_embeddings", &prompt);
    let (side, d) = (model.config().embedding_size(), model.config().d_model);
    put(
        "dense_pe",
        &nchw(&model.sam_prompt_encoder.dense_pe().reshape((1, side, side, d)).unwrap()),
    );
    let dense = model.sam_prompt_encoder.no_mask_embed().reshape((1, d, 1, 1)).unwrap();
    put("dense_embeddings", &dense.broadcast_as((boxes.dim(0).unwrap(), d, side, side)).unwrap());
    decoder(model, &features, &prompt, &mut trace);
    trace
}

fn trunk_and_neck(model: &Sam2, x: &Tensor, trace: &mut Trace) {
    let encoder = &model.image_encoder;
    trace.insert("patch_embed_nhwc".into(), encoder.trunk.patch_embed.forward(x).unwrap());
    let side = model.config().mask_size();
    trace.insert("pos_embed_full_nhwc".into(), encoder.trunk.position.forward(side, side).unwrap());
    let mut map = encoder.trunk.embed(x).unwrap();
    for (i, block) in encoder.trunk.blocks.iter().enumerate() {
        let normed = block.normed(&map).unwrap();
        let out = block.forward(&map, Precision::F32).unwrap();
        let zeros = out.zeros_like().unwrap();
        trace.insert(format!("block{i:02}_norm1"), normed.clone());
        trace.insert(format!("block{i:02}_qkv"), block.attn.project(&normed).unwrap());
        trace.insert(format!("block{i:02}_attn_out"), block.attn.forward(&normed, &zeros).unwrap());
        trace.insert(format!("block{i:02}_out_nhwc"), out.clone());
        map = out;
    }
    let stages = encoder.trunk.forward(x, Precision::F32).unwrap();
    for (level, stage) in stages.iter().enumerate() {
        let lateral = encoder.neck.lateral(level).forward(stage).unwrap();
        trace.insert(format!("neck_lateral_convs{}", 3 - level), nchw(&lateral));
    }
    let neck = &encoder.neck;
    let levels = [
        neck.lateral(0).forward(&stages[0]).unwrap(),
        neck.lateral(1).forward(&stages[1]).unwrap(),
        neck.top_down(&stages[2], &stages[3]).unwrap(),
    ];
    for (level, map) in levels.iter().enumerate() {
        trace.insert(format!("fpn_level{level}"), nchw(map));
    }
    trace.insert("fpn_level3".into(), trace["neck_lateral_convs0"].clone());
    let decoder = &model.sam_mask_decoder;
    trace.insert("conv_s0_out".into(), nchw(&decoder.conv_s0.forward(&levels[0]).unwrap()));
    trace.insert("conv_s1_out".into(), nchw(&decoder.conv_s1.forward(&levels[1]).unwrap()));
}

fn decoder(model: &Sam2, features: &ImageFeatures, prompt: &Tensor, trace: &mut Trace) {
    let (decoder, encoder) = (&model.sam_mask_decoder, &model.sam_prompt_encoder);
    let (b, h, w, d) = features.image_embed.dims4().unwrap();
    let image = features
        .image_embed
        .broadcast_add(encoder.no_mask_embed())
        .unwrap()
        .reshape((b, h * w, d))
        .unwrap();
    let tokens = decoder.tokens(prompt).unwrap();
    let (mut queries, mut keys) = (tokens.clone(), image.clone());
    for (i, layer) in decoder.transformer.layers.iter().enumerate() {
        attentions(i, layer, [&queries, &keys, &tokens, encoder.dense_pe()], trace);
        (queries, keys) = layer.forward(&queries, &keys, &tokens, encoder.dense_pe()).unwrap();
        trace.insert(format!("twoway{i}_queries"), queries.clone());
        trace.insert(format!("twoway{i}_keys"), keys.clone());
    }
    let (q, k) = ((&queries + &tokens).unwrap(), keys.broadcast_add(encoder.dense_pe()).unwrap());
    trace.insert(
        "final_attn_t2i".into(),
        decoder.transformer.final_attn_token_to_image.forward(&q, &k, &keys).unwrap(),
    );
    let (hs, src) = decoder.transformer.forward(&image, encoder.dense_pe(), &tokens).unwrap();
    trace.insert("transformer_hs".into(), hs.clone());
    trace.insert("transformer_src".into(), src.clone());
    trace.insert("mask_tokens_out".into(), hs.narrow(1, 2, MASK_TOKENS).unwrap());

    let up = &decoder.output_upscaling;
    let map = src.reshape((b, h, w, d)).unwrap();
    let dc1 = up.dc1.forward(&map).unwrap();
    let ln1 = up.ln1.forward(&(&dc1 + &features.high_res[1]).unwrap()).unwrap();
    let act1 = ild_ops::gelu(&ln1).unwrap();
    trace.insert("up_dc1".into(), nchw(&dc1));
    trace.insert("up_ln1".into(), nchw(&ln1));
    trace.insert("up_dc2".into(), nchw(&up.dc2.forward(&act1).unwrap()));
    trace.insert("up_act1".into(), nchw(&act1));
    trace.insert("upscaled_embedding".into(), nchw(&up.forward(&map, &features.high_res).unwrap()));
    for (i, mlp) in decoder.output_hypernetworks_mlps.iter().enumerate() {
        trace.insert(
            format!("hyper_in{i}"),
            mlp.forward(&hs.narrow(1, 2 + i, 1).unwrap().squeeze(1).unwrap()).unwrap(),
        );
    }
    let all = model.decode(features, prompt).unwrap();
    trace.insert("masks_all".into(), all.logits);
    trace.insert("iou_all".into(), all.iou);
    trace.insert("object_score_logits".into(), all.object_score);
}

/// What leaves each attention of a two-way layer, before the residual.
fn attentions(
    i: usize,
    layer: &TwoWayAttentionBlock,
    [queries, keys, query_pe, key_pe]: [&Tensor; 4],
    trace: &mut Trace,
) {
    let mut put = |part: &str, tensor: Tensor| trace.insert(format!("twoway{i}_{part}"), tensor);
    let attended = layer.attend_self(queries, query_pe).unwrap();
    put("self_attn", if i == 0 { attended.clone() } else { (&attended - queries).unwrap() });
    let queries = layer.norm1.forward(&attended).unwrap();
    let (q, k) = ((&queries + query_pe).unwrap(), keys.broadcast_add(key_pe).unwrap());
    let looked = layer.cross_attn_token_to_image.forward(&q, &k, keys).unwrap();
    let queries = layer.norm2.forward(&(&queries + &looked).unwrap()).unwrap();
    put("cross_attn_token_to_image", looked);
    let queries =
        layer.norm3.forward(&(&queries + layer.mlp.forward(&queries).unwrap()).unwrap()).unwrap();
    let q = (&queries + query_pe).unwrap();
    put(
        "cross_attn_image_to_token",
        layer.cross_attn_image_to_token.forward(&k, &q, &queries).unwrap(),
    );
}

pub fn nchw(map: &Tensor) -> Tensor {
    map.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap()
}
