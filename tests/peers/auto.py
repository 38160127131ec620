"""Segmentation without any prompt: ild beside nnU-Net v2, trained for the same CPU-seconds on the same patients.

    cargo xtask bench auto --python venv/bin/python                             a budget of 400 CPU-seconds
    cargo xtask bench auto --python venv/bin/python -- --budgets 400,1600,4000
    cargo xtask bench auto --python venv/bin/python -- --budgets 60 --cases 10  the harness, in a few minutes

Synthetic patients (`ild-phantom`), one split (`ild-preprocess nii-to-npz`), seen alike by all. nnU-Net gets what its documentation says for
sparse labels: configuration 2d, the label `ignore` on slices that nobody outlined. `nnU-Net` sees the patients with disease alone, as its users
do it; `nnU-Net+healthy` also has the healthy slices and patients that ild is given, as background. A small width (--features) and 256 x 256 x batch 8, because its own choice does not get through an epoch in these
budgets. Its polynomial schedule ends at the budget: the iterations that fit are counted from the first ones. No validation and no test-time
mirroring, which would only cost it time. ild trains with the settings of the sample run, as many epochs as fit into the budget.
CPU-seconds are those of the whole process that trains, with its children. Both are scored by `ild-metrics evaluate`: by class by its rule, for the
classes a patient has, over the whole CT against the full truth, and on healthy patients.
Needs `pip install nnunetv2`.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

from alternate import LAUNCH, MIB, arguments, available

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "crates/ild/pipeline/sample.toml"
# nnU-Net's contenders: the number of their data set, and whether it holds what is known to be healthy.
PEERS = {"nnU-Net": (1, False), "nnU-Net+healthy": (2, True)}
IGNORE = 6
# CPU-seconds of one and of two epochs of ild, once they have been measured.
TRIALS = []


def run(command, environment=None):
    """Runs a program and returns its wall and CPU-seconds and peak memory; ends everything when it fails."""
    command = [str(part) for part in command]
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, *command]
    said = subprocess.run(launcher, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    code, wall, cpu, peak = json.loads(said)
    if code != 0:
        sys.exit(f"exit code {code}: {' '.join(command)}")
    return {"wall": wall, "cpu": cpu, "peak": peak}


def sample_settings():
    import tomllib

    return tomllib.loads(SAMPLE.read_text())


def flags(table, leave_out=()):
    """A table of the sample's settings as flags; what stands for another setting is left to the caller."""
    out = []
    for key, value in table.items():
        if key in leave_out or (isinstance(value, str) and "{" in value):
            continue
        if value is True:
            out.append(f"--{key}")
        elif value is not False:
            out.append(f"--{key}=" + (",".join(map(str, value)) if isinstance(value, list) else str(value)))
    return out


# ---- data, the same for both -----------------------------------------------------------------------------------------------


def prepare(args, settings, work):
    """CTs, labels, split, healthy patients; returns the cases of each split."""
    program = lambda name: args.programs / name
    size = args.size or ",".join(map(str, settings["phantom"]["size"]))
    phantom = flags(settings["phantom"], ("output", "cases", "size"))
    run([program("ild-phantom"), "--output", work / "data", f"--cases={args.cases}", f"--size={size}", f"--seed={args.seed}", *phantom])
    run([program("ild-phantom"), "--output", work / "healthy", "--cases=0", "--healthy=4", f"--size={size}", "--seed=40001"])
    small = flags(settings["nii-to-npz"])
    run([
        program("ild-preprocess"), "nii-to-npz", "--img-path", work / "data/imagesTr", "--gt-path", work / "data/labelsTr", "--output", work / "npz",
        f"--seed={args.seed}", *small, *healthy_flag(args, work),
    ])
    run([
        program("ild-preprocess"), "npz-to-npy", "--npz-train-dir", work / "npz/npz_train", "--npz-valid-dir", work / "npz/npz_valid",
        "--npy-dir", work / "npy", *flags(settings["npz-to-npy"]),
    ])
    cases = lambda part: sorted(path.stem for path in (work / "npz" / f"npz_{part}").rglob("*.npz"))
    return {part: cases(part) for part in ("train", "valid", "test")}


def healthy_flag(args, work):
    """`--healthy FILE` where this version of ild-preprocess has it and the cohort names anything."""
    file = work / "data/healthy.json"
    said = subprocess.run([str(args.programs / "ild-preprocess"), "nii-to-npz", "--help"], capture_output=True, text=True).stdout
    return ["--healthy", file] if file.is_file() and "--healthy" in said else []


# ---- ild -------------------------------------------------------------------------------------------------------------------


def ild(args, settings, work, budget, out):
    train = lambda epochs, folder: [
        args.programs / "ild-train", "--npy-dir", work / "npy", "--run-dir", folder, f"--epochs={epochs}", f"--seed={args.seed}",
        f"--workers={args.workers}", *flags(settings["train"], ("epochs",)),
    ]
    afresh = lambda epochs, folder: (shutil.rmtree(folder, ignore_errors=True), run(train(epochs, folder)))[1]
    if not TRIALS:  # one epoch and two: the difference is an epoch, the rest is starting
        TRIALS.extend(afresh(n, work / f"ild-trial-{n}")["cpu"] for n in (1, 2))
    one, two = TRIALS
    if two <= one:
        sys.exit(f"two epochs took {two:.1f} CPU-s and one {one:.1f}: the machine is too busy to say what an epoch takes")
    per_epoch = two - one
    epochs = max(1, int((budget - max(one - per_epoch, 0)) / per_epoch))
    folder = out / "train"
    trained = afresh(epochs, folder)
    infer = lambda images, output, more: run([
        args.programs / "ild-infer", "--input", images, "--checkpoint", folder / "best.safetensors", "--model", settings["train"]["model"],
        "--prompt=auto", "--output", output, f"--workers={args.workers}", *more,
    ])
    used = infer(work / "data/imagesTr", out / "pred", ["--cases-of", work / "npz/npz_test"])
    infer(work / "healthy/imagesTr", out / "healthy", [])
    return {"train": trained, "infer": used, "says": f"{epochs} epochs"}


# ---- nnU-Net ---------------------------------------------------------------------------------------------------------------


def dataset(number):
    return f"Dataset{number:03}_ILD"


def nnunet(args, work, splits, budget, out, number, healthy):
    environment = dict(
        os.environ, nnUNet_raw=str(work / "nnunet/raw"), nnUNet_preprocessed=str(work / "nnunet/preprocessed"), nnUNet_results=str(out / "results"),
        nnUNet_n_proc_DA="0", nnUNet_compile="f", OMP_NUM_THREADS=str(args.workers),
        OMP_WAIT_POLICY="PASSIVE",  # threads that spin while they wait would spend its budget
    )
    peer = lambda step, *more: [sys.executable, "-W", "ignore", __file__, "--peer", step, "--work", work, "--out", out, "--threads", args.workers, "--number", number, *more]
    ready = work / f"nnunet/ready-{number}"
    if not ready.exists():
        write_dataset(work, splits, number, healthy)
        run(peer("plan", "--features", args.features), environment | {"nnUNet_n_proc_DA": str(args.workers)})
        ready.touch()
    trained = run(peer("train", "--budget", budget, "--seed", args.seed), environment)
    for name, images, cases in (
        ("pred", work / "data/imagesTr", splits["test"]),
        ("healthy", work / "healthy/imagesTr", [p.name.removesuffix("_0000.nii.gz") for p in sorted((work / "healthy/imagesTr").glob("*_0000.nii.gz"))]),
    ):
        used = run(peer("predict", "--images", images, "--predictions", out / name, "--cases", ",".join(cases)), environment)
        if name == "pred":
            test = used
    says = json.loads((out / "training.json").read_text())
    return {"train": trained, "infer": test, "says": f"{says['iterations']} iterations of batch 8, loss at the end {says['loss']:.2f}"}


def write_dataset(work, splits, number, healthy):
    """nnU-Net's raw folder: training patients, `ignore` on slices that nobody looked at."""
    import nibabel
    import numpy as np

    raw = work / "nnunet/raw" / dataset(number)
    shutil.rmtree(raw, ignore_errors=True)
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    declared = {"cases": [], "slices": {}}
    if (work / "data/healthy.json").is_file():
        declared.update(json.loads((work / "data/healthy.json").read_text()))
    if not healthy:
        splits = {part: [case for case in cases if case not in declared["cases"]] for part, cases in splits.items()}
        declared = {"cases": [], "slices": {}}
    for case in splits["train"] + splits["valid"]:
        (raw / "imagesTr" / f"{case}_0000.nii.gz").symlink_to((work / "data/imagesTr" / f"{case}_0000.nii.gz").resolve())
        image = nibabel.load(work / "data/labelsTr" / f"{case}.nii.gz")
        labels = np.asarray(image.dataobj).astype(np.uint8)
        known = labels.any(axis=(0, 1))
        known[declared["slices"].get(case, [])] = True
        if case not in declared["cases"]:
            labels[:, :, ~known] = IGNORE
        nibabel.save(nibabel.Nifti1Image(labels, image.affine, image.header), raw / "labelsTr" / f"{case}.nii.gz")
    names = json.loads((work / "data/dataset.json").read_text())
    names["labels"]["ignore"] = IGNORE
    names["numTraining"] = len(splits["train"] + splits["valid"])
    (raw / "dataset.json").write_text(json.dumps(names))
    folder = work / "nnunet/preprocessed" / dataset(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "splits_final.json").write_text(json.dumps([{"train": splits["train"], "val": splits["valid"] or splits["train"][:1]}]))


def plan(args):
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    extract_fingerprints([args.number], num_processes=1, show_progress_bar=False)
    plan_experiments([args.number])
    file = args.work / "nnunet/preprocessed" / dataset(args.number) / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    two_d = plans["configurations"]["2d"]
    two_d.update(patch_size=[256, 256], batch_size=8)
    widths = [int(width) for width in args.features.split(",")]
    net = two_d["architecture"]["arch_kwargs"]
    stages = len(widths)
    shorter = lambda values, n: (values + [values[-1]] * n)[:n]
    net["n_stages"], net["features_per_stage"] = stages, widths
    net["kernel_sizes"] = [[3, 3]] * stages
    net["strides"] = [[1, 1]] + [[2, 2]] * (stages - 1)
    net["n_conv_per_stage"] = shorter(net["n_conv_per_stage"], stages)
    net["n_conv_per_stage_decoder"] = shorter(net["n_conv_per_stage_decoder"], stages - 1)
    file.write_text(json.dumps(plans))
    preprocess([args.number], configurations=["2d"], num_processes=[1], show_progress_bar=False)


def train(args):
    import numpy as np
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    trainer = get_trainer_from_args(dataset(args.number), "2d", 0, "nnUNetTrainer", device=torch.device("cpu"))
    trainer.plot_network_architecture = lambda: None
    trainer.on_train_start()
    trainer.network.train()
    steps, total, losses = 0, None, []
    began = cpu_seconds()
    while total is None or steps < total:
        share = 0 if total is None else steps / total
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - share) ** 0.9
        losses.append(float(trainer.train_step(next(trainer.dataloader_train))["loss"]))
        steps += 1
        if steps % 10 == 0:
            print(f"nnU-Net, iteration {steps} of {total}: loss {np.mean(losses[-10:]):.3f}", file=sys.stderr, flush=True)
        if steps == 3:  # the first ones are slower: they are spent, and not counted on
            warm = cpu_seconds()
        if steps == 8:
            per_step = (cpu_seconds() - warm) / 5
            total = max(8, 8 + int((args.budget - cpu_seconds()) / per_step))
        if steps > 8 and cpu_seconds() > args.budget:
            break
    trainer.save_checkpoint(str(pathlib.Path(trainer.output_folder) / "checkpoint_final.pth"))
    said = {"iterations": steps, "planned": total, "cpu_of_iterations": cpu_seconds() - began, "loss": float(np.mean(losses[-10:])), "losses": losses}
    (args.out / "training.json").write_text(json.dumps(said))


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def predict(args):
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(args.threads)
    predictor = nnUNetPredictor(use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(args.out / "results" / dataset(args.number) / "nnUNetTrainer__nnUNetPlans__2d"), use_folds=(0,))
    args.predictions.mkdir(parents=True, exist_ok=True)
    cases = args.cases.split(",")
    inputs = [[str(args.images / f"{case}_0000.nii.gz")] for case in cases]
    predictor.predict_from_files_sequential(inputs, [str(args.predictions / case) for case in cases], overwrite=True)


# ---- scores ----------------------------------------------------------------------------------------------------------------


def scores(args, work, out, name):
    run([
        args.programs / "ild-metrics", "evaluate", "--pred", out / "pred", "--gt", work / "npz/npz_test", "--truth", work / "data/truthTr",
        "--healthy", f"{name}={out / 'healthy'}", "--name", name, "--output", out / "evaluation", f"--seed={args.seed}",
    ])
    found = json.loads((out / "evaluation/summary.json").read_text())["ild"]
    system, whole, healthy = found["systems"][0], found["whole_ct"][0], found["healthy"][0]
    return {
        "annotated": system["mean_volume_dsc"]["mean"], "annotated, one": system["all_classes_as_one_dsc"]["mean"], "lesion F1": system["lesion_f1"],
        "whole": whole["mean_dice"], "present": whole["mean_dice_where_present"], "one": whole["any_class"]["mean"],
        "free mL": whole["free_slices_ml"]["mean"], "absent": "{} of {}".format(*whole["absent_pairs"]), "healthy mL": healthy["mean_invented_ml"],
        "classes": {c["metrics"] and c["name"]: c["metrics"]["dice"]["mean"] for c in system["classes"].values()},
    }


def show(rows):
    number = lambda value, digits=3: "–" if value is None else value if isinstance(value, str) else f"{value:.{digits}f}"
    print("\n| budget | | trained | training CPU-s | peak, MiB | CPU-s a case | DSC by class | as one | lesion F1 | whole CT | classes there | as one | free slices, mL | absent reported | healthy, mL |")
    print("|" + "---|" * 15)
    for row in rows:
        s, t = row["scores"], row["used"]
        print("| " + " | ".join([
            f"{row['budget']:.0f}", row["name"], t["says"], number(t["train"]["cpu"], 0), number(t["train"]["peak"] / MIB, 0),
            number(t["infer"]["cpu"] / row["cases"], 2), number(s["annotated"]), number(s["annotated, one"]), number(s["lesion F1"]), number(s["whole"]),
            number(s["present"]), number(s["one"]), number(s["free mL"], 1), s["absent"], number(s["healthy mL"], 1),
        ]) + " |")
    classes = sorted({name for row in rows for name in row["scores"]["classes"]})
    print("\n| budget | | " + " | ".join(classes) + " |\n|" + "---|" * (2 + len(classes)))
    for row in rows:
        print(f"| {row['budget']:.0f} | {row['name']} | " + " | ".join(number(row["scores"]["classes"].get(name)) for name in classes) + " |")


def peer_main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", choices=["plan", "train", "predict"])
    for name in ("work", "out", "images", "predictions"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--number", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--budget", type=float)
    parser.add_argument("--features")
    parser.add_argument("--cases")
    args = parser.parse_args()
    {"plan": plan, "train": train, "predict": predict}[args.peer](args)


def main():
    args = arguments(
        __doc__, budgets="400", cases=30, size="", work="runs/bench-auto", features="16,32,64,128,256,256", contenders=",".join(["ild", *PEERS]),
    )
    settings, work = sample_settings(), pathlib.Path(args.work) / f"{args.cases}-{args.seed}"
    wanted = args.contenders.split(",")
    with_peer = any(name in PEERS for name in wanted) and available("nnunetv2", "torch", "nibabel", pip="nnunetv2")
    splits = prepare(args, settings, work)
    print(", ".join(f"{part} {len(cases)}" for part, cases in splits.items()), "patients")
    rows = []
    for budget in map(float, args.budgets.split(",")):
        for name in wanted:
            if name in PEERS and not with_peer:
                continue
            out = work / f"{name}-{budget:.0f}"
            out.mkdir(parents=True, exist_ok=True)
            began = time.time()
            used = ild(args, settings, work, budget, out) if name == "ild" else nnunet(args, work, splits, budget, out, *PEERS[name])
            rows.append({"budget": budget, "name": name, "used": used, "scores": scores(args, work, out, name), "cases": len(splits["test"])})
            print(f"{name}, {budget:.0f} CPU-s: done in {time.time() - began:.0f} s", file=sys.stderr)
            (work / "results.json").write_text(json.dumps(rows, indent=1))
    show(rows)


if __name__ == "__main__":
    peer_main() if "--peer" in sys.argv else main()
