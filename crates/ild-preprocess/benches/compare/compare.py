"""Times both stages of `ild-preprocess` against peer.py, alternating, and checks that the arrays are the same bytes.

    python make_data.py DATA [CT.nii.gz]
    python compare.py DATA ../../../../target/release/ild-preprocess --rounds 5 --workers 1,2 --scratch /dev/shm/compare

Wall time, CPU time (user + system, children included) and peak memory of the largest process are printed per round.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
LEVEL, WIDTH = "-600", "1500"


def timed(command):
    """Wall s, CPU s, peak MiB of the command (children that it waited for included in CPU; the largest process in memory)."""
    # /usr/bin/time is not everywhere; a small Python parent reports its children's use.
    code = (
        "import resource,subprocess,sys,time;t=time.time();r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL).returncode;"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN);print(r,time.time()-t,u.ru_utime+u.ru_stime,u.ru_maxrss/1024)"
    )
    out = subprocess.run([sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=True)
    code, wall, cpu, peak = out.stdout.split()
    assert code == "0", f"{command}\n{out.stderr}"
    return float(wall), float(cpu), float(peak)


def both(stages):
    results = [timed(stage) for stage in stages]
    return sum(r[0] for r in results), sum(r[1] for r in results), max(r[2] for r in results), results


def python_run(data, out, workers):
    npz, npy = out / "npz", out / "npy"
    peer = [sys.executable, HERE / "peer.py"]
    return both(
        [
            [*peer, "nii-to-npz", data / "imgs", data / "gts", npz, LEVEL, WIDTH, workers],
            [*peer, "npz-to-npy", npz, npy, workers],
        ]
    )


def rust_run(binary, data, out, workers):
    common = ["--quiet", "--workers", workers]
    return both(
        [
            [binary, "nii-to-npz", "--parity", "--window-level", LEVEL, "--window-width", WIDTH, "--img-path", data / "imgs"]
            + ["--gt-path", data / "gts", "--output", out / "npz", *common],
            [binary, "npz-to-npy", "--npz-train-dir", out / "npz/npz_train", "--npy-dir", out / "npy", *common],
        ]
    )


def same_bytes(python, rust):
    """Arrays inside NPZ and whole NPY files, byte for byte; slices whose labels vanish exist only on Python's side."""
    for theirs in sorted((python / "npz").glob("*.npz")):
        ours = rust / "npz/npz_train/CT_ILD" / theirs.name
        with zipfile.ZipFile(theirs) as a, zipfile.ZipFile(ours) as b:
            for key in ("imgs.npy", "gts.npy", "spacing.npy"):
                assert a.read(key) == b.read(key), f"{theirs.name}: {key}"
    count = 0
    for ours in (rust / "npy/train").glob("*/*.npy"):
        assert ours.read_bytes() == (python / "npy" / ours.parent.name / ours.name).read_bytes(), ours
        count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm/compare"))
    args = parser.parse_args()
    for workers in args.workers.split(","):
        walls, cpus = [], []
        for i in range(args.rounds):
            shutil.rmtree(args.scratch, ignore_errors=True)
            args.scratch.mkdir(parents=True)
            os.sync()
            python = python_run(args.data, args.scratch / "python", workers)
            rust = rust_run(args.binary.resolve(), args.data, args.scratch / "rust", workers)
            walls.append(python[0] / rust[0])
            cpus.append(python[1] / rust[1])
            print(f"workers {workers} round {i}: python {python[0]:.2f} s wall {python[1]:.2f} s CPU {python[2]:.0f} MiB", end=" | ")
            print(f"ild {rust[0]:.2f} s wall {rust[1]:.2f} s CPU {rust[2]:.0f} MiB", end=" | ")
            stages = [f"{p[1]:.2f}/{r[1]:.2f}" for p, r in zip(python[3], rust[3])]
            print(f"CPU by stage (python/ild) {', '.join(stages)} | {same_bytes(args.scratch / 'python', args.scratch / 'rust')} NPY equal")
        print(f"workers {workers}: wall ratio {statistics.median(walls):.1f} [{min(walls):.1f}..{max(walls):.1f}]", end=", ")
        print(f"CPU ratio {statistics.median(cpus):.1f} [{min(cpus):.1f}..{max(cpus):.1f}], load average {os.getloadavg()[0]:.1f}")
    shutil.rmtree(args.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
