"""Remakes the golden data of SAM 2's video path: python export.py && python export.py floors

The second run does everything in f64 (stored maps stay bf16) and writes by how much the first one, in f32, differs from it:
the tolerances of the tests follow from that. Where a map's element lies on the border between two steps of bf16, or a pixel of
the prompted frame on the border of the mask, f32 decides otherwise than f64, and later frames see it: whole maps are stored, so
that a test can go on from the reference's.

Weights, frames and the places that are sampled come from formulas (../model/reference.py), so only outputs are
stored. The model is small and has other sizes than any published one, so that no size is taken for granted.

Needs: pip install sam2==1.1.0 torch numpy 'pillow<13' (13 resizes some shapes in another order)
"""

import json
import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from sam2 import sam2_video_predictor
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "model"))
from reference import generated, image, splitmix64  # noqa: E402

SIDE, D, M = 128, 32, 16
LAYERS, FFN, FUSER = 2, 48, 1
FRAMES, START = 20, 9
SAMPLES = 96
# Weights under which objects are present on every frame (SEEN) and under which they come and go (LOST).
SEEN, LOST = "s1", "s0"
BOX, OTHER_BOX = (30.0, 44.0, 82.5, 101.0), (70.0, 12.0, 118.0, 60.0)
CLICK, CORRECTION = ((64.0, 64.0),), ((60.0, 64.0), (100.0, 20.0))

VERSION_2_0 = dict(
    sigmoid_scale_for_mem_enc=20.0, sigmoid_bias_for_mem_enc=-10.0, use_mask_input_as_output_without_sam=True,
    directly_add_no_mem_embed=True, use_high_res_features_in_sam=True, multimask_output_in_sam=True,
    iou_prediction_use_sigmoid=True, use_obj_ptrs_in_encoder=True, only_obj_ptrs_in_the_past_for_eval=True,
    pred_obj_scores=True, pred_obj_scores_mlp=True, fixed_no_obj_ptr=True, multimask_output_for_tracking=True,
    use_multimask_token_for_obj_ptr=True, multimask_min_pt_num=0, multimask_max_pt_num=1, use_mlp_for_obj_ptr_proj=True,
    add_tpos_enc_to_obj_ptrs=False)
VERSION_2_1 = VERSION_2_0 | dict(
    add_tpos_enc_to_obj_ptrs=True, proj_tpos_enc_in_obj_ptrs=True, use_signed_tpos_enc_to_obj_ptrs=True,
    no_obj_embed_spatial=True)


def sine(features):
    return PositionEmbeddingSine(num_pos_feats=features, normalize=True, scale=None, temperature=10000)


def rope(**extra):
    return RoPEAttention(rope_theta=10000.0, feat_sizes=[SIDE // 16] * 2, embedding_dim=D, num_heads=1,
                         downsample_rate=1, dropout=0.1, **extra)


def build(flags, salt):
    trunk = Hiera(embed_dim=8, num_heads=1, stages=(1, 2, 3, 2), window_spec=(8, 4, 14, 7), global_att_blocks=(4,),
                  window_pos_embed_bkg_spatial_size=(7, 7))
    neck = FpnNeck(position_encoding=sine(D), d_model=D, backbone_channel_list=[64, 32, 16, 8],
                   fpn_top_down_levels=[2, 3], fpn_interp_model="nearest")
    layer = MemoryAttentionLayer(
        activation="relu", dim_feedforward=FFN, dropout=0.1, pos_enc_at_attn=False, self_attention=rope(), d_model=D,
        pos_enc_at_cross_attn_keys=True, pos_enc_at_cross_attn_queries=False,
        cross_attention=rope(rope_k_repeat=True, kv_in_dim=M))
    block = CXBlock(dim=D, kernel_size=7, padding=3, layer_scale_init_value=1e-6, use_dwconv=True)
    model = sam2_video_predictor.SAM2VideoPredictor(
        image_encoder=ImageEncoder(trunk=trunk, neck=neck, scalp=1),
        memory_attention=MemoryAttention(d_model=D, pos_enc_at_input=True, layer=layer, num_layers=LAYERS),
        memory_encoder=MemoryEncoder(
            out_dim=M, in_dim=D, position_encoding=sine(M), fuser=Fuser(block, FUSER),
            mask_downsampler=MaskDownSampler(embed_dim=D, kernel_size=3, stride=2, padding=1)),
        image_size=SIDE, num_maskmem=7, binarize_mask_from_pts_for_mem_enc=True,
        sam_mask_decoder_extra_args=dict(dynamic_multimask_via_stability=True, dynamic_multimask_stability_delta=0.05,
                                         dynamic_multimask_stability_thresh=0.98), **flags).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(generated(name, tuple(tensor.shape), salt))
    return model


def video(model, name, frames=FRAMES):
    """A state over pictures that are made at the size of the input: nothing is resized."""
    pictures = np.stack([image(SIDE, SIDE, f"{name}/{k}") for k in range(frames)])
    x = torch.from_numpy(pictures.astype(np.float32) / 255)[:, None].repeat(1, 3, 1, 1)
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    sam2_video_predictor.load_video_frames = lambda **_: (x, SIDE, SIDE)
    sam2_video_predictor.tqdm = lambda frames, **_: frames
    return model.init_state("none")


def sample(tensor):
    flat = tensor.detach().float().reshape(-1).numpy()
    if flat.size <= SAMPLES:
        return flat.copy()
    return flat[(splitmix64("sample_idx", SAMPLES) % np.uint64(flat.size)).astype(np.int64)]


class Recorder:
    """Keeps samples of what leaves each part, under `<frame>.<part>`."""

    def __init__(self, model, arrays, parts):
        self.arrays, self.frame, self.hooks, self.model = arrays, None, [], model
        attention, encoder = model.memory_attention, model.memory_encoder
        if parts:
            for i, layer in enumerate(attention.layers):
                self.watch(layer, f"memory_attention.layers.{i}")
                self.watch(layer.self_attn, f"memory_attention.layers.{i}.self_attn")
                self.watch(layer.cross_attn_image, f"memory_attention.layers.{i}.cross_attn_image")
            for i in (0, 1, 4, 7, 10, 12):
                self.watch(encoder.mask_downsampler.encoder[i], f"memory_encoder.mask_downsampler.encoder.{i}")
            self.watch(encoder.pix_feat_proj, "memory_encoder.pix_feat_proj")
            self.watch(encoder.fuser.layers[0].dwconv, "memory_encoder.fuser.layers.0.dwconv")
            self.watch(encoder.fuser.layers[0], "memory_encoder.fuser.layers.0")
            self.watch(attention, "memory", with_arguments=lambda kwargs: kwargs["memory"])
            self.watch(attention, "memory_pos", with_arguments=lambda kwargs: kwargs["memory_pos"])
        self.watch(attention, "memory_attention")
        self.watch(encoder.out_proj, "memory_encoder.out_proj")
        self.run, model._run_single_frame_inference = model._run_single_frame_inference, self.single_frame
        self.encode, model._run_memory_encoder = model._run_memory_encoder, self.memory_encoder

    def watch(self, module, name, with_arguments=None):
        def keep(_module, _arguments, kwargs, out):
            if self.frame is not None:
                self.put(name, with_arguments(kwargs) if with_arguments else out)
        self.hooks.append(module.register_forward_hook(keep, with_kwargs=True))

    def put(self, name, tensor):
        self.arrays[f"{self.frame:02}.{name}"] = sample(tensor)

    def whole(self, name, tensor):
        """All of it: the test goes on from the map that the reference stored."""
        self.arrays[f"{self.frame:02}.{name}"] = tensor.float().reshape(-1).numpy()

    def single_frame(self, **kwargs):
        self.frame = kwargs["frame_idx"]
        out, masks = self.run(**kwargs)
        self.put("logits", out["pred_masks"])
        self.put("score", out["object_score_logits"])
        self.put("pointer", out["obj_ptr"])
        self.arrays[f"{self.frame:02}.inside"] = np.packbits(out["pred_masks"].numpy() > 0)
        if out["maskmem_features"] is not None:
            self.whole("stored", out["maskmem_features"])
        self.frame = None
        return out, masks

    def memory_encoder(self, **kwargs):
        self.frame = kwargs["frame_idx"]
        out = self.encode(**kwargs)
        self.whole("stored", out[0])
        self.frame = None
        return out

    def close(self):
        for hook in self.hooks:
            hook.remove()
        self.model._run_single_frame_inference, self.model._run_memory_encoder = self.run, self.encode


def point_out(model, state, frame, prompt, obj=1):
    if "mask" in prompt:
        return model.add_new_mask(state, frame, obj, prompt["mask"])
    return model.add_new_points_or_box(state, frame, obj, **prompt)


def follow(model, state, first, steps, reverse=False):
    for _ in model.propagate_in_video(state, first, steps, reverse):
        pass


def passes(flags, salt, prompt, parts=False, both=True):
    """One prompt, both directions, each from a fresh state."""
    arrays = {}
    for reverse in (False, True) if both else (False,):
        model = build(flags, salt)
        recorder, state = Recorder(model, arrays, parts), video(model, "video")
        point_out(model, state, START, prompt)
        follow(model, state, START, 8, reverse)
        recorder.close()
    return arrays


def corrected(flags, salt):
    """Two objects on one state. The first is corrected by clicks on a frame that was tracked, and pointed out by
    clicks, twice, on a frame that was not; then both are tracked on."""
    arrays = {}
    model = build(flags, salt)
    state = video(model, "video")
    for obj, box in ((1, BOX), (2, OTHER_BOX)):
        point_out(model, state, START, dict(box=np.array(box)), obj)
    later, again = START + 3, START + 6

    def keep(stage, frames):
        for frame in frames:
            for obj in range(2):
                outputs = state["output_dict_per_obj"][obj]
                out = outputs["cond_frame_outputs"].get(frame) or outputs["non_cond_frame_outputs"][frame]
                key = f"{stage}.{frame:02}.{obj}"
                arrays[f"{key}.logits"] = sample(out["pred_masks"])
                arrays[f"{key}.pointer"] = sample(out["obj_ptr"])
                arrays[f"{key}.stored"] = sample(out["maskmem_features"])

    follow(model, state, START, 4)
    keep("tracked", range(START, START + 5))
    clicks = dict(points=np.array(CORRECTION), labels=np.array([1, 0]))
    point_out(model, state, later, clicks, 1)
    point_out(model, state, again, dict(points=np.array(CLICK), labels=np.array([1])), 1)
    point_out(model, state, again, dict(points=np.array(CORRECTION), labels=np.array([1, 0]), clear_old_points=False), 1)
    follow(model, state, later + 1, 4)  # from the frame itself on, the reference would track it again
    keep("corrected", range(later, later + 6))
    return arrays


def disc():
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return torch.from_numpy((x - 50) ** 2 + (y - 70) ** 2 < 500)


def scores(arrays):
    return [round(float(v[0]), 3) for k, v in sorted(arrays.items()) if k.endswith(".score")]


CASES = dict(
    box_2_1=lambda: passes(VERSION_2_1, SEEN, dict(box=np.array(BOX)), parts=True),
    box_2_0=lambda: passes(VERSION_2_0, SEEN, dict(box=np.array(BOX))),
    mask_2_1=lambda: passes(VERSION_2_1, SEEN, dict(mask=disc())),
    click_2_1=lambda: passes(VERSION_2_1, SEEN, dict(points=np.array(CLICK), labels=np.array([1])), both=False),
    lost_2_1=lambda: passes(VERSION_2_1, LOST, dict(box=np.array(BOX)), both=False),
    lost_2_0=lambda: passes(VERSION_2_0, LOST, dict(mask=disc()), both=False),
    corrected_2_1=lambda: corrected(VERSION_2_1, SEEN),
)


# Frames of the clip whose gradients are kept, the prompted one first.
CLIP = 4


def gradients():
    """The gradient of every tensor from one loss over a clip, as SAM 2 is trained: the memory is not rounded, the prompted mask
    is not made certain, and its answer is the first mask."""
    model = build(VERSION_2_1, SEEN)
    model.training = model.sam_mask_decoder.training = True  # of these two alone: no dropout
    pictures = video(model, "video")["images"].clone()
    known, loss, frames = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}, 0.0, []
    for frame in range(START, START + CLIP):
        _, features, places, sizes = model._prepare_backbone_features(model.forward_image(pictures[frame : frame + 1]))
        first = frame == START
        corners = dict(point_coords=torch.tensor(BOX).reshape(1, 2, 2), point_labels=torch.tensor([[2, 3]], dtype=torch.int32))
        out = model.track_step(frame, first, features, places, sizes, corners if first else None, None, known, FRAMES)
        known["cond_frame_outputs" if first else "non_cond_frame_outputs"][frame] = out
        logits = out["pred_masks"]
        y, x = np.mgrid[0 : SIDE // 4, 0 : SIDE // 4]
        target = torch.from_numpy((x - 12 - frame + START) ** 2 + (y - 17) ** 2 < 60).float()[None, None]
        p = torch.sigmoid(logits)
        dice = 1 - (2 * (p * target).sum() + 1e-5) / (p.square().sum() + target.square().sum() + 1e-5)
        one = dice + torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        loss = loss + one / CLIP
        frames.append(one.item())
    loss.backward()
    taught = [(name, tensor.grad) for name, tensor in model.named_parameters()]
    arrays = {name: sample(grad) for name, grad in taught if grad is not None}
    return arrays, dict(loss=loss.item(), frames=frames, none=[name for name, grad in taught if grad is None])


def resized():
    """Pictures as the video predictor and MedSAM2's scripts resize them."""
    sides = [(40, 50), (64, 64), (100, 90), (40, 90), (64, 40), (63, 65), (200, 33), (512, 512)]
    pictures = {f"{h}x{w}": Image.fromarray(image(h, w, f"resize_{h}x{w}").astype(np.uint8)) for h, w in sides}
    np.savez_compressed(HERE / "resized.npz", **{name: np.array(p.convert("RGB").resize((64, 64)))[..., 0] for name, p in pictures.items()})


def in_f64():
    """From now on everything is made and computed in f64, tables included."""
    global generated
    in_f32 = generated
    generated = lambda *arguments: in_f32(*arguments).double()
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double


def floor_of(name, exact):
    """Part by part, the largest difference from the stored f32 arrays over all frames, and the largest value."""
    floor = {}
    stored = np.load(HERE / f"{name}.npz")
    for key in (key for key in stored.files if not key.endswith(".inside")):
        part = key.split(".", 3)[3] if name.startswith("corrected") else key.split(".", 1)[1]
        apart, largest = np.abs(stored[key] - exact[key]).max(), np.abs(exact[key]).max()
        known = floor.get(part, (0.0, 0.0))
        floor[part] = (max(known[0], float(f"{apart:.3g}")), max(known[1], float(f"{largest:.3g}")))
    return floor


def floors():
    in_f64()
    found = {name: floor_of(name, case()) for name, case in CASES.items()}
    stored, (exact, _) = np.load(HERE / "gradients.npz"), gradients()
    apart = {name: (float(np.abs(stored[name] - exact[name]).max()), float(np.abs(exact[name]).max())) for name in exact}
    worst = max((name for name in exact if apart[name][1] > 1e-7), key=lambda name: apart[name][0] / apart[name][1])
    found["gradients"] = {worst: [float(f"{value:.3g}") for value in apart[worst]]}
    rows = (f'"{name}": ' + json.dumps(parts) for name, parts in found.items())
    (HERE / "floors.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["floors"]:
        sys.exit(floors())
    resized()
    arrays, about = gradients()
    np.savez_compressed(HERE / "gradients.npz", **arrays)
    (HERE / "gradients.json").write_text(json.dumps(about, indent=1) + "\n")
    print("gradients", len(arrays), "tensors, loss", about["loss"], flush=True)
    for name, case in CASES.items():
        arrays = case()
        np.savez_compressed(HERE / f"{name}.npz", **arrays)
        print(name, len(arrays), "arrays; scores", scores(arrays), flush=True)
