"""The box's journey in plain numpy + OpenCV, and SAM 2's image path from PyPI: an independent driver to compare ild-infer with.

pip install numpy opencv-python-headless torch torchvision sam2 safetensors

journey.py golden --out DIR                              the committed golden: a seeded volume, the stub's calls and masks on it
journey.py stub  --npz vol.npz --out DIR                 threshold instead of a model: order of slices, boxes, masks
journey.py model --npz vol.npz --weights W --image-size S --embed-dim E --stages ... --out pred.npz
"""
import argparse
import json
import pathlib

import cv2
import numpy as np

SHIFT = 5


def get_bbox(mask, shift=SHIFT):
    ys, xs = np.where(mask > 0)
    h, w = mask.shape
    return [max(0, xs.min() - shift), max(0, ys.min() - shift), min(w, xs.max() + shift), min(h, ys.max() + shift)]


def travel(segment, gts, label, side):
    """Yields (z, box in input pixels, mask) in the order of the journey."""
    h, w = gts.shape[1:]
    scale = np.array([w, h, w, h])
    zs = np.where((gts == label).any(axis=(1, 2)))[0]
    boxes = {z: get_bbox(gts[z] == label) for z in zs}
    start_box = max(boxes.values(), key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
    start_box = np.array(start_box) / scale * side
    z_min, z_max = zs.min(), zs.max()
    middle = int((z_max - z_min) / 2 + z_min)
    masks = {}

    def visit(z, before):
        box = start_box
        if before is not None and masks[before].any():
            resized = cv2.resize(masks[before].astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
            box = np.array(get_bbox(resized), dtype=np.float64)
        masks[z] = segment(z, box)
        return z, box, masks[z]

    for z in range(middle, z_max + 1):
        yield visit(z, None if z == middle else z - 1)
    for z in range(middle - 1, z_min - 1, -1):
        yield visit(z, z + 1)


def stub(imgs, side):
    """The pixels of at least 128 whose index lies in the box."""
    n, h, w = imgs.shape
    yy, xx = np.mgrid[:h, :w]

    def segment(z, box):
        x0, y0, x1, y1 = box / side * np.array([w, h, w, h])
        return (imgs[z] >= 128) & (xx >= x0) & (xx <= x1) & (yy >= y0) & (yy <= y1)

    return segment


def sam2_model(args):
    import torch
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.prompt_encoder import PromptEncoder
    from sam2.modeling.sam.transformer import TwoWayTransformer
    from sam2.utils.transforms import SAM2Transforms

    if str(args.weights).endswith(".safetensors"):
        from safetensors.torch import load_file

        state = load_file(args.weights)
    else:
        state = torch.load(args.weights, weights_only=True, map_location="cpu")["model"]
    state = {k.removeprefix("sam2_model."): v for k, v in state.items()}
    s, d = args.image_size, args.d_model
    embed = state["image_encoder.trunk.patch_embed.proj.weight"].shape[0]
    bkg = tuple(state["image_encoder.trunk.pos_embed"].shape[2:])
    trunk = Hiera(
        embed_dim=embed, num_heads=args.num_heads, stages=tuple(args.stages), global_att_blocks=tuple(args.global_blocks),
        window_pos_embed_bkg_spatial_size=bkg, window_spec=tuple(args.windows),
    )
    neck = FpnNeck(
        position_encoding=PositionEmbeddingSine(num_pos_feats=d, normalize=True), d_model=d,
        backbone_channel_list=[8 * embed, 4 * embed, 2 * embed, embed], fpn_top_down_levels=[2, 3], fpn_interp_model="nearest",
    )
    encoder = ImageEncoder(trunk=trunk, neck=neck, scalp=1)
    prompt = PromptEncoder(embed_dim=d, image_embedding_size=(s // 16, s // 16), input_image_size=(s, s), mask_in_chans=16)
    mlp = state["sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight"].shape[0]
    decoder = MaskDecoder(
        num_multimask_outputs=3, transformer=TwoWayTransformer(depth=2, embedding_dim=d, mlp_dim=mlp, num_heads=8), transformer_dim=d,
        iou_head_depth=3, iou_head_hidden_dim=state["sam_mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
        use_high_res_features=True, iou_prediction_use_sigmoid=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True, dynamic_multimask_via_stability=True,
        dynamic_multimask_stability_delta=0.05, dynamic_multimask_stability_thresh=0.98,
    )
    for module, prefix in ((encoder, "image_encoder."), (prompt, "sam_prompt_encoder."), (decoder, "sam_mask_decoder.")):
        module.load_state_dict({k[len(prefix):]: v for k, v in state.items() if k.startswith(prefix)}, strict=True)
        module.eval()
    transform = SAM2Transforms(resolution=s, mask_threshold=0)

    @torch.no_grad()
    def encode(grey):
        x = transform(np.repeat(grey[:, :, None], 3, axis=2))[None]
        levels = encoder(x)["backbone_fpn"]
        high = [decoder.conv_s0(levels[0]), decoder.conv_s1(levels[1])]
        return levels[2] + state["no_mem_embed"].reshape(1, d, 1, 1), high

    @torch.no_grad()
    def decode(features, box, h, w):
        image, high = features
        corners = torch.as_tensor(box[None], dtype=torch.float32).reshape(1, 2, 2)
        sparse, dense = prompt(points=(corners, torch.tensor([[2, 3]], dtype=torch.int32)), boxes=None, masks=None)
        low, _, _, _ = decoder(
            image_embeddings=image, image_pe=prompt.get_dense_pe(), sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense,
            multimask_output=False, repeat_image=False, high_res_features=high,
        )
        probability = torch.nn.functional.interpolate(torch.sigmoid(low), size=(h, w), mode="bilinear", align_corners=False)
        return probability[0, 0].numpy() > 0.5

    return encode, decode


def golden_case(seed=7):
    """Three labels in 13 slices: one drifting, one with slices missing in between, one at the border."""
    rng = np.random.default_rng(seed)
    n, h, w = 13, 47, 58
    imgs = (rng.random((n, h, w)) * 40).astype(np.uint8) // 16 * 16
    gts = np.zeros((n, h, w), np.uint8)
    yy, xx = np.mgrid[:h, :w]
    for z in range(1, 9):
        disc = (yy - 16 - z) ** 2 + (xx - 14 - z) ** 2 < (4 + min(z, 9 - z)) ** 2
        imgs[z][disc], gts[z][disc] = 200, 1
    for z in (4, 5, 8, 9, 12):
        disc = (yy - 30) ** 2 + (xx - 40) ** 2 < (15 - z) ** 2
        imgs[z][disc], gts[z][disc] = 220, 3
    for z in range(9, 13):
        imgs[z, : z - 6, 50:], gts[z, : z - 6, 50:] = 180, 13
    return imgs, gts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("how", choices=["golden", "stub", "model"])
    parser.add_argument("--npz", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path)
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--num-heads", type=int, default=1)
    parser.add_argument("--stages", type=int, nargs=4, default=[1, 2, 7, 2])
    parser.add_argument("--windows", type=int, nargs=4, default=[8, 4, 14, 7])
    parser.add_argument("--global-blocks", type=int, nargs="+", default=[5, 7, 9])
    args = parser.parse_args()
    if args.how == "golden":
        imgs, gts = golden_case()
        args.out.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(args.out / "vol.npz", imgs=imgs, gts=gts, spacing=np.array([0.8, 0.7, 2.0]))
    else:
        case = np.load(args.npz)
        imgs, gts = case["imgs"], case["gts"]
    n, h, w = imgs.shape
    side = args.image_size
    if args.how != "model":
        segment = stub(imgs, side)
    else:
        encode, decode = sam2_model(args)
        cache = {}

        def segment(z, box):
            if z not in cache:
                cache[z] = encode(imgs[z])
            return decode(cache[z], box, h, w)

    calls, masks = [], {}
    for label in np.unique(gts)[1:]:
        masks[str(label)] = np.zeros((n, h, w), np.uint8)
        for z, box, mask in travel(segment, gts, label, side):
            masks[str(label)][z] |= mask.astype(np.uint8)
            calls.append({"label": int(label), "z": int(z), "box": [repr(float(v)) for v in box], "n": int(mask.sum())})
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out / "pred.npz", **masks)
    (args.out / "calls.json").write_text(json.dumps(calls, indent=0))


if __name__ == "__main__":
    main()
