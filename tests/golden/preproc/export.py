"""Remakes the goldens of this folder: what the Python packages give for small inputs.

    pip install numpy SimpleITK nibabel connected-components-3d opencv-python-headless
    python export.py

The Rust tests ask for the very same bytes: tolerance 0.
Made with numpy 2.4.6, SimpleITK 2.5.7, nibabel 5, connected-components-3d 4.1.1, OpenCV 5.0.0.
"""

from pathlib import Path

import cc3d
import cv2
import nibabel
import numpy as np
import SimpleITK as sitk

HERE = Path(__file__).parent
SHAPE_XYZ = (56, 48, 10)
MIN_VOXELS_3D, MIN_PIXELS_2D = 200, 25
TUMOR_ID, REMOVED_ID = 3, 12


def speckled(rng, shape, density, labels):
    """Random blocks of random labels: many components that touch in corners."""
    coarse = [max(1, -(-n // 2)) for n in shape]
    blocks = rng.integers(1, labels + 1, coarse) * (rng.random(coarse) < density)
    for axis, n in enumerate(shape):
        blocks = np.repeat(blocks, 2, axis)
        blocks = np.take(blocks, range(n), axis)
    flips = rng.random(shape) < 0.05
    blocks[flips] = rng.integers(0, labels + 1, int(flips.sum()))
    return blocks.astype(np.uint8)


def dust(rng):
    out = {}
    for i, (density, labels, threshold) in enumerate([(0.3, 3, 20), (0.5, 1, 100), (0.15, 13, 5), (0.6, 2, 1000)]):
        volume = speckled(rng, (9, 21, 37), density, labels)
        out[f"{i}_{threshold}_in"] = volume
        out[f"{i}_{threshold}_3d"] = cc3d.dust(volume, threshold=threshold, connectivity=26)
        out[f"{i}_{threshold}_2d"] = np.stack([cc3d.dust(s, threshold=threshold, connectivity=8) for s in volume])
    np.savez_compressed(HERE / "dust.npz", **out)


def window_ct(image, level, width):
    image = np.clip(image, level - width / 2, level + width / 2)
    with np.errstate(invalid="ignore"):
        scaled = (image - image.min()) / (image.max() - image.min()) * 255.0
        return np.uint8(scaled)


def spread_mr(image):
    low, high = (np.percentile(image[image > 0], q) for q in (0.5, 99.5))
    clipped = np.clip(image, low, high)
    scaled = (clipped - clipped.min()) / (clipped.max() - clipped.min()) * 255.0
    scaled[image == 0] = 0
    return np.uint8(scaled)


def windows(rng):
    out = {}
    hu = rng.normal(-500, 500, (3, 17, 19))
    kinds = {
        "i16": hu.astype(np.int16),
        "u8": rng.integers(0, 256, hu.shape).astype(np.uint8),
        "u16": rng.integers(0, 2**16, hu.shape).astype(np.uint16),
        "i32": hu.astype(np.int32),
        "f32": hu.astype(np.float32),
        "f64": hu,
        "narrow": rng.integers(-100, 31, hu.shape).astype(np.int16),
    }
    for kind, image in kinds.items():
        out[f"{kind}_in"] = image
        for level, width in [(40, 400), (-600, 1500), (-160, 1), (50.5, 333)]:
            out[f"{kind}_ct_{level}_{width}"] = window_ct(image, level, width)
        out[f"{kind}_mr"] = spread_mr(image)
    np.savez_compressed(HERE / "window.npz", **out)


def nearest():
    """Which source column OpenCV takes; the sizes are those where exact arithmetic takes another, and common ones."""
    sizes = [186, 198, 210, 234, 246, 372, 396, 420, 422, 442, 454, 468, 486, 490, 492, 744, 782, 786, 792, 830, 840, 844]
    sizes += [884, 890, 908, 918, 936, 966, 972, 978, 980, 984, 994, 1488, 1, 2, 37, 255, 256, 257, 383, 512, 768, 1024, 5000]
    out = {}
    for size in sizes:
        for target in (256, 1024):
            ramp = np.arange(size, dtype=np.uint16)[None].repeat(2, 0)
            out[f"{size}_{target}"] = cv2.resize(ramp, (target, 2), interpolation=cv2.INTER_NEAREST)[0]
    np.savez_compressed(HERE / "nearest.npz", **out)


def write_case(rng, name, kind):
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE_XYZ], indexing="ij")
    hu = 900 * np.tanh(4 * (x**2 + y**2 - 0.6)) - 100 + 12 * rng.integers(-4, 5, SHAPE_XYZ)
    label = np.zeros(SHAPE_XYZ, np.uint8)
    for value in (1, 2, 3, 3, 3, 5, REMOVED_ID):
        centre = rng.uniform(-0.7, 0.7, 3)
        radius = rng.uniform(0.25, 0.5)
        label[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 + ((z - centre[2]) / 2) ** 2 < radius**2 / 2] = value
    label[rng.random(SHAPE_XYZ) < 0.004] = 4
    label[:, :, 4] = 0  # a gap
    affine = np.eye(4)  # an oblique scan: turned by 0.3 rad about z, then by 0.2 rad about x
    turn_z = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    affine[:3, :3] = turn_x @ turn_z @ np.diag([-0.7, 0.7, 2.5])
    affine[:3, 3] = 20, -30, 5
    header = nibabel.Nifti1Header(endianness=">" if kind == "big" else "<")
    if kind == "f64":
        image = nibabel.Nifti1Image(np.floor(hu) + 0.25, affine, header)
        image.header.set_data_dtype(np.float64)
    else:
        stored = np.int32 if kind == "i32" else np.int16
        image = nibabel.Nifti1Image(hu.astype(stored), affine, header)
        image.header.set_data_dtype(stored)
    path = HERE / "cases" / "imgs" / f"{name}_0000.nii.gz"
    nibabel.save(image, path)
    if kind == "scaled":
        rescale(path, 0.5, -100.25)
    nibabel.save(nibabel.Nifti1Image(label, affine), HERE / "cases" / "gts" / f"{name}.nii.gz")


def rescale(path, slope, inter):
    """Sets slope and intercept in place, which nibabel would otherwise choose itself."""
    import gzip
    import struct

    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[112:120] = struct.pack("<ff", slope, inter)
    path.write_bytes(gzip.compress(bytes(raw), mtime=0))


def expected(name, mode, tumor_id=None):
    image = sitk.ReadImage(HERE / "cases" / "imgs" / f"{name}_0000.nii.gz")
    values = sitk.GetArrayFromImage(image)
    label = np.uint8(sitk.GetArrayFromImage(sitk.ReadImage(HERE / "cases" / "gts" / f"{name}.nii.gz")))
    label[label == REMOVED_ID] = 0
    if tumor_id is not None:
        tumors = cc3d.connected_components((label == tumor_id).astype(np.uint8), connectivity=26)
        label[label == tumor_id] = 0
        label[tumors > 0] = (tumors[tumors > 0] + label.max() + 1).astype(np.uint8)
    label = cc3d.dust(label, threshold=MIN_VOXELS_3D, connectivity=26)
    label = np.stack([cc3d.dust(s, threshold=MIN_PIXELS_2D, connectivity=8) for s in label])
    kept = np.unique(np.where(label > 0)[0])
    grey = spread_mr(values) if mode == "mr" else window_ct(values, -600, 1500)
    np.savez_compressed(
        HERE / "cases" / mode / f"{name}.npz", imgs=grey[kept], gts=label[kept], spacing=image.GetSpacing(), kept=kept
    )


def main():
    for folder in ("imgs", "gts", "ct", "mr", "tumor"):
        (HERE / "cases" / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(6)
    dust(rng)
    windows(rng)
    nearest()
    for kind in ("plain", "scaled", "big", "f64", "i32"):
        write_case(rng, kind, kind)
        expected(kind, "ct")
    expected("plain", "mr")
    expected("scaled", "mr")
    expected("plain", "tumor", TUMOR_ID)


if __name__ == "__main__":
    main()
