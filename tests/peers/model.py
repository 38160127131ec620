"""Times parts of SAM 2 in ild against the model from PyPI under PyTorch (eager, compiled), ONNX Runtime and OpenVINO.

    cargo xtask bench model --python venv/bin/python
    cargo xtask bench model --python venv/bin/python --rounds 7 -- --parts encode --peers ild-f16,eager,onnxruntime,openvino,openvino-bf16
    cargo xtask bench model --python venv/bin/python --rounds 2 -- --parts step --batch 2
    cargo xtask bench model --python venv/bin/python -- --parts memory --model t512

Parts: encode (image encoder), decode (prompt encoder and mask decoder on features that are there), forward (both), memory (all of a tracked
frame of the video path but its encoding, with a full bank: 7 maps, 16 pointers), step (forward, backward, AdamW; ild also with recomputed
activations). Every contender is one process that holds one model. All engines get the same generated weights and image; the sums of their results must agree. ONNX Runtime and
OpenVINO only encode. Needs `pip install sam2==1.1.0 torch torchvision safetensors`, and `onnx onnxruntime openvino` for those engines.
"""

import pathlib
import sys
import tempfile

from alternate import Engine, arguments, available, compare

ENGINES = pathlib.Path(__file__).with_name("engines.py")
NEEDS = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}


def main():
    args = arguments(__doc__, parts="encode,decode,forward,memory,step", peers="eager", model="t", batch=1)
    if not available("torch", "torchvision", "sam2", "safetensors", pip="sam2==1.1.0 torch torchvision safetensors"):
        sys.exit(1)
    peers = [peer for peer in args.peers.split(",") if available(*NEEDS.get(peer.split("-")[0], ()))]
    for part in args.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            common = ["--model", args.model, "--batch", args.batch, "--weights", pathlib.Path(folder) / "weights.safetensors"]
            ours = [args.programs / "examples/engine", *common, "--workers", args.workers, "--seed", args.seed, "--quiet"]
            # The first to be asked, so the weights are there when the others start.
            contenders = {"ild": Engine(ours + (["--train"] if part == "step" else []), part)}
            if part == "step":
                contenders["ild, recomputed"] = Engine([*ours, "--train", "--recompute"], part)
            for peer in peers:
                engine, _, precision = peer.partition("-")
                if engine == "ild" and part != "step":
                    contenders[peer] = Engine([*ours, "--precision", precision], part)
                    continue
                if engine == "ild" or (part != "encode" and engine in NEEDS):
                    continue
                command = [sys.executable, ENGINES, "--engine", engine, "--threads", args.workers, *common]
                contenders[peer] = Engine(command + (["--precision", precision] if precision else []), part)
            compare(f"{part}, SAM 2 {args.model}, batch {args.batch}, {args.workers} threads", contenders, args.rounds)


if __name__ == "__main__":
    main()
