"""Times ild-metrics against surface-distance and against scipy's distance transform on the bounding box.

    cargo xtask bench metrics --python venv/bin/python --rounds 3

A pair of generated label maps, 512 x 512 x 100 voxels of 0.7 x 0.7 x 2.5 mm, five classes; `clean` has smooth borders, in
`speckled` one lung voxel in 200 of the prediction is of a random class. All compute NSD, HD95 and mean surface distances of the
five classes from arrays that are already in memory; imports and reading are not counted. `ild, everything` also computes the
other definition, the overlap of every slice and the lesions. Then whole programs, from two NIfTI files to numbers.

Needs numpy scipy nibabel; the peer surface-distance is left out when it is missing.
"""

import pathlib
import sys
import tempfile

from alternate import Engine, Program, arguments, available, compare, serve

SPACING_ZYX = (2.5, 0.7, 0.7)
TOLERANCE_MM = 2.0
SPECKLE = 1 / 200


def make_pairs(shape, seed):
    """(name, ground truth, prediction) of each case; both cases have one ground truth."""
    import numpy as np
    import scipy.ndimage as ndi

    rng = np.random.default_rng(seed)

    def field(scale_mm):
        coarse = [max(4, int(n * s / scale_mm)) for n, s in zip(shape, SPACING_ZYX)]
        values = rng.standard_normal(coarse).astype(np.float32)
        return ndi.zoom(values, [n / c for n, c in zip(shape, coarse)], order=3)[: shape[0], : shape[1], : shape[2]]

    z, y, x = np.ogrid[tuple(slice(-1, 1, 1j * n) for n in shape)]
    lung = np.logical_or(*(((x - c) / 0.38) ** 2 + (y / 0.62) ** 2 + (z / 0.95) ** 2 < 1 for c in (-0.45, 0.45)))
    where, kind, wobble = field(14), field(40), field(8)
    ranks = np.quantile(kind[::4, ::8, ::8], [0.2, 0.4, 0.6, 0.8])

    def labels(values):
        lesion = lung & (values > np.quantile(where[::4, ::8, ::8], 0.75))
        return np.where(lesion, 1 + np.digitize(kind, ranks), 0).astype(np.uint8)

    reference, predicted = labels(where), labels(where + 0.25 * wobble)
    yield "clean", reference, predicted
    noise = lung & (rng.random(shape, dtype=np.float32) < SPECKLE)
    predicted[noise] = rng.integers(0, 6, noise.sum())
    yield "speckled", reference, predicted


def write(path, array):
    import nibabel
    import numpy as np

    affine = np.diag([*SPACING_ZYX[::-1], 1.0])
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), path)


def read(path):
    import nibabel
    import numpy as np

    return np.ascontiguousarray(np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0))


def classes(reference, predicted):
    for label in range(1, 6):
        yield reference == label, predicted == label


def surface_distance_scores(reference, predicted):
    import numpy as np
    import scipy.ndimage as ndi

    np.Inf = np.inf  # surface-distance 0.1 was written for numpy 1
    for old in ("filters", "morphology"):
        if not hasattr(ndi, old):
            setattr(ndi, old, ndi)
    import surface_distance as sd

    def score():
        total = 0.0
        for gt, pred in classes(reference, predicted):
            distances = sd.compute_surface_distances(gt, pred, SPACING_ZYX)
            total += sd.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM)
            total += sd.compute_robust_hausdorff(distances, 95)
            total += sum(sd.compute_average_surface_distance(distances))
        return total

    return score


def scipy_scores(reference, predicted):
    import numpy as np
    import scipy.ndimage as ndi

    def score():
        total = 0.0
        for gt, pred in classes(reference, predicted):
            box = ndi.find_objects((gt | pred).view(np.uint8))[0]
            borders = [mask & ~ndi.binary_erosion(mask) for mask in (gt[box], pred[box])]
            to = [ndi.distance_transform_edt(~border, sampling=SPACING_ZYX) for border in borders]
            pooled = np.concatenate([to[1][borders[0]], to[0][borders[1]]])
            total += np.percentile(pooled, 95) + pooled.mean()
        return total

    return score


PEERS = {"surface-distance": surface_distance_scores, "scipy": scipy_scores}


def peer(name, paths, once):
    score = PEERS[name](*map(read, paths))
    if once:
        print(score())
    else:
        serve(lambda _: score())


def main():
    args = arguments(__doc__, rounds=3, size="100,512,512")
    if not available("numpy", "scipy", "nibabel"):
        sys.exit(1)
    peers = [name for name in PEERS if name == "scipy" or available("surface_distance", pip="surface-distance")]
    shape = tuple(int(n) for n in args.size.split(","))
    for case, *maps in make_pairs(shape, args.seed):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            paths = [folder / "gt/case.nii.gz", folder / "pred/case.nii.gz"]
            for path, array in zip(paths, maps):
                path.parent.mkdir()
                write(path, array)
            command = [args.programs / "examples/metrics_engine", *paths, "--quiet", "--workers", args.workers]
            contenders = {f"ild, {what}": Engine(command, request) for what, request in REQUESTS.items()}
            contenders |= {name: Engine([sys.executable, __file__, "peer", name, *paths]) for name in peers}
            compare(f"{case}: scores of arrays in memory", contenders, args.rounds, warm_up=0)
            evaluate = [args.programs / "ild-metrics", "evaluate", "--gt", folder / "gt", "--pred", folder / "pred", "--output", folder / "out"]
            programs = {"ild-metrics evaluate": Program([*evaluate, "--force", "--quiet", "--workers", args.workers])}
            programs |= {name: Program([sys.executable, __file__, "once", name, *paths]) for name in peers}
            compare(f"{case}: whole programs, from NIfTI files to numbers", programs, max(1, args.rounds // 2), warm_up=0)


REQUESTS = {"everything": "all", "surfel": "surfel", "voxel": "voxel"}

if __name__ == "__main__":
    if sys.argv[1:2] in (["peer"], ["once"]):
        peer(sys.argv[2], sys.argv[3:5], once=sys.argv[1] == "once")
    else:
        main()
