"""SAM 2's image path as PyPI's `sam2` runs it, with weights and images that any language can generate.

Needs: pip install sam2==1.1.0 torch torchvision monai==1.3.2 numpy
"""

import math

import numpy as np
import torch
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_base import SAM2Base

SMALL = dict(
    image_size=256, embed_dim=8, num_heads=1, stages=[1, 2, 3, 2], window_spec=[8, 4, 14, 7],
    global_att_blocks=[4], window_pos_embed_bkg_spatial_size=[7, 7], d_model=32,
)


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def splitmix64(name, n):
    """The first n numbers of the stream that belongs to a name."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


EMBEDDINGS = ("iou_token.weight", "mask_tokens.weight", "obj_score_token.weight", "point_embeddings", "not_a_point_embed",
              "no_mask_embed", "pos_embed", "no_mem", "no_obj", "tpos_enc")


def generated(name, shape, salt=""):
    """Values of a weight, from its name and shape alone; a salt gives other values of the same kind."""
    if name.endswith("positional_encoding_gaussian_matrix"):
        offset, scale = 0.0, math.sqrt(3.0)
    elif any(part in name for part in EMBEDDINGS):
        offset, scale = 0.0, 0.5
    elif len(shape) == 1:
        offset, scale = (1.0, 0.2) if name.endswith((".weight", ".gamma")) else (0.0, 0.1)
    else:
        offset, scale = 0.0, math.sqrt(3.0 / math.prod(shape[1:]))
    stream = splitmix64(f"{name}#{salt}" if salt else name, math.prod(shape))
    unit = (stream >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return torch.from_numpy((offset + scale * (2.0 * unit - 1.0)).astype(np.float32).reshape(shape))


def image(h, w, name):
    """A grey picture of stripes, a disc and noise."""
    y, x = np.mgrid[0:h, 0:w]

    def triangle(t, p):
        return np.abs(t % (2 * p) - p) * 255 // p

    noise = (splitmix64(name, h * w) & np.uint64(31)).astype(np.int64).reshape(h, w)
    v = (triangle(x, 97) + triangle(y, 61) + triangle(x + 2 * y, 143)) // 3 + noise - 16
    disc = (x - w * 40 // 100) ** 2 + (y - h * 55 // 100) ** 2 < (min(h, w) * 14 // 100) ** 2
    return np.clip(v + 80 * disc, 0, 255).astype(np.uint8)


def build(config):
    """SAM2Base without its memory, which the image path does not use."""
    d, c = config["d_model"], config["embed_dim"]
    trunk = Hiera(**{key: config[key] for key in
                     ("embed_dim", "num_heads", "stages", "window_spec", "global_att_blocks", "window_pos_embed_bkg_spatial_size")})
    sine = PositionEmbeddingSine(num_pos_feats=d, normalize=True, scale=None, temperature=10000)
    neck = FpnNeck(position_encoding=sine, d_model=d, backbone_channel_list=[8 * c, 4 * c, 2 * c, c], fpn_top_down_levels=[2, 3],
                   fpn_interp_model="nearest")
    model = SAM2Base(
        image_encoder=ImageEncoder(scalp=1, trunk=trunk, neck=neck), memory_attention=torch.nn.Identity(), memory_encoder=torch.nn.Identity(),
        image_size=config["image_size"], use_high_res_features_in_sam=True, iou_prediction_use_sigmoid=True, pred_obj_scores=True,
        pred_obj_scores_mlp=True, use_multimask_token_for_obj_ptr=True, use_obj_ptrs_in_encoder=True, use_mlp_for_obj_ptr_proj=True,
        sam_mask_decoder_extra_args=dict(
            dynamic_multimask_via_stability=True, dynamic_multimask_stability_delta=0.05, dynamic_multimask_stability_thresh=0.98),
    )
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(generated(name, tuple(tensor.shape)))
    return model


def decode(model, features, boxes):
    """Low-resolution logits and predicted IoU of one box for each image, as the fine-tuning scripts call the parts."""
    with torch.no_grad():
        labels = torch.tensor([[2, 3]], dtype=torch.int32).repeat(len(boxes), 1)
        sparse, dense = model.sam_prompt_encoder(points=(boxes.reshape(-1, 2, 2), labels), boxes=None, masks=None)
    masks, iou, _, _ = model.sam_mask_decoder(
        image_embeddings=features["image_embed"], image_pe=model.sam_prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense, multimask_output=False, repeat_image=False, high_res_features=features["high_res"])
    return masks, iou, sparse


def encode(model, x):
    out = model.forward_image(x)["backbone_fpn"]
    embed = out[-1] + model.no_mem_embed.reshape(1, -1, 1, 1)
    return dict(image_embed=embed, high_res=[out[0], out[1]])
