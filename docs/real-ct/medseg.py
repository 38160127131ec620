"""Cross-validation on single real CT slices with ground glass and consolidation (docs/real-ct.md).

    python3 docs/real-ct/medseg.py --data ../shared/data/medseg_covid --start runs/sample/train/best.safetensors --output runs/medseg/sample
    python3 docs/real-ct/medseg.py --data ../shared/data/medseg_covid --output runs/medseg/random

Slices that look alike (column `lookalike_group` of `cases.csv`, perhaps of one patient) never stand on both sides of a split. Each fold trains with
`cargo xtask train` and is segmented prompted and automatic; then the predictions of all folds are evaluated together, so that every slice is
scored once, by a model that has not seen it or one that looks like it. Intervals redraw groups, not slices. Needs nothing but Python.
"""

import argparse
import csv
import json
import pathlib
import random
import shutil
import subprocess


def folds_of(cases, count, seed):
    """Lists of case names; groups stay together, large ones are dealt out first, each to the smallest fold."""
    groups = {}
    for row in cases:
        groups.setdefault(row["lookalike_group"] or row["case"], []).append(row["case"])
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    folds = [[] for _ in range(count)]
    for name in sorted(names, key=lambda name: -len(groups[name])):
        min(folds, key=len).extend(groups[name])
    return folds


def call(*command):
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--start", type=pathlib.Path, help="weights to begin with [default: random ones]")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, default=0, help="run only this many folds, to try things out; nothing is evaluated then")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--set", action="append", default=[], help="handed to xtask, e.g. train.epochs=20")
    args = parser.parse_args()

    with open(args.data / "cases.csv", newline="") as file:
        cases = list(csv.DictReader(file))
    folds = folds_of(cases, args.folds, args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    for kind in ("infer", "infer-auto", "gt"):
        shutil.rmtree(args.output / kind, ignore_errors=True)
        (args.output / kind).mkdir()
    for number, test in enumerate(folds, start=1):
        if args.only and number > args.only:
            return
        # The fold after this one chooses the best epoch.
        valid = folds[number % args.folds]
        train = [case for fold in folds for case in fold if case not in test and case not in valid]
        folder = args.output / f"fold-{number}"
        splits = args.output / f"fold-{number}.json"
        splits.write_text(json.dumps({"train": sorted(train), "valid": sorted(valid), "test": sorted(test)}, indent=1))
        settings = [
            f"pipeline.output={folder}", f"nii-to-npz.splits={splits}", f"nii-to-npz.img-path={args.data / 'imagesTr'}",
            f"nii-to-npz.gt-path={args.data / 'labelsTr'}", f"train.pretrained={args.start or ''}", *args.set,
        ]
        sets = [word for setting in settings for word in ("--set", setting)]
        call("cargo", "xtask", "pipeline", "--config", "docs/real-ct/medseg.toml", f"--seed={args.seed}", *sets)
        for kind in ("infer", "infer-auto"):
            for path in (folder / kind).iterdir():
                if path.is_file():
                    shutil.copy(path, args.output / kind)
        for path in (folder / "npz/npz_test").rglob("*.npz"):
            shutil.copy(path, args.output / "gt")
    with open(args.output / "groups.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["case", "patient"])
        table.writerows([row["case"], row["lookalike_group"] or row["case"]] for row in cases)
    call(
        "target/release/ild-metrics", "evaluate", "--pred", args.output / "infer", "--automatic", args.output / "infer-auto", "--gt", args.output / "gt",
        "--name", "prompted", "--patients", args.output / "groups.csv", "--output", args.output / "evaluation", f"--seed={args.seed}",
    )


if __name__ == "__main__":
    main()
