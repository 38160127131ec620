//! What several test files build.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

pub use ild_test_support::dicom;

use std::path::{Path, PathBuf};

use ild_io::Affine;

/// All files in and below `folder`, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// A little-endian NIfTI-1 file under construction: header for `shape` (z, y, x) with spacing 1 and
/// an identity sform.
#[derive(Clone)]
pub struct NiftiBytes(pub Vec<u8>);

impl NiftiBytes {
    pub fn new(shape_zyx: [usize; 3], datatype: i16) -> Self {
        let mut file = Self(vec![0; 352]);
        file.put(0, &348i32.to_le_bytes());
        let [z, y, x] = shape_zyx.map(|n| n as i16);
        file.dims(&[3, x, y, z, 1, 1, 1, 1]);
        file.i16(70, datatype).f32(76, &[1.0; 4]).f32(108, &[352.0, 1.0]);
        file.put(123, &[2]);
        file.i16(254, 1).f32(280, &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        file.put(344, b"n+1\0");
        file
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn i16(&mut self, at: usize, value: i16) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    pub fn dims(&mut self, dims: &[i16]) -> &mut Self {
        for (i, &n) in dims.iter().enumerate() {
            self.i16(40 + 2 * i, n);
        }
        self
    }

    pub fn f32(&mut self, at: usize, values: &[f32]) -> &mut Self {
        for (i, value) in values.iter().enumerate() {
            self.put(at + 4 * i, &value.to_le_bytes());
        }
        self
    }

    pub fn voxels(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Every way to map voxel axes to `±x, ±y, ±z` of the patient.
pub fn all_48_orientations(spacing: [f64; 3], origin: [f64; 3]) -> Vec<Affine> {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut out = Vec::new();
    for order in orders {
        for signs in 0..8 {
            let mut a = [[0.0; 4]; 4];
            for (column, &row) in order.iter().enumerate() {
                a[row][column] =
                    if signs >> column & 1 == 1 { -spacing[column] } else { spacing[column] };
            }
            for row in 0..3 {
                a[row][3] = origin[row];
            }
            a[3][3] = 1.0;
            out.push(Affine(a));
        }
    }
    out
}

/// Turned by 20 degrees about x, then by 35 about z.
pub fn oblique(spacing: [f64; 3], origin: [f64; 3]) -> Affine {
    let (s, c) = 20f64.to_radians().sin_cos();
    let (t, d) = 35f64.to_radians().sin_cos();
    let rotation = [[d, -t * c, t * s], [t, d * c, -d * s], [0.0, s, c]];
    let mut a = [[0.0, 0.0, 0.0, 1.0]; 4];
    for row in 0..3 {
        a[row] = [
            rotation[row][0] * spacing[0],
            rotation[row][1] * spacing[1],
            rotation[row][2] * spacing[2],
            origin[row],
        ];
    }
    Affine(a)
}
