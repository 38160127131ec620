"""Times reading a CT from DICOM against the same CT as NIfTI and against pydicom; writing a Segmentation against highdicom.

    cargo xtask bench dicom --python venv/bin/python --rounds 3

A made CT of 300 slices of 512 x 512, 16 bits, with noise as scanners have it: as 300 files, in a zip archive (deflated), in JPEG-LS, and as
`.nii.gz`. Reading ends with an array of Hounsfield units in memory, sorted by position. The Segmentation has five classes, of
which 20 slices each hold nothing. Needs numpy nibabel pydicom pyjpegls; highdicom is left out when it is missing.
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

from alternate import Engine, Program, arguments, available, compare, serve

SLICES, SIDE = 300, 512


def make(folder):
    """A series in `folder`: a body with two lungs and noise of 20 HU."""
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body = np.where((x / 0.9) ** 2 + (y / 0.7) ** 2 < 1, 40.0, -1000.0)
    folder.mkdir()
    for k in range(SLICES):
        size = np.sin(np.pi * (k + 0.5) / SLICES)
        lungs = sum(((x - c) / 0.35) ** 2 + (y / 0.55) ** 2 < size for c in (-0.4, 0.4)) > 0
        hu = np.where(lungs, -850, body) + rng.normal(0, 20, body.shape)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
        d.Modality, d.PatientID, d.PatientName, d.SeriesNumber = "CT", "bench", "bench", 1
        d.PatientBirthDate = d.PatientSex = d.StudyID = d.AccessionNumber = d.StudyDate = d.StudyTime = ""
        d.ReferringPhysicianName, d.InstanceNumber, d.Manufacturer = "", k + 1, "bench"
        d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.ImagePositionPatient, d.ImageOrientationPatient = [-180, -180, k], [1, 0, 0, 0, 1, 0]
        d.PixelSpacing, d.SliceThickness = [0.703125, 0.703125], 1
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.Rows = d.Columns = SIDE
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
        d.RescaleSlope, d.RescaleIntercept = 1, -1024
        d.PixelData = np.clip(np.rint(hu) + 1024, 0, 4095).astype("<u2").tobytes()
        d.save_as(folder / f"{(k * 7) % SLICES:03}.dcm", enforce_file_format=True)


def compress(source, folder):
    """The same series in JPEG-LS, lossless."""
    import pydicom
    from pydicom.uid import JPEGLSLossless

    folder.mkdir()
    for path in source.iterdir():
        d = pydicom.dcmread(path)
        d.compress(JPEGLSLossless)
        d.save_as(folder / path.name)


def masks(shape):
    """Five classes on all but the first and last slices."""
    import numpy as np

    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    lung = ((x - 150) ** 2 + (y - 256) ** 2 < 90**2) | ((x - 360) ** 2 + (y - 256) ** 2 < 90**2)
    label = 1 + ((x // 24 + y // 24 + z // 10) % 5)
    return np.where(lung & (z >= 20) & (z < shape[0] - 20), label, 0).astype(np.uint8)


def read_pydicom(folder):
    import numpy as np
    import pydicom

    slices = [pydicom.dcmread(path) for path in pathlib.Path(folder).iterdir()]
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    out = np.empty((len(slices), slices[0].Rows, slices[0].Columns), np.int16)
    for k, d in enumerate(slices):
        out[k] = d.pixel_array.astype(np.int16) * int(d.RescaleSlope) + int(d.RescaleIntercept)
    return out


def seg_highdicom(folder, out):
    import highdicom as hd
    import numpy as np
    import pydicom
    from pydicom.sr.codedict import codes

    slices = [pydicom.dcmread(path) for path in pathlib.Path(folder).iterdir()]
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    tissue = dict(segmented_property_category=codes.SCT.Tissue, segmented_property_type=codes.SCT.Tissue)
    described = [hd.seg.SegmentDescription(n, f"class {n}", **tissue, algorithm_type="MANUAL") for n in range(1, 6)]
    seg = hd.seg.Segmentation(
        slices, masks((SLICES, SIDE, SIDE)), "BINARY", described, hd.UID(), 101, hd.UID(), 1, "bench", "bench", "1", "1"
    )
    seg.save_as(out)


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "peer":
        return serve(lambda folder: int(read_pydicom(folder).sum(dtype="i8")))
    if len(sys.argv) > 1 and sys.argv[1] == "highdicom":
        return seg_highdicom(*sys.argv[2:4])
    args = arguments(__doc__)
    if not available("numpy", "nibabel", "pydicom", "jpeg_ls", pip="numpy nibabel pydicom pyjpegls"):
        sys.exit(1)
    import nibabel
    import numpy as np

    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        series, nifti, archive, mask = work / "series", work / "ct.nii.gz", work / "ct.zip", work / "mask.nii"
        make(series)
        ild_io = args.programs / "ild-io"
        subprocess.run([ild_io, "convert", series, nifti], check=True, stdout=subprocess.DEVNULL)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in series.iterdir():
                out.write(path, path.name)
        jpeg_ls = work / "jpeg_ls"
        compress(series, jpeg_ls)
        affine = nibabel.load(nifti).affine
        # As the series has its voxels: left, back, up.
        nibabel.save(nibabel.Nifti1Image(masks((SLICES, SIDE, SIDE)).transpose(2, 1, 0), affine), mask)
        engine = [args.programs / "examples" / "dicom_engine"]
        compare(
            "a CT of 300 slices, read",
            {
                "ild, .nii.gz": Engine(engine, str(nifti)),
                "ild, 300 files": Engine(engine, str(series)),
                "ild, zip": Engine(engine, str(archive)),
                "ild, JPEG-LS": Engine(engine, str(jpeg_ls)),
                "pydicom, 300 files": Engine([sys.executable, __file__, "peer"], str(series)),
                "pydicom, JPEG-LS": Engine([sys.executable, __file__, "peer"], str(jpeg_ls)),
            },
            args.rounds,
        )
        seg = work / "seg.dcm"
        ours = [ild_io, "convert", mask, "--like", series, "--made-by", "manual", seg]
        writers = {"ild-io convert": Program(ours, lambda: seg.unlink(missing_ok=True))}
        if available("highdicom"):
            writers["highdicom"] = Program([sys.executable, __file__, "highdicom", series, work / "peer.dcm"])
        compare("a Segmentation of five classes, written", writers, args.rounds)


if __name__ == "__main__":
    main()
