"""Times `ild-infer` against the older scripts' way of working in PyTorch, and compares the masks of both.

    cargo xtask bench infer --python venv/bin/python
    cargo xtask bench infer --python venv/bin/python -- --slices 6 --labels 5

One case of `--slices` slices with `--labels` labels on each, the same generated weights for both. PyTorch encodes every slice again
for every label, as the older scripts do; ild encodes it once. The time of ild-infer is that of the whole program, with starting, reading
weights and case, and writing label map, NPZ and picture; that of PyTorch is the journey alone.
Needs `pip install sam2==1.1.0 torch torchvision safetensors opencv-python-headless`.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

from alternate import Engine, Program, arguments, available, compare, serve

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
sys.path[:0] = [str(GOLDEN / "model"), str(GOLDEN / "infer")]

TINY = dict(
    image_size=1024, embed_dim=96, num_heads=1, stages=[1, 2, 7, 2], window_spec=[8, 4, 14, 7], global_att_blocks=[5, 7, 9],
    window_pos_embed_bkg_spatial_size=[7, 7], d_model=256,
)
PEER = ("torch", "torchvision", "sam2", "safetensors", "cv2")


def make_case(path, slices, labels, size, seed):
    """Noise with one drifting disc per label, on every slice."""
    rng = np.random.default_rng(seed)
    imgs = (rng.random((slices, size, size)) * 60).astype(np.uint8)
    gts = np.zeros((slices, size, size), np.uint8)
    y, x = np.mgrid[:size, :size]
    for label in range(1, labels + 1):
        angle = 2 * np.pi * label / labels
        for z in range(slices):
            cy, cx = size * (0.5 + 0.3 * np.sin(angle) + 0.1 * z / slices), size * (0.5 + 0.3 * np.cos(angle))
            disc = (y - cy) ** 2 + (x - cx) ** 2 < (size * 0.09) ** 2
            imgs[z][disc] += np.uint8(30 * label)
            gts[z][disc] = label
    np.savez_compressed(path, imgs=imgs, gts=gts, spacing=np.array([0.7, 0.7, 2.5]))


def make_weights(path):
    from reference import build
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in build(TINY).state_dict().items()}, path)


def peer(folder, threads):
    """The journey of every label, one after the other, each slice encoded again."""
    import torch
    from journey import sam2_model, travel

    torch.set_num_threads(threads)
    description = argparse.Namespace(
        weights=folder / "weights.safetensors", image_size=TINY["image_size"], d_model=TINY["d_model"], num_heads=TINY["num_heads"],
        stages=TINY["stages"], windows=TINY["window_spec"], global_blocks=TINY["global_att_blocks"],
    )
    encode, decode = sam2_model(description)
    case = np.load(folder / "case.npz")
    imgs, gts = case["imgs"], case["gts"]

    def run(_request):
        masks = {}
        for label in np.unique(gts)[1:]:
            masks[str(label)] = np.zeros(gts.shape, np.uint8)
            segment = lambda z, box: decode(encode(imgs[z]), box, *gts.shape[1:])
            for z, _, mask in travel(segment, gts, label, TINY["image_size"]):
                masks[str(label)][z] = mask
        np.savez_compressed(folder / "pytorch.npz", **masks)
        return sum(int(mask.sum()) for mask in masks.values())

    serve(run)


def agreement(ours, pytorchs):
    """Dice per label of the masks that the last round left."""
    a, b = np.load(ours), np.load(pytorchs)
    print("\nmasks of ild-infer against PyTorch's")
    for label in b.files:
        x, y = a[label] > 0, b[label] > 0
        dice = 2 * (x & y).sum() / max(1, x.sum() + y.sum())
        print(f"label {label}: Dice {dice:.6f}, {x.sum()} and {y.sum()} pixels, {(x != y).sum()} differ")


def main():
    args = arguments(__doc__, slices=40, labels=5, size=512)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if not available(*PEER, pip="sam2==1.1.0 torch torchvision safetensors opencv-python-headless"):
            sys.exit("the weights come from PyTorch, so there is nothing to run without it")
        make_case(folder / "case.npz", args.slices, args.labels, args.size, args.seed)
        make_weights(folder / "weights.safetensors")
        labels = ", ".join(f'"{i}": "{i}"' for i in range(1, args.labels + 1))
        (folder / "labels.json").write_text("{" + labels + "}")
        ild = [args.programs / "ild-infer", "--parity", "--prompt", "gt", "--model", "t", "--force", "--quiet", "--device", "cpu"]
        ild += ["--input", folder / "case.npz", "--checkpoint", folder / "weights.safetensors", "--labels", folder / "labels.json"]
        ild += ["--output", folder / "out", "--workers", args.workers]
        pytorch = [sys.executable, __file__, "peer", folder, args.workers]
        title = f"SAM 2 tiny at 1024, {args.slices} slices of {args.size} x {args.size}, {args.labels} labels, {args.workers} threads"
        compare(title, {"ild-infer": Program(ild), "PyTorch, encoding per label": Engine(pytorch)}, args.rounds, warm_up=0)
        agreement(folder / "out/npz/case.npz", folder / "pytorch.npz")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
