"""Remakes the golden data of ild-model: python export.py

Weights, images and the places that are sampled come from formulas (reference.py), so only outputs are stored.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torchvision.transforms import Normalize, Resize, ToTensor

from reference import SMALL, build, decode, encode, image, splitmix64

HERE = pathlib.Path(__file__).parent
SAMPLES = 256


def sample(tensor, k=SAMPLES):
    flat = tensor.detach().reshape(-1).numpy()
    k = min(k, flat.size)
    return flat[(splitmix64("sample_idx", k) % np.uint64(flat.size)).astype(np.int64)]


def transform(picture, size):
    resize = torch.nn.Sequential(Resize((size, size)), Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return resize(ToTensor()(np.repeat(picture[:, :, None], 3, axis=2)))


def watch(model, kept):
    """Keeps what leaves each part of the model."""
    def keep(name, pick=lambda out: out):
        return lambda _module, _input, out: kept.__setitem__(name, pick(out))

    trunk, decoder = model.image_encoder.trunk, model.sam_mask_decoder
    trunk.patch_embed.register_forward_hook(keep("patch_embed_nhwc"))
    for i, block in enumerate(trunk.blocks):
        block.register_forward_hook(keep(f"block{i:02}_out_nhwc"))
    for i, conv in enumerate(model.image_encoder.neck.convs):
        conv.register_forward_hook(keep(f"neck_lateral_convs{i}"))
    for i, layer in enumerate(decoder.transformer.layers):
        layer.register_forward_hook(keep(f"twoway{i}_queries", lambda out: out[0]))
        layer.register_forward_hook(keep(f"twoway{i}_keys", lambda out: out[1]))
    decoder.transformer.register_forward_hook(keep("transformer_hs", lambda out: out[0]))
    decoder.output_upscaling[0].register_forward_hook(keep("up_dc1"))
    decoder.output_upscaling[1].register_forward_hook(keep("up_ln1"))
    decoder.output_upscaling[3].register_forward_hook(keep("up_dc2"))
    decoder.iou_prediction_head.register_forward_hook(keep("iou_all"))
    decoder.pred_obj_score_head.register_forward_hook(keep("object_score_logits"))
    for i, mlp in enumerate(decoder.output_hypernetworks_mlps):
        mlp.register_forward_hook(keep(f"hyper_in{i}"))


def forward():
    model = build(SMALL)
    kept, whole = {}, {}
    watch(model, kept)
    pictures = [image(200, 180, "golden_a"), image(300, 280, "golden_b")]
    x = torch.stack([transform(picture, 256) for picture in pictures])
    boxes = torch.tensor([[60.0, 90.0, 140.0, 190.0], [70.25, 101.5, 133.75, 170.0]])
    kept["x"] = x
    with torch.no_grad():
        model.eval()
        features = encode(model, x)
        whole["eval_logits"], whole["eval_iou"], kept["sparse_embeddings"] = decode(model, features, boxes)
        model.train()
        whole["train_logits"], whole["train_iou"], _ = decode(model, features, boxes)
        kept["image_embed"], kept["high_res_feats0"], kept["high_res_feats1"] = features["image_embed"], *features["high_res"]
        kept["dense_pe"] = model.sam_prompt_encoder.get_dense_pe()
        kept["pos_embed_full_nhwc"] = model.image_encoder.trunk._get_pos_embed((64, 64))
        arrays = {f"sample_{name}": sample(tensor) for name, tensor in kept.items()}
        # Masks 64 times steeper have few pixels near 0, so that evaluation keeps mask 0.
        last = model.sam_mask_decoder.output_hypernetworks_mlps[0].layers[2]
        last.weight.mul_(64), last.bias.mul_(64)
        model.eval()
        whole["stable_eval_logits"], whole["stable_eval_iou"], _ = decode(model, features, boxes)
    arrays |= {f"whole_{name}": tensor.numpy() for name, tensor in whole.items()}
    np.savez_compressed(HERE / "forward.npz", boxes=boxes.numpy(), **arrays)
    return x, boxes


def gradients(x, boxes):
    model = build(SMALL)
    model.train()
    y, xx = np.mgrid[0:64, 0:64]
    target = torch.from_numpy(np.stack([(xx - 25) ** 2 + (y - 35) ** 2 < 120, (xx - 26) ** 2 + (y - 34) ** 2 < 90])[:, None].astype(np.float32))
    logits, _, _ = decode(model, encode(model, x), boxes)
    loss = DiceLoss(sigmoid=True, squared_pred=True, reduction="mean")(logits, target) + F.binary_cross_entropy_with_logits(logits, target)
    loss.backward()
    trained = [(f"image_encoder.{n}", p) for n, p in model.image_encoder.named_parameters()]
    trained += [(f"sam_mask_decoder.{n}", p) for n, p in model.sam_mask_decoder.named_parameters()]
    meta = dict(
        loss=loss.item(), order=[name for name, _ in trained], none=[name for name, p in trained if p.grad is None],
        zero=[name for name, p in trained if p.grad is not None and not p.grad.any()],
        absmax={name: float(p.grad.abs().max()) for name, p in trained if p.grad is not None},
    )
    (HERE / "gradients.json").write_text(json.dumps(meta, indent=0) + "\n")
    np.savez_compressed(HERE / "gradients.npz", **{name: sample(p.grad, 64) for name, p in trained if p.grad is not None and p.grad.any()})


def resizing():
    arrays = {}
    for h, w in [(40, 50), (64, 64), (100, 90), (40, 90), (64, 40), (63, 65), (200, 33)]:
        arrays[f"transform_{h}x{w}"] = sample(transform(image(h, w, f"resize_{h}x{w}"), 64), 1024)
    logits = torch.from_numpy((image(32, 32, "logits").astype(np.float32) - 128) / 16)[None, None]
    for h, w in [(64, 64), (65, 47), (32, 32), (20, 25), (16, 16)]:
        arrays[f"probability_{h}x{w}"] = sample(F.interpolate(torch.sigmoid(logits), size=(h, w), mode="bilinear", align_corners=False), 1024)
    for n in (7, 14):
        source = torch.from_numpy(image(n, n, f"bicubic_{n}").astype(np.float32) / 255)[None, None]
        for h, w in [(64, 64), (16, 16), (37, 52)]:
            arrays[f"bicubic_{n}_to_{h}x{w}"] = sample(F.interpolate(source, size=(h, w), mode="bicubic"), 1024)
    np.savez_compressed(HERE / "resizing.npz", **arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    gradients(*forward())
    resizing()
