"""What `ild-preprocess` is compared with: the same two stages with SimpleITK, connected-components-3d, numpy and OpenCV,
as scripts of this kind are usually written (one process per case, whole arrays, numpy.savez_compressed).

    python peer.py nii-to-npz IMGS GTS OUT LEVEL WIDTH WORKERS
    python peer.py npz-to-npy NPZ OUT WORKERS
"""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

import cc3d
import cv2
import numpy as np
import SimpleITK as sitk


def nii_to_npz(name, imgs, gts, out, level, width):
    label = np.uint8(sitk.GetArrayFromImage(sitk.ReadImage(f"{gts}/{name}.nii.gz")))
    label[label == 12] = 0
    label = cc3d.dust(label, threshold=1000, connectivity=26, in_place=True)
    for i in range(label.shape[0]):
        label[i] = cc3d.dust(label[i], threshold=100, connectivity=8, in_place=True)
    kept = np.unique(np.where(label > 0)[0])
    if len(kept) == 0:
        return
    image = sitk.ReadImage(f"{imgs}/{name}_0000.nii.gz")
    values = np.clip(sitk.GetArrayFromImage(image), level - width / 2, level + width / 2)
    grey = np.uint8((values - values.min()) / (values.max() - values.min()) * 255.0)
    np.savez_compressed(f"{out}/{name}.npz", imgs=grey[kept], gts=label[kept], spacing=image.GetSpacing())


def npz_to_npy(path, out):
    npz = np.load(path)
    imgs, gts = npz["imgs"], npz["gts"]
    for i in range(len(imgs)):
        np.save(f"{out}/imgs/{path.stem}-{i:03d}.npy", np.repeat(imgs[i][:, :, None], 3, axis=-1))
        small = cv2.resize(gts[i], (256, 256), interpolation=cv2.INTER_NEAREST)
        np.save(f"{out}/gts/{path.stem}-{i:03d}.npy", small)


def main():
    stage, *args = sys.argv[1:]
    workers = int(args[-1])
    if stage == "nii-to-npz":
        imgs, gts, out, level, width = args[:5]
        Path(out).mkdir(parents=True, exist_ok=True)
        items = sorted(path.name.removesuffix(".nii.gz") for path in Path(gts).glob("*.nii.gz"))
        work = partial(nii_to_npz, imgs=imgs, gts=gts, out=out, level=float(level), width=float(width))
    else:
        npz, out = args[:2]
        for folder in ("imgs", "gts"):
            Path(out, folder).mkdir(parents=True, exist_ok=True)
        items = sorted(Path(npz).glob("*.npz"))
        work = partial(npz_to_npy, out=out)
    with multiprocessing.Pool(workers) as pool:
        pool.map(work, items, chunksize=1)


if __name__ == "__main__":
    main()
