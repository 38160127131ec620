"""Remakes cases.json: masks and what surface-distance 0.1 and MedPy 0.5.2 say about them.

    pip install numpy scipy surface-distance medpy
    python tests/golden/metrics/export.py

The Rust test compares with a relative tolerance of 1e-9: all programs compute in float64 and differ in the order of sums only.
"""
import json
import os

import numpy as np
import scipy.ndimage as ndi

np.Inf, np.NaN = np.inf, np.nan  # surface-distance 0.1 was written for numpy 1
if not hasattr(ndi, "filters"):
    ndi.filters = ndi
if not hasattr(ndi, "morphology"):
    ndi.morphology = ndi
import medpy.metric.binary as medpy
import surface_distance as sd

rng = np.random.default_rng(20240611)


def blob(shape, spacing, share):
    field = ndi.gaussian_filter(rng.standard_normal(shape), [2.0 / s for s in spacing])
    return field > np.quantile(field, 1 - share)


def boxes(shape, *corners):
    mask = np.zeros(shape, bool)
    for (z0, z1, y0, y1, x0, x1) in corners:
        mask[z0:z1, y0:y1, x0:x1] = True
    return mask


def pairs():
    for name, spacing in [("isotropic", (1, 1, 1)), ("thick slices", (2.5, 0.75, 0.75)), ("three spacings", (3.0, 0.6, 0.9)),
                          ("thin slices", (0.7, 3.3, 1.1))]:
        shape = (12, 24, 28)
        gt = blob(shape, spacing, 0.15)
        noise = blob(shape, spacing, 0.03)
        yield name, spacing, gt, gt ^ noise
    big = (20, 60, 64)
    yield "far apart", (2.0, 1.0, 0.5), boxes(big, (0, 3, 0, 4, 0, 5)), boxes(big, (17, 20, 50, 60, 40, 64), (0, 1, 59, 60, 63, 64))
    yield "speckled", (2.5, 0.7, 0.7), rng.random(big) > 0.999, rng.random(big) > 0.9995
    yield "shifted by two columns", (5.0, 0.8, 0.8), boxes(big, (4, 9, 10, 30, 10, 30)), boxes(big, (4, 9, 10, 30, 12, 32))
    yield "single voxels", (2.5, 0.75, 0.75), boxes(big, (3, 4, 3, 4, 3, 4)), boxes(big, (5, 6, 7, 8, 9, 10))
    yield "single slice", (2.5, 0.75, 0.75), blob((1, 40, 44), (1, 1, 1), 0.3), blob((1, 40, 44), (1, 1, 1), 0.3)
    yield "the whole volume", (1.0, 1.0, 1.0), np.ones((4, 5, 6), bool), boxes((4, 5, 6), (1, 3, 1, 4, 1, 5))
    yield "identical", (2.5, 0.75, 0.75), gt, gt


def case(name, spacing, gt, pred):
    d = sd.compute_surface_distances(gt, pred, spacing)
    tolerances = [0.5, 1.0, 2.0, 5.0]
    return {
        "name": name, "spacing_zyx_mm": spacing, "shape_zyx": gt.shape,
        "reference": np.packbits(gt).tobytes().hex(), "predicted": np.packbits(pred).tobytes().hex(),
        "dice": float(sd.compute_dice_coefficient(gt, pred)),
        "nsd": [[t, float(sd.compute_surface_dice_at_tolerance(d, t))] for t in tolerances],
        "surfel_hd95_mm": float(sd.compute_robust_hausdorff(d, 95)), "surfel_hd_mm": float(sd.compute_robust_hausdorff(d, 100)),
        "surfel_asd_mm": [float(v) for v in sd.compute_average_surface_distance(d)],
        "voxel_hd95_mm": float(medpy.hd95(pred, gt, spacing)), "voxel_assd_mm": float(medpy.assd(pred, gt, spacing)),
    }


out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.json")
with open(out, "w") as file:
    json.dump([case(*pair) for pair in pairs()], file, indent=1)
