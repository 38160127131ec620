"""Times SAM 2 under PyTorch, eager and compiled, in f32 and in bf16 (autocast); prints one line of JSON."""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONFIGS = {"t": "sam2_hiera_t", "s": "sam2_hiera_s", "b+": "sam2_hiera_b+", "l": "sam2_hiera_l"}
WARM_UP = 3


def build(size, device):
    GlobalHydra.instance().clear()
    with initialize_config_module("sam2", version_base="1.2"):
        config = compose(config_name=f"configs/sam2/{CONFIGS[size]}.yaml")
        OmegaConf.resolve(config)
        return instantiate(config.model, _recursive_=True).to(device).train()


class Whole(torch.nn.Module):
    """Image and box to the logits of mask 0."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image, boxes):
        b = image.shape[0]
        fpn = self.model.forward_image(image)["backbone_fpn"]
        embed = fpn[2] + self.model.no_mem_embed.reshape(1, -1, 1, 1)
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=image.device).repeat(b, 1)
        with torch.no_grad():
            sparse, dense = self.model.sam_prompt_encoder(points=(boxes.reshape(b, 2, 2), labels), boxes=None, masks=None)
        return self.model.sam_mask_decoder(
            image_embeddings=embed, image_pe=self.model.sam_prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=False, repeat_image=False, high_res_features=[fpn[0], fpn[1]],
        )[0]


def loss_of(logits, masks):
    logits, p = logits.float(), torch.sigmoid(logits.float())
    axes = (1, 2, 3)
    dice = 1 - (2 * (p * masks).sum(axes) + 1e-5) / ((p * p).sum(axes) + (masks * masks).sum(axes) + 1e-5)
    return dice.mean() + F.binary_cross_entropy_with_logits(logits, masks)


def times(device, rounds, work):
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    found = []
    for i in range(WARM_UP + rounds):
        wait()
        started = time.perf_counter()
        work()
        wait()
        found.append((time.perf_counter() - started) * 1e3)
    return found[WARM_UP:]


def measure(args, size, what, batch, precision, compiled):
    if args.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = build(size, args.device)
    whole = Whole(model)
    run = torch.compile(whole) if compiled else whole
    side = model.image_size
    image = torch.randn(batch, 3, side, side, device=args.device)
    boxes = torch.tensor([[0.25 * side, 0.25 * side, 0.75 * side, 0.75 * side]], device=args.device).repeat(batch, 1)
    masks = torch.zeros(batch, 1, 256, 256, device=args.device)
    masks[:, :, 64:192, 64:192] = 1
    cast = torch.autocast(args.device, dtype=torch.bfloat16, enabled=precision == "bf16")
    trained = list(model.image_encoder.parameters()) + list(model.sam_mask_decoder.parameters())
    optimizer = torch.optim.AdamW(trained, lr=1e-6, weight_decay=0.01)

    def forward():
        with torch.no_grad(), cast:
            run(image, boxes)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with cast:
            logits = run(image, boxes)
        loss_of(logits, masks).backward()
        optimizer.step()

    found = times(args.device, args.rounds, forward if what == "forward" else step)
    peak = torch.cuda.max_memory_allocated() / 2**30 if args.device == "cuda" else None
    return {"min_ms": min(found), "median_ms": statistics.median(found), "peak_gib": peak}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device")
    parser.add_argument("--models")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int)
    args = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = False  # f32 means f32 on both sides
    sizes = [size for size in args.models.split(",") if size in CONFIGS]
    work = [(size, "forward", 1) for size in sizes] + [(size, "step", args.batch) for size in sizes[:1]]
    rows = []
    for size, what, batch in work:
        for precision in ["f32", "bf16"] if args.device == "cuda" else ["f32"]:
            for compiled in [False, True]:
                row = {"engine": "PyTorch " + ("compiled" if compiled else "eager"), "what": what, "model": size, "precision": precision,
                       "batch": batch, "min_ms": None, "median_ms": None, "peak_gib": None, "failed": None}
                try:
                    row.update(measure(args, size, what, batch, precision, compiled))
                except Exception as error:
                    row["failed"] = (str(error).splitlines() or [type(error).__name__])[0]
                print(row, file=sys.stderr)
                rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
