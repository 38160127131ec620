"""Writes the small PyTorch files that the checkpoint reader is tested on. Needs `pip install torch`.

Every tensor of n values holds i / 8 - 1 for i = 0..n-1 in row-major order (integers: i - 2; booleans: i odd),
so that the test can say what it expects without a second file. Run in this folder: python export.py
"""

import argparse
from collections import OrderedDict

import torch


def ramp(*shape, dtype=torch.float32):
    n = 1
    for d in shape:
        n *= d
    i = torch.arange(n)
    if dtype == torch.bool:
        values = i % 2 == 1
    elif dtype.is_floating_point:
        values = i / 8 - 1
    else:
        values = i - 2 if dtype != torch.uint8 else i
    return values.to(dtype).reshape(shape)


def main():
    state = OrderedDict(weight=ramp(3, 4), bias=ramp(5))
    torch.save(state, "bare.pt")
    torch.save({"model": state}, "model.pt")
    torch.save({"model": {"sam2_model." + k: v for k, v in state.items()}, "optimizer": optimizer_state(), "epoch": 7}, "finetuned.pth")
    torch.save({"state_dict": {"module." + k: torch.nn.Parameter(v) for k, v in state.items()}}, "parameters.pt")
    torch.save({"model": state}, "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"model": state}, "protocol4.pt", pickle_protocol=4)

    types = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool]
    torch.save({str(t).split(".")[1]: ramp(2, 3, dtype=t) for t in types}, "types.pt")

    base = ramp(4, 6)
    views = {
        "row": base[1],
        "columns": base[:, 2:4],
        "transposed": base.t(),
        "every_second": base[::2],
        "permuted": ramp(2, 3, 4).permute(2, 0, 1),
        "expanded": ramp(3, 1).expand(3, 4),
        "channels_last": ramp(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(0.5),
        "empty": torch.zeros(0, 3),
    }
    torch.save(views, "views.pt")
    other = {"model": state, "args": argparse.Namespace(lr=0.1), "names": {"a", "b"}, "size": torch.Size([1, 2]), "blob": b"123", "none": None, "big": 2**80}
    torch.save(other, "other_objects.pt")
    torch.save({"weight": torch.zeros(2, dtype=torch.complex64)}, "complex.pt")
    torch.save({"epoch": 3, "names": ["a"]}, "no_tensors.pt")
    torch.save(torch.nn.Linear(2, 2), "whole_module.pt")


def optimizer_state():
    moments = {"step": torch.tensor(20.0), "exp_avg": ramp(3, 4), "exp_avg_sq": ramp(3, 4)}
    return {"state": {0: moments}, "param_groups": [{"lr": 6e-5, "betas": (0.9, 0.999), "params": [0, 1]}]}


if __name__ == "__main__":
    main()
