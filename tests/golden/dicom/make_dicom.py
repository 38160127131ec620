"""Makes the compressed twins of one small CT slice.

    pip install numpy pydicom python-gdcm imagecodecs
    python make_dicom.py

Lossless all of them but two, so the tolerance is zero; `jpeg_ls_near` may be off by NEAR. `jpeg_12_bits` and
`jpeg_xl` are there to be refused.
"""

from pathlib import Path

import gdcm
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

HERE = Path(__file__).parent
ROWS, COLUMNS = 12, 16
NEAR = 2
CODECS = {
    "jpeg_lossless": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "jpeg_lossless_sv1": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "jpeg2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "jpeg_ls": gdcm.TransferSyntax.JPEGLSLossless,
    "rle": gdcm.TransferSyntax.RLELossless,
}


def plain(path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.SeriesInstanceUID, ds.StudyInstanceUID = "CT", "1.2.3", "1.2"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1, 1], 2
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    y, x = np.mgrid[:ROWS, :COLUMNS]
    ds.PixelData = ((37 * y + 101 * x) % 4096).astype("<u2").tobytes()
    ds.save_as(path, enforce_file_format=True)


def compressed(source: Path, path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def encoded(name: str, syntax: str, stream: bytes) -> None:
    ds = pydicom.dcmread(HERE / "plain.dcm")
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    # JPEG XL is younger than pydicom's dictionary.
    pydicom.dcmwrite(HERE / f"{name}.dcm", ds, implicit_vr=False, little_endian=True, force_encoding=True)


plain(HERE / "plain.dcm")
for name, syntax in CODECS.items():
    compressed(HERE / "plain.dcm", HERE / f"{name}.dcm", syntax)

values = pydicom.dcmread(HERE / "plain.dcm").pixel_array
jpeg_12_bits = imagecodecs.jpeg8_encode(values, level=95, bitspersample=12)
encoded("jpeg_ls_near", "1.2.840.10008.1.2.4.81", imagecodecs.jpegls_encode(values, level=NEAR))
encoded("htj2k", "1.2.840.10008.1.2.4.201", imagecodecs.htj2k_encode(values))
encoded("jpeg_12_bits", "1.2.840.10008.1.2.4.51", jpeg_12_bits)
encoded("jpeg_xl", "1.2.840.10008.1.2.4.110", imagecodecs.jpegxl_encode(values, lossless=True))
