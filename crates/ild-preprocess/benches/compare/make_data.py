"""Makes the two cases of the comparison: a real thin-slice CT with a made label, and a synthetic one of 512 x 512 x 300.

    python make_data.py OUT [CT.nii.gz]

The synthetic CT has the noise of a scanner (its gzip is about 40 % of it, as a real one's); the labels are blobs with specks.
"""

import sys
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import gaussian_filter


def blobs(rng, shape, lung):
    """Five labels in smooth blobs inside `lung`, and some fifteen thousand specks."""
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
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in shape], indexing="ij")
    body = (x**2 + (y / 0.8) ** 2) < 0.8
    lung = (((np.abs(x) - 0.42) / 0.3) ** 2 + (y / 0.5) ** 2 + (z / 0.95) ** 2) < 1
    hu = np.where(body, 40.0, -1000.0).astype(np.float32)
    hu[lung] = -820
    hu += rng.standard_normal(shape, dtype=np.float32) * np.where(body, 14, 2).astype(np.float32)
    return hu.astype(np.int16), lung


def save(out, name, hu, label, affine):
    for folder, suffix, data in (("imgs", "_0000", hu), ("gts", "", label)):
        image = nibabel.Nifti1Image(data, affine)
        image.header.set_data_dtype(data.dtype)
        path = out / folder / f"{name}{suffix}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
        print(path, data.shape, f"{path.stat().st_size / data.nbytes:.1%} of {data.nbytes >> 20} MiB")


def main():
    out = Path(sys.argv[1])
    rng = np.random.default_rng(2024)
    hu, lung = synthetic(rng, (512, 512, 300))
    save(out, "synthetic", hu, blobs(rng, hu.shape, lung), np.diag([-0.7, -0.7, 1.0, 1]))
    if len(sys.argv) > 2:
        ct = nibabel.load(sys.argv[2])
        hu = np.asarray(ct.dataobj)
        save(out, "real", hu, blobs(rng, hu.shape, (hu > -950) & (hu < -500)), ct.affine)


if __name__ == "__main__":
    main()
