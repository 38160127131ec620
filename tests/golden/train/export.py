"""Remakes the golden files of this folder from PyPI packages.

    pip install torch monai==1.3.2 numpy
    python export.py

Tolerances are in crates/ild-train/tests/golden.rs, each with its reason. `items.json` and `labels.npz` hold six items of the
reference's dataset with the random numbers it drew (Python's `random`, seed 2024).
"""

import gzip
import json
import random
import tempfile
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceLoss

HERE = Path(__file__).parent


def loss():
    torch.manual_seed(5)
    logits = (torch.randn(3, 1, 24, 20) * 3).requires_grad_()
    gt = (torch.rand(3, 1, 24, 20) > 0.7).to(torch.uint8)
    gt[2] = 0  # an empty mask
    per_mask = DiceLoss(sigmoid=True, squared_pred=True, reduction="none")(logits, gt.float())
    dice = per_mask.mean()
    bce = torch.nn.BCEWithLogitsLoss()(logits, gt.float())
    (dice + bce).backward()
    small = torch.randn(2, 1, 16, 16) * 4
    enlarged = torch.nn.functional.interpolate(small, (64, 48), mode="bilinear", align_corners=False)
    np.savez_compressed(
        HERE / "loss.npz",
        logits=logits.detach(), gt=gt, dice=dice.detach(), bce=bce.detach(), grad=logits.grad,
        dice_per_mask=per_mask.detach().reshape(3), small=small, enlarged=enlarged,
    )


def adamw():
    torch.manual_seed(6)
    start = {"p": torch.randn(64), "without": torch.randn(5), "zero": torch.randn(5)}
    gradients = torch.randn(10, 64) * torch.logspace(-6, 1, 64)
    out = {f"{k}0": v.clone() for k, v in start.items()} | {"gradients": gradients}
    for name, lr in (("reference", 6e-5), ("fast", 1e-3)):
        parameters = {k: torch.nn.Parameter(v.clone()) for k, v in start.items()}
        optimiser = torch.optim.AdamW(parameters.values(), lr=lr, weight_decay=0.01, foreach=False)
        for step, gradient in enumerate(gradients):
            parameters["p"].grad = gradient.clone()
            parameters["zero"].grad = torch.zeros(5)  # decays; "without" has no gradient and must not
            optimiser.step()
            if step in (0, 1, 4, 9):
                out[f"{name}_p{step + 1}"] = parameters["p"].detach().clone()
        out |= {f"{name}_{k}10": v.detach() for k, v in parameters.items() if k != "p"}
        out |= {f"{name}_{k}": optimiser.state[parameters["p"]][k] for k in ("exp_avg", "exp_avg_sq")}
    np.savez_compressed(HERE / "adamw.npz", **out)


def items():
    """The reference's NpyDataset on six made-up labels: label choice, then x_min, x_max, y_min, y_max shifts, clamped, times 4."""
    random.seed(2024)
    rng = np.random.default_rng(7)
    labels, listed = np.zeros((6, 256, 256), np.uint8), []
    for i in range(6):
        for label in range(1, 2 + i % 3):
            y, x = rng.integers(0, 200, 2)
            labels[i, y : y + 56, x : x + rng.integers(20, 56)] = label
    labels[5] = 0
    labels[5, 250:, 252:] = 5  # its box is clamped on two sides
    for i, gt in enumerate(labels):
        present = np.unique(gt)[1:].tolist()
        label = random.choice(present)
        ys, xs = np.where(gt == label)
        shifts = [random.randint(0, 5) for _ in range(4)]
        box = [
            max(0, xs.min() - shifts[0]), max(0, ys.min() - shifts[2]),
            min(256, xs.max() + shifts[1]), min(256, ys.max() + shifts[3]),
        ]
        listed.append({"present": present, "label": label, "shifts": shifts, "box_1024": [float(4 * v) for v in box], "area": len(xs)})
    np.savez_compressed(HERE / "labels.npz", labels=labels)
    (HERE / "items.json").write_text(json.dumps(listed, indent=1) + "\n")


def reference_checkpoint():
    """A `.pth` as the reference's script writes it, of the model `MINI` of the tests, after three AdamW steps.

    Every tensor is constant, so that the file compresses to almost nothing. The list of names and shapes is written by
    `cargo test -p ild-train --test reference_checkpoint -- --ignored`.
    """
    listed = json.loads((HERE / "mini_parameters.json").read_text())
    trained = {name: torch.nn.Parameter(torch.full(shape, 0.01 * (i + 1))) for i, (name, shape) in enumerate(listed["trained"])}
    optimiser = torch.optim.AdamW(trained.values(), lr=1e-3, weight_decay=0.01)
    for _ in range(3):
        for i, (name, parameter) in enumerate(trained.items()):
            if "iou_prediction_head" not in name and "pred_obj_score_head" not in name:
                parameter.grad = torch.full_like(parameter, 1e-3 * (i + 1))
        optimiser.step()
    model = {f"sam2_model.{name}": parameter.detach() for name, parameter in trained.items()}
    model |= {f"sam2_model.{name}": torch.full(shape, -0.5) for name, shape in listed["frozen"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "medsam_model_latest.pth"
        torch.save({"model": model, "optimizer": optimiser.state_dict(), "epoch": 6}, path)
        (HERE / "reference.pth.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    reference_checkpoint()
    loss()
    adamw()
    items()
