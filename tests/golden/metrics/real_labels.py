"""Compares ild-metrics with surface-distance and MedPy on real label maps, one pair per line below.

    pip install numpy scipy nibabel surface-distance medpy
    cargo build --release --workspace --bins
    python tests/golden/metrics/real_labels.py [--data ../shared/data] [--program target/release/ild-metrics]

The second map of a pair is another source's where there is one, else the first one shifted, eroded or speckled. Labels are cast to
8 bits and written on an axis-aligned grid of the same spacing, so that all programs see one spacing. Ends with 1 when any number
differs by more than 1e-9, relative to the larger of 1 and itself.
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
import scipy.ndimage as ndi

np.Inf, np.NaN = np.inf, np.nan  # surface-distance 0.1 was written for numpy 1
for old in ("filters", "morphology"):
    if not hasattr(ndi, old):
        setattr(ndi, old, ndi)
import medpy.metric.binary as medpy
import surface_distance as sd

TOLERANCE = 1e-9
NSD_MM = 2.0


def shift(by):
    def change(labels, _):
        return np.pad(labels, [(n, 0) for n in by])[tuple(slice(n) for n in labels.shape)]

    return change


def erode(times):
    return lambda labels, _: np.where(sum(ndi.binary_erosion(labels == i, iterations=times) for i in np.unique(labels) if i), labels, 0)


def speckle(share):
    def change(labels, rng):
        noise = rng.random(labels.shape) < share
        return np.where(noise, rng.choice(np.unique(labels), labels.shape), labels)

    return change


def source(path, take):
    return lambda labels, rng: take(load(path)[0])


def regions(*groups):
    """CIP labels hold the region in the low byte: the regions of the first group become 1, of the second 2."""
    return lambda labels: sum(np.isin(labels & 255, group) * (i + 1) for i, group in enumerate(groups))


same = lambda labels: labels
TOTAL = "totalsegmentator/tests/reference_files/"
PAIRS = [  # name, file, what is taken of it, what makes the second map
    # Upper and middle lobes against lower ones; the other annotation has the upper third against the rest.
    ("CIP lobes against thirds", "cip/nifti/crop_ct_interactiveLobeSegmentation.nii.gz", regions([4, 5, 7], [6, 8]),
     source("cip/nifti/crop_ct_partialLungLabelMap.nii.gz", regions([9, 12], [10, 13]))),
    ("CIP lung regions, speckled", "cip/nifti/lm-64_region.nii.gz", same, speckle(0.003)),
    ("TotalSegmentator organs, shifted", TOTAL + "example_seg_dicom.nii.gz", same, shift((1, 3, 2))),
    ("TotalSegmentator renal, eroded", TOTAL + "aorta_report/test_result/models/T710_renal.nii.gz", same, erode(1)),
    ("Elastix lung, speckled", "elastix_lung/nifti/3DCT_lung_baseline_mask.nii.gz", same, speckle(0.002)),
    ("Elastix lung, eroded", "elastix_lung/nifti/3DCT_lung_followup_mask.nii.gz", same, erode(3)),
    ("Lung-PET-CT-Dx tumour box, shifted", "lung_dx/Lung_Dx-A0001_02_L_bbox_label.nii.gz", same, shift((1, 6, 4))),
    ("Lung-PET-CT-Dx tumour box, speckled", "lung_dx/Lung_Dx-A0002_03_B40f_bbox_label.nii.gz", same, speckle(0.00002)),
]


def load(path):
    image = nibabel.load(args.data / path)
    return np.asarray(image.dataobj).transpose(2, 1, 0), np.float32(image.header.get_zooms()[:3])


def write(path, labels, spacing_xyz):
    path.parent.mkdir(exist_ok=True)
    affine = np.diag([*spacing_xyz, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), affine), path)


def expected(gt, pred, spacing):
    box = ndi.find_objects((gt | pred).view(np.uint8))[0]
    box = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in box)
    gt, pred = gt[box], pred[box]
    distances = sd.compute_surface_distances(gt, pred, spacing)
    there, back = sd.compute_average_surface_distance(distances)
    return {
        "dice": sd.compute_dice_coefficient(gt, pred), "iou": medpy.jc(pred, gt), "sensitivity": medpy.sensitivity(pred, gt),
        "precision": medpy.precision(pred, gt), "nsd_surfel": sd.compute_surface_dice_at_tolerance(distances, NSD_MM),
        "hd95_surfel_mm": sd.compute_robust_hausdorff(distances, 95), "asd_gt_to_pred_surfel_mm": there, "asd_pred_to_gt_surfel_mm": back,
        "hd95_voxel_mm": medpy.hd95(pred, gt, spacing), "assd_voxel_mm": medpy.assd(pred, gt, spacing),
    }


def main():
    rng = np.random.default_rng(2024)
    with tempfile.TemporaryDirectory() as folder:
        folder, pairs = pathlib.Path(folder), {}
        for i, (name, path, take, change) in enumerate(PAIRS):
            if not (args.data / path).exists():
                print(f"skipped, no {args.data / path}")
                continue
            labels, spacing = load(path)
            labels = take(labels).astype(np.uint8)
            pairs[f"{i}"] = (name, labels, change(labels, rng).astype(np.uint8), spacing)
            for side, array in zip(("gt", "pred"), pairs[f"{i}"][1:3]):
                write(folder / side / f"{i}.nii.gz", array, spacing)
        command = [args.program, "evaluate", "--annotated", "all", "--bootstrap", "0", "--nsd-tolerance-mm", str(NSD_MM), "--quiet"]
        command += ["--gt", folder / "gt", "--pred", folder / "pred", "--output", folder / "out"]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        rows = {(row["case"], int(row["label"])): row for row in csv.DictReader(open(folder / "out/cases.csv"))}
    print(f"{'pair':38}{'voxels':>14}{'spacing mm':>22}{'classes':>9}{'numbers':>9}{'largest difference':>20}")
    worst = 0.0
    for case, (name, gt, pred, spacing) in pairs.items():
        spacing_zyx = [float(s) for s in spacing[::-1]]
        classes, numbers, largest = 0, 0, 0.0
        for label in np.unique(gt)[1:]:
            a, b = gt == label, pred == label
            if not b.any():
                continue
            classes += 1
            for key, value in expected(a, b, spacing_zyx).items():
                numbers += 1
                difference = abs(float(rows[case, label][key]) - value) / max(1.0, abs(value))
                largest = max(largest, difference)
                if not difference <= TOLERANCE:
                    print(f"{name}, label {label}: {key} {rows[case, label][key]} instead of {value}")
        size = "x".join(str(n) for n in gt.shape[::-1])
        mm = " x ".join(f"{s:.3g}" for s in spacing)
        print(f"{name:38}{size:>14}{mm:>22}{classes:>9}{numbers:>9}{largest:>20.1e}", flush=True)
        worst = max(worst, largest)
    print(f"largest of all: {worst:.1e}")
    return worst <= TOLERANCE


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=root / "../shared/data")
    parser.add_argument("--program", type=pathlib.Path, default=root / "target/release/ild-metrics")
    args = parser.parse_args()
    sys.exit(0 if main() else 1)
