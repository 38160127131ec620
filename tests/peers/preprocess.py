"""Times both stages of ild-preprocess against SimpleITK, connected-components-3d, NumPy and OpenCV, and compares the arrays.

    cargo xtask bench preprocess --python venv/bin/python --workers 1 -- --ct ../shared/data/lidc_0314/LIDC-IDRI-0314_ct_bodycrop.nii.gz

One run does the work of both stages, from NIfTI to NPZ and NPY: a synthetic CT of 512 x 512 x 300 with the noise of a scanner
(its gzip is about 40 % of it, as a real one's) and, with --ct, a scan of yours; the labels of both are made, blobs with fifteen
thousand specks. Outputs go to --scratch, which should be in memory. The Python side is written as such scripts usually are:
one process per case, whole arrays, numpy.savez_compressed. Afterwards the arrays in the NPZ and all NPY files are compared
byte for byte. `floor` only inflates the inputs, deflates the arrays and writes the same bytes.

Needs numpy SimpleITK connected-components-3d opencv-python-headless scipy nibabel.
"""

import multiprocessing
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import partial

from alternate import Program, arguments, available, compare

LEVEL, WIDTH = -600, 1500
SHAPE = (512, 512, 300)


# The cases


def blobs(rng, shape, lung):
    """Five labels in smooth blobs inside `lung`, and some fifteen thousand specks."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    label = np.zeros(shape, np.uint8)
    for value in range(1, 6):
        coarse = rng.standard_normal([max(2, n // 16) for n in shape]).astype(np.float32)
        field = gaussian_filter(coarse, 1.0)
        for axis, n in enumerate(shape):
            field = np.take(field, np.linspace(0, field.shape[axis] - 1, n).round().astype(int), axis)
        label[(field > np.quantile(field, 0.93)) & lung] = value
    specks = tuple(rng.integers(0, n, 15_000) for n in shape)
    label[specks] = rng.integers(1, 6, 15_000)
    return label


def synthetic(rng, shape):
    import numpy as np

    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in shape], indexing="ij")
    body = (x**2 + (y / 0.8) ** 2) < 0.8
    lung = (((np.abs(x) - 0.42) / 0.3) ** 2 + (y / 0.5) ** 2 + (z / 0.95) ** 2) < 1
    hu = np.where(body, 40.0, -1000.0).astype(np.float32)
    hu[lung] = -820
    hu += rng.standard_normal(shape, dtype=np.float32) * np.where(body, 14, 2).astype(np.float32)
    return hu.astype(np.int16), lung


def make_cases(folder, seed, ct):
    import nibabel
    import numpy as np

    def save(name, hu, label, affine):
        for kind, suffix, data in (("imgs", "_0000", hu), ("gts", "", label)):
            path = folder / kind / f"{name}{suffix}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(data, affine), path)
            print(f"{path.name}: {data.shape}, {path.stat().st_size / data.nbytes:.1%} of {data.nbytes >> 20} MiB")

    rng = np.random.default_rng(seed)
    hu, lung = synthetic(rng, SHAPE)
    save("synthetic", hu, blobs(rng, hu.shape, lung), np.diag([-0.7, -0.7, 1.0, 1]))
    if ct:
        scan = nibabel.load(ct)
        hu = np.asarray(scan.dataobj)
        save("scan", hu, blobs(rng, hu.shape, (hu > -950) & (hu < -500)), scan.affine)


# The Python side


def nii_to_npz(name, data, out):
    import cc3d
    import numpy as np
    import SimpleITK as sitk

    label = np.uint8(sitk.GetArrayFromImage(sitk.ReadImage(f"{data}/gts/{name}.nii.gz")))
    label[label == 12] = 0
    label = cc3d.dust(label, threshold=1000, connectivity=26, in_place=True)
    for i in range(label.shape[0]):
        label[i] = cc3d.dust(label[i], threshold=100, connectivity=8, in_place=True)
    kept = np.unique(np.where(label > 0)[0])
    if len(kept) == 0:
        return
    image = sitk.ReadImage(f"{data}/imgs/{name}_0000.nii.gz")
    values = np.clip(sitk.GetArrayFromImage(image), LEVEL - WIDTH / 2, LEVEL + WIDTH / 2)
    grey = np.uint8((values - values.min()) / (values.max() - values.min()) * 255.0)
    np.savez_compressed(f"{out}/{name}.npz", imgs=grey[kept], gts=label[kept], spacing=image.GetSpacing())


def npz_to_npy(path, out):
    import cv2
    import numpy as np

    npz = np.load(path)
    imgs, gts = npz["imgs"], npz["gts"]
    for i in range(len(imgs)):
        np.save(f"{out}/imgs/{path.stem}-{i:03d}.npy", np.repeat(imgs[i][:, :, None], 3, axis=-1))
        small = cv2.resize(gts[i], (256, 256), interpolation=cv2.INTER_NEAREST)
        np.save(f"{out}/gts/{path.stem}-{i:03d}.npy", small)


def python_side(data, out, workers):
    data, out = pathlib.Path(data), pathlib.Path(out)
    for folder in ("npz", "npy/imgs", "npy/gts"):
        (out / folder).mkdir(parents=True)
    names = sorted(path.name.removesuffix(".nii.gz") for path in (data / "gts").glob("*.nii.gz"))
    with multiprocessing.Pool(int(workers)) as pool:
        pool.map(partial(nii_to_npz, data=data, out=out / "npz"), names, chunksize=1)
        pool.map(partial(npz_to_npy, out=out / "npy"), sorted((out / "npz").glob("*.npz")), chunksize=1)


# The comparison


def same_bytes(python, ild):
    """Arrays inside the NPZ and whole NPY files; slices whose labels vanish at 256 x 256 exist on Python's side only."""
    cases = sorted((python / "npz").glob("*.npz"))
    for theirs in cases:
        ours = ild / "npz/npz_train/CT_ILD" / theirs.name
        with zipfile.ZipFile(theirs) as a, zipfile.ZipFile(ours) as b:
            for key in ("imgs.npy", "gts.npy", "spacing.npy"):
                assert a.read(key) == b.read(key), f"{theirs.name}: {key}"
        print(f"{theirs.name}: {theirs.stat().st_size / 1e6:.1f} MB by NumPy, {ours.stat().st_size / 1e6:.1f} MB by ild")
    slices = sorted((ild / "npy/train").glob("*/*.npy"))
    for ours in slices:
        assert ours.read_bytes() == (python / "npy" / ours.parent.name / ours.name).read_bytes(), ours
    print(f"equal byte for byte: the arrays of {len(cases)} NPZ, {len(slices)} NPY files of {sum(p.stat().st_size for p in slices) / 1e6:.0f} MB")


def contenders(args, data, scratch):
    common = ["--quiet", "--workers", args.workers]
    binary = args.programs / "ild-preprocess"
    stage1 = [binary, "nii-to-npz", "--parity", "--window-level", LEVEL, "--window-width", WIDTH]
    stage1 += ["--img-path", data / "imgs", "--gt-path", data / "gts", *common]
    remove = lambda name: lambda: shutil.rmtree(scratch / name, ignore_errors=True)
    both = [*stage1, "--output", scratch / "ild/npz", "--npy-dir", scratch / "ild/npy"]
    python = [sys.executable, __file__, "peer", data, scratch / "python", args.workers]
    floor = [args.programs / "examples/preprocess_floor", data, scratch / "ild", scratch / "floor", *common]
    return {
        "ild": Program(both, before=remove("ild")),
        "Python": Program(python, before=remove("python")),
        "floor": Program(floor, before=remove("floor")),
    }


def main():
    args = arguments(__doc__, ct="", scratch="/dev/shm")
    if not available("numpy", "SimpleITK", "cc3d", "cv2", "scipy", "nibabel", pip=__doc__.splitlines()[-1].removeprefix("Needs ").rstrip(".")):
        sys.exit(1)
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        scratch = pathlib.Path(scratch)
        # In a process of its own: a program that is started counts its parent's memory as its own first peak.
        subprocess.run([sys.executable, __file__, "cases", scratch / "data", str(args.seed), args.ct], check=True)
        compare(f"NIfTI to NPZ and NPY, {args.workers} workers", contenders(args, scratch / "data", scratch), args.rounds)
        same_bytes(scratch / "python", scratch / "ild")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        python_side(*sys.argv[2:5])
    elif sys.argv[1:2] == ["cases"]:
        make_cases(pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
