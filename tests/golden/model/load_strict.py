"""Loads a .safetensors file into PyPI's SAM 2 with strict=True: python load_strict.py CONFIG.yaml FILE

Prints the number of tensors. CONFIG.yaml is one of the package's, for example configs/sam2.1/sam2.1_hiera_t.yaml.
"""

import sys

from safetensors.torch import load_file
from sam2.build_sam import build_sam2

model = build_sam2(sys.argv[1], ckpt_path=None, device="cpu", apply_postprocessing=False)
state = load_file(sys.argv[2])
model.load_state_dict(state, strict=True)
print(len(state))
