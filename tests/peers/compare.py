"""Times ild and its peers in alternation and prints medians, minima, CPU-seconds, ratios and peak memory.

    cargo build --release -p ild-train --example engine
    python tests/peers/compare.py --part encode --rounds 7 --peers eager onnxruntime openvino
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ENGINE = HERE.parent.parent / "target/release/examples/engine"


class Process:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended early")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["encode", "decode", "forward", "step"], default="encode")
    parser.add_argument("--model", default="t")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", nargs="*", default=["eager"], help="eager, compile, onnxruntime, openvino, openvino-bf16")
    parser.add_argument("--seed", default="2024")
    parser.add_argument("--json", help="write every measurement here")
    args = parser.parse_args()

    folder = tempfile.TemporaryDirectory()
    weights = str(pathlib.Path(folder.name) / "weights.safetensors")
    common = ["--model", args.model, "--batch", str(args.batch), "--weights", weights]
    engines = {"ild": Process([str(ENGINE), *common, "--workers", str(args.threads), "--seed", args.seed, "--quiet"])}
    for peer in args.peers:
        engine, _, precision = peer.partition("-")
        command = [sys.executable, str(HERE / "engines.py"), "--engine", engine, "--threads", str(args.threads), *common]
        engines[peer] = Process(command + (["--precision", precision] if precision else []))

    for engine in engines.values():  # a first call of everything is not counted
        if args.part == "decode":
            engine.ask("encode")
        engine.ask(args.part)
    found = {name: [] for name in engines}
    for _ in range(args.rounds):
        for name, engine in engines.items():
            found[name].append(engine.ask(args.part))

    print(f"{args.part}, {args.model}, batch {args.batch}, {args.threads} threads, {args.rounds} rounds; sums of the results must agree")
    print(f"{'engine':16}{'wall min':>10}{'median':>9}{'CPU min':>9}{'median':>9}{'x wall':>8}{'x CPU':>7}{'GiB':>6}  sum")
    of = lambda name, key: [r[key] for r in found[name]]
    for name in engines:
        wall, cpu = of(name, "wall"), of(name, "cpu")
        ratio = [min(wall) / min(of("ild", "wall")), min(cpu) / min(of("ild", "cpu"))]
        peak = max(of(name, "peak")) / 2**30
        print(
            f"{name:16}{min(wall):10.3f}{statistics.median(wall):9.3f}{min(cpu):9.2f}{statistics.median(cpu):9.2f}"
            f"{ratio[0]:8.2f}{ratio[1]:7.2f}{peak:6.2f}  {of(name, 'sum')[0]:.6f}"
        )
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
