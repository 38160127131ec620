"""Times programs against each other: in alternation, several rounds, CPU-seconds of every process involved.

A script of this folder is run by `cargo xtask bench NAME` as `python NAME.py --programs FOLDER [...]`, where the folder holds
the release binaries and, under `examples/`, the examples. It makes its data, lists its contenders and calls `compare`:

    from alternate import Engine, Program, arguments, available, compare

    args = arguments(__doc__)
    ours = Program([args.programs / "ild-preprocess", ...])
    peers = {"SimpleITK": Program([sys.executable, __file__, "peer", ...])} if available("SimpleITK") else {}
    compare("nii-to-npz", {"ild": ours, **peers}, args.rounds)

The first contender is the one the others are divided by.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

MIB = 2**20


# Starts a program and measures it. A process begins with the peak memory of the one that started it, so what starts it must be small.
LAUNCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
wall = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


class Program:
    """A process started anew in each round; its CPU-seconds are those of itself and of the children it waited for."""

    def __init__(self, command, before=None):
        self.command = [str(part) for part in command]
        self.before = before or (lambda: None)  # not timed: remove an output folder, say

    def measure(self):
        self.before()
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, *self.command]
        code, wall, cpu, peak = json.loads(subprocess.run(launcher, stdout=subprocess.PIPE, check=True, text=True).stdout)
        if code != 0:
            sys.exit(f"exit code {code}: {' '.join(self.command)}")
        return {"wall": wall, "cpu": cpu, "peak": peak}


class Engine:
    """A process that stays: it says {"ready": true}, then answers each line on stdin with one line of JSON.

    The answer holds `wall` and `cpu` seconds of the request, `peak` bytes, and optionally `sum`, by which results are compared.
    """

    def __init__(self, command, request="run"):
        self.command = [str(part) for part in command]
        self.request = request
        self.process = None

    def ask(self, request):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.answer()
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"ended early: {' '.join(self.command)}")
        return json.loads(line)

    def measure(self):
        return self.ask(self.request)

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def serve(run):
    """The other side of `Engine` in Python: `run(request)` returns the sum to compare (or None)."""
    import resource

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wall, before = time.perf_counter(), cpu()
        result = run(line.strip())
        answer = {"wall": time.perf_counter() - wall, "cpu": cpu() - before}
        answer["peak"] = peak_memory_bytes()
        if result is not None:
            answer["sum"] = float(result)
        print(json.dumps(answer), flush=True)


def peak_memory_bytes():
    """The most memory this process had in use: `VmHWM`, which begins anew when a program starts (`ru_maxrss` does not)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def available(*modules, pip=None):
    """Whether these can be imported; says how to install what is missing, so that the peer is skipped and not forgotten."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        print(f"skipped, no {', '.join(missing)}: {sys.executable} -m pip install {pip or ' '.join(missing)}", file=sys.stderr)
    return not missing


def compare(title, contenders, rounds=5, warm_up=1):
    """Measures all contenders in turn, `rounds` times, prints the table and returns every measurement by name."""
    found = {name: [] for name in contenders}
    for turn in range(warm_up + rounds):
        for name, contender in contenders.items():
            measured = contender.measure()
            if turn >= warm_up:
                found[name].append(measured)
    for contender in contenders.values():
        getattr(contender, "close", lambda: None)()
    print_table(title, found)
    return found


def print_table(title, found):
    """Medians, the range of CPU-seconds, how many times the first contender's median, and the highest memory."""
    median = lambda name, key: statistics.median(r[key] for r in found[name])
    first = next(iter(found))
    width = max(16, *(len(name) + 1 for name in found))
    print(f"\n{title} ({len(found[first])} rounds in alternation, medians)")
    print(f"{'':{width}}{'wall s':>9}{'CPU s':>9}{'from':>9}{'to':>9}{'x wall':>8}{'x CPU':>8}{'peak MiB':>10}  sum")
    for name, rows in found.items():
        cpu = [r["cpu"] for r in rows]
        ratios = [median(name, key) / max(median(first, key), 1e-9) for key in ("wall", "cpu")]
        total = f"{rows[0]['sum']:.9g}" if "sum" in rows[0] else ""
        print(
            f"{name:{width}}{median(name, 'wall'):9.3f}{median(name, 'cpu'):9.3f}{min(cpu):9.3f}{max(cpu):9.3f}"
            f"{ratios[0]:8.1f}{ratios[1]:8.1f}{max(r['peak'] for r in rows) / MIB:10.0f}  {total}"
        )


def machine():
    """One line for the docs."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.machine()}, load {os.getloadavg()[0]:.1f}"


def arguments(description, rounds=5, **more):
    """`--programs`, `--rounds`, `--seed`, `--workers`; `more` adds flags: name=default."""
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=here.parent.parent / "target/release", help="folder of the release binaries")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    for name, default in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    args = parser.parse_args()
    print(machine())
    return args
