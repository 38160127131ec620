"""Exits with 0 when two NIfTI files lie on the same grid for SimpleITK and for nibabel: pip install SimpleITK nibabel

same_geometry.py CT LABELS            a label map: uint8
same_geometry.py CT PROBABILITIES values
"""
import sys

import nibabel
import numpy as np
import SimpleITK

ct, labels, *kind = sys.argv[1:]
values = kind == ["values"]
a, b = SimpleITK.ReadImage(ct), SimpleITK.ReadImage(labels)
assert a.GetSize() == b.GetSize(), (a.GetSize(), b.GetSize())
assert a.GetOrigin() == b.GetOrigin(), (a.GetOrigin(), b.GetOrigin())
assert a.GetSpacing() == b.GetSpacing(), (a.GetSpacing(), b.GetSpacing())
assert a.GetDirection() == b.GetDirection(), (a.GetDirection(), b.GetDirection())
assert b.GetPixelID() == (SimpleITK.sitkFloat32 if values else SimpleITK.sitkUInt8), b.GetPixelIDTypeAsString()
a, b = nibabel.load(ct), nibabel.load(labels)
assert a.shape == b.shape, (a.shape, b.shape)
assert np.array_equal(a.affine, b.affine), (a.affine, b.affine)
assert np.asarray(b.dataobj).dtype == (np.float32 if values else np.uint8)
print(b.header["descrip"].tobytes().rstrip(b"\0").decode())
