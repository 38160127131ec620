"""Random models, weights, images and boxes through `ild-model segment` and through PyPI's `sam2`:

    python differential.py target/release/ild-model --rounds 20 --seed 1

Prints the largest difference of the logits, and fails above TOLERANCE of the largest logit.
"""

import argparse
import pathlib
import random
import subprocess
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from export import Normalize, Resize, ToTensor
from reference import build, decode, encode

TOLERANCE = 5e-5  # both in f32; the order of additions differs


def draw_config(rng):
    """A description that SAM 2 accepts: maps that windows tile, windows that pooling halves."""
    window = rng.choice([4, 6, 8])
    size = rng.choice([s for s in (192, 256, 384) if s % (4 * window) == 0])
    heads = rng.choice([1, 2])
    stages = [rng.randint(1, 3) for _ in range(4)]
    begins = [sum(stages[:i]) for i in range(1, 4)]  # SAM 2 divides by zero when such a block is global
    may_be_global = [block for block in range(sum(stages)) if block not in begins]
    return dict(
        image_size=size, embed_dim=heads * rng.choice([4, 8, 12]), num_heads=heads, stages=stages,
        window_spec=[window, rng.choice([2, 4, 8]), rng.choice([6, 8, 14]), rng.choice([3, 4, 7])],
        global_att_blocks=sorted(rng.sample(may_be_global, rng.randint(0, 2))),
        window_pos_embed_bkg_spatial_size=[rng.choice([5, 7, 14])] * 2, d_model=rng.choice([16, 32, 64]),
    )


def draw_weights(model, torch_rng):
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            spread = (3.0 / max(1, tensor[0].numel())) ** 0.5 if tensor.dim() > 1 and "embed" not in name else 0.5
            offset = 1.0 if tensor.dim() == 1 and name.endswith(".weight") else 0.0
            tensor.copy_(offset + spread * (2 * torch.rand(tensor.shape, generator=torch_rng) - 1))


def reference(model, picture, pixels, size):
    h, w, _ = picture.shape
    x = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(Resize((size, size))(ToTensor()(picture)))
    box = torch.from_numpy(np.asarray(pixels) / np.array([w, h, w, h]) * size).float()[None]
    with torch.no_grad():
        model.eval()
        logits, iou, _ = decode(model, encode(model, x[None]), box)
        mask = F.interpolate(torch.sigmoid(logits), size=(h, w), mode="bilinear", align_corners=False) > 0.5
    return logits[0, 0].numpy(), float(iou), mask[0, 0].numpy()


def one(binary, folder, seed):
    rng, torch_rng = random.Random(seed), torch.Generator().manual_seed(seed)
    config = draw_config(rng)
    model = build(config)
    draw_weights(model, torch_rng)
    (folder / "model.toml").write_text("".join(f"{key} = {value}\n" for key, value in config.items()))
    checkpoint = folder / rng.choice(["w.safetensors", "w.pt"])
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if checkpoint.suffix == ".pt":
        torch.save({"model": state}, checkpoint)
    else:
        save_file(state, checkpoint)
    h, w = rng.randint(20, 700), rng.randint(20, 700)
    picture = torch.randint(0, 256, (h, w, 3), generator=torch_rng, dtype=torch.uint8).numpy()
    picture[: h // 2] //= 3
    np.save(folder / "slice.npy", picture)
    x0, y0 = rng.uniform(0, w * 0.6), rng.uniform(0, h * 0.6)
    pixels = [x0, y0, rng.uniform(x0 + 1, w), rng.uniform(y0 + 1, h)]
    subprocess.run(
        [binary, "segment", "--checkpoint", checkpoint, "--model", folder / "model.toml", "--image", folder / "slice.npy",
         "--box", ",".join(map(repr, pixels)), "--output", folder / "out", "-q"], check=True, stdout=subprocess.DEVNULL)
    logits, iou, mask = reference(model, picture, pixels, config["image_size"])
    found = np.load(folder / "out/logits.npy")
    error = np.abs(found - logits).max() / np.abs(logits).max()
    differ = int((np.load(folder / "out/mask.npy") != mask).sum())
    iou_error = abs(float(np.load(folder / "out/iou.npy")[0]) - iou)
    print(f"seed {seed}: {h}x{w} {config} logits {error:.1e} of {np.abs(logits).max():.1f}, iou {iou_error:.1e}, {differ} of {h * w} pixels")
    assert error <= TOLERANCE and iou_error <= TOLERANCE and differ <= 10, "not PyTorch's"
    return error


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        worst = max(one(flags.binary, pathlib.Path(folder), flags.seed + i) for i in range(flags.rounds))
    print(f"largest error {worst:.1e} of the largest logit")
