"""Small files to start the fuzzing from: every voxel and array type, both byte orders, gzip, zip, DICOM and PyTorch files.

    python seeds.py            # fills corpus/ here and in crates/ild-model/fuzz; needs numpy nibabel SimpleITK
"""

import gzip
import io
import pathlib
import shutil
import zipfile

import nibabel as nib
import numpy as np
import SimpleITK as sitk

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parents[2] / "tests/golden"


def corpus(target, crate=HERE):
    folder = crate / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def volumes(out):
    voxels = np.arange(24).reshape(4, 3, 2) % 5
    affine = np.diag([-1, 0.7, 2, 1.0])
    for image in (nib.Nifti1Image, nib.Nifti2Image):
        for kind in (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64):
            file = image(voxels.astype(kind), affine, dtype=kind).to_bytes()
            name = f"{image.__name__}-{np.dtype(kind).name}.nii"
            (out / name).write_bytes(file)
            (out / f"{name}.gz").write_bytes(gzip.compress(file))
    header = nib.Nifti1Header(endianness=">")
    header.set_slope_inter(2, 1)
    (out / "big-endian.nii").write_bytes(nib.Nifti1Image(voxels.astype(">i2"), affine, header).to_bytes())
    (out / "one-time-point.nii").write_bytes(nib.Nifti1Image(voxels[..., None].astype("i2"), affine).to_bytes())
    for compressed in (True, False):
        sitk.WriteImage(sitk.GetImageFromArray(voxels.astype("i2")), str(out / f"gzip-{compressed}.nrrd"), compressed)


def arrays(out):
    plain = [np.zeros((2, 3, 4), "u1"), np.asfortranarray(np.ones((2, 3, 4), "u1")), np.zeros(3, ">f4"), np.zeros((2, 2), bool)]
    for i, array in enumerate([*plain, np.zeros((4, 4)), np.array([{}], object), np.array("x")]):
        np.save(out / f"{i}.npy", array, allow_pickle=True)
    for version in ((2, 0), (3, 0)):
        with io.BytesIO() as file:
            np.lib.format.write_array(file, plain[0], version=version)
            (out / f"version-{version[0]}.npy").write_bytes(file.getvalue())
    case = dict(imgs=plain[0], gts=plain[0], spacing=np.ones(3))
    np.savez(out / "older.npz", **case)
    more = dict(affine=np.eye(4), z_index=np.arange(2), shape=np.array([9, 3, 4]), window=np.array([40.0, 400]))
    np.savez_compressed(out / "ours.npz", **case, **more, label_table=np.frombuffer(b'{"1":"a"}', "u1"))


def checkpoints(out):
    for file in (GOLDEN / "checkpoint").glob("*.pt*"):
        shutil.copy(file, out)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                (out / f"{file.name}.pkl").write_bytes(archive.read(name))


volumes(corpus("volume"))
arrays(corpus("arrays"))
for slice in (GOLDEN / "dicom").glob("*.dcm"):
    shutil.copy(slice, corpus("dicom"))
checkpoints(corpus("checkpoint", HERE.parents[1] / "ild-model/fuzz"))
