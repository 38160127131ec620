//! sform, qform and pixdim: how a NIfTI header says where its voxels are (`nifti1.h`, "3D IMAGE
//! ORIENTATION AND LOCATION").

use std::path::Path;

use crate::volume::geometry::SAME_LENGTH_RELATIVE;
use crate::volume::same_grid::SAME_GRID_MM;
use crate::{Affine, Error, Geometry, HeaderNote, LengthSource};

/// Voxel axes closer to zero length or to one plane than this do not span a volume.
const SMALLEST_DETERMINANT: f64 = 1e-12;

/// The header fields that place voxels, unchanged, so that a file made from another has exactly its
/// orientation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NiftiOrientation {
    /// What the qform refers to; 0 when there is none.
    pub qform_code: i32,
    /// What the sform refers to; 0 when there is none.
    pub sform_code: i32,
    /// `pixdim[0..4]`: handedness of the qform (±1), then the spacing along `x, y, z`.
    pub pixdim: [f64; 4],
    /// `b, c, d` of the unit quaternion.
    pub quatern: [f64; 3],
    /// Position of voxel `(0, 0, 0)` in the qform.
    pub qoffset: [f64; 3],
    /// The sform's three rows.
    pub srow: [[f64; 4]; 3],
}

impl NiftiOrientation {
    /// The fields to write for `geometry`, whose arrays are in the order of the file: those it was
    /// read with, as long as they still describe it, else new ones.
    pub(super) fn to_write(geometry: &Geometry) -> Self {
        let read = geometry
            .stored
            .nifti
            .zip(geometry.stored.nifti.and_then(|read| read.place(geometry.shape_zyx).ok()));
        match read {
            Some((read, place)) if same_place(&place.affine, &geometry.affine) => {
                // A header with an odd pixdim was read with a repaired spacing: write what was
                // understood.
                let usable = read.pixdim[1..].iter().all(|mm| is_length(mm.abs()));
                let pixdim = with_qfac(read.qfac(), geometry);
                if usable { read } else { Self { pixdim, ..read } }
            }
            _ => Self::new(geometry),
        }
    }

    /// sform of the affine, and the same as qform when the axes are perpendicular.
    fn new(geometry: &Geometry) -> Self {
        let affine = &geometry.affine;
        let qfac = if affine.determinant() < 0.0 { -1.0 } else { 1.0 };
        let column = |c: usize| [affine.0[0][c], affine.0[1][c], affine.0[2][c]];
        let lengths = affine.spacing_xyz_mm();
        let mut rotation = [[0.0; 3]; 3];
        for (c, length) in lengths.into_iter().enumerate() {
            let flip = if c == 2 { qfac } else { 1.0 };
            for (r, value) in column(c).into_iter().enumerate() {
                rotation[r][c] = flip * value / length;
            }
        }
        let mut new = Self {
            qform_code: 1,
            sform_code: 1,
            pixdim: with_qfac(qfac, geometry),
            quatern: quaternion(&rotation),
            qoffset: column(3),
            srow: std::array::from_fn(|row| affine.0[row]),
        };
        let qform = new.qform(geometry.spacing_xyz_mm);
        if Geometry::new(geometry.shape_zyx, qform)
            .corner_distance_mm(geometry)
            .partial_cmp(&SAME_GRID_MM)
            != Some(std::cmp::Ordering::Less)
        {
            // Sheared axes, or a spacing that is not the axes' length: no quaternion says that.
            new.qform_code = 0;
            new.quatern = [0.0; 3];
        }
        new
    }

    /// Lengths in another unit.
    pub(super) fn scale(&mut self, factor: f64) {
        self.pixdim[1..]
            .iter_mut()
            .chain(&mut self.qoffset)
            .chain(self.srow.as_flattened_mut())
            .for_each(|v| *v *= factor);
    }

    /// All fields as one list, as an NPZ keeps them.
    pub(crate) fn to_numbers(self) -> Vec<f64> {
        let codes = [self.qform_code, self.sform_code].map(f64::from);
        let rest = [&self.pixdim[..], &self.quatern, &self.qoffset, self.srow.as_flattened()];
        codes.into_iter().chain(rest.concat()).collect()
    }

    /// What [`NiftiOrientation::to_numbers`] made; `None` when it cannot have.
    pub(crate) fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let &[qform_code, sform_code, ref rest @ ..] = <&[f64; 24]>::try_from(numbers).ok()?;
        let code = |value: f64| (value.fract() == 0.0).then_some(value as i32);
        let at = |i: usize| rest[i];
        Some(Self {
            qform_code: code(qform_code)?,
            sform_code: code(sform_code)?,
            pixdim: std::array::from_fn(at),
            quatern: std::array::from_fn(|i| at(4 + i)),
            qoffset: std::array::from_fn(|i| at(7 + i)),
            srow: std::array::from_fn(|row| std::array::from_fn(|i| at(10 + 4 * row + i))),
        })
    }

    fn qfac(&self) -> f64 {
        if self.pixdim[0] < 0.0 { -1.0 } else { 1.0 }
    }

    /// The sform, when its code says that there is one and its axes span a volume.
    #[must_use]
    pub fn sform(&self) -> Option<Affine> {
        let affine = Affine([self.srow[0], self.srow[1], self.srow[2], [0.0, 0.0, 0.0, 1.0]]);
        let usable = self.srow.iter().flatten().all(|v| v.is_finite())
            && affine.determinant().abs() > SMALLEST_DETERMINANT;
        (self.sform_code > 0 && usable).then_some(affine)
    }

    /// The qform with this spacing, when its code says that there is one and its fields are
    /// numbers.
    #[must_use]
    pub fn qform_of(&self, spacing_xyz_mm: [f64; 3]) -> Option<Affine> {
        let usable = self.quatern.iter().chain(&self.qoffset).all(|v| v.is_finite());
        (self.qform_code > 0 && usable).then(|| self.qform(spacing_xyz_mm))
    }

    /// Rotation of the quaternion, columns scaled by the spacing, third one turned by `qfac`.
    fn qform(&self, spacing: [f64; 3]) -> Affine {
        let [mut b, mut c, mut d] = self.quatern;
        let mut a = 1.0 - (b * b + c * c + d * d);
        if a < 1e-7 {
            // A half turn: rounding may have made b, c, d longer than a unit vector.
            let length = (b * b + c * c + d * d).sqrt();
            (b, c, d) = (b / length, c / length, d / length);
            a = 0.0;
        } else {
            a = a.sqrt();
        }
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ];
        let scale = [spacing[0], spacing[1], self.qfac() * spacing[2]];
        let mut out = [[0.0, 0.0, 0.0, 1.0]; 4];
        for (row, turned) in rotation.iter().enumerate() {
            out[row] = [
                turned[0] * scale[0],
                turned[1] * scale[1],
                turned[2] * scale[2],
                self.qoffset[row],
            ];
        }
        Affine(out)
    }

    /// Lengths and places of the voxels: the one rule for all programs.
    ///
    /// The standard's order of trust is sform, else qform, else spacing alone. Where the sform's
    /// axes are not as long as pixdim says, one of the two was never filled in or belongs to another
    /// grid: with a qform (which is pixdim's own matrix) those two outvote the sform, unless pixdim
    /// still has its default of 1; without one the sform gives lengths and places.
    ///
    /// # Errors
    /// What is missing, when an axis has no length.
    pub(super) fn place(&self, shape_zyx: [usize; 3]) -> std::result::Result<Place, NoSpacing> {
        let mut notes = Vec::new();
        let sform = self.sform();
        let pixdim = [self.pixdim[1], self.pixdim[2], self.pixdim[3]];
        let spacing = self.spacing_xyz(shape_zyx)?;
        if pixdim.iter().any(|mm| !is_length(*mm)) {
            notes.push(HeaderNote::UnusablePixdim { pixdim, taken_mm: spacing });
        }
        if self.sform_code > 0 && sform.is_none() {
            notes.push(HeaderNote::UnusableSform);
        }
        let qform = self.qform_of(spacing);
        let Some(sform) = sform else {
            if qform.is_none() {
                notes.push(HeaderNote::NoPlace);
            }
            let affine = qform.unwrap_or_else(|| Affine::from_spacing_xyz_mm(spacing));
            return Ok(Place { affine, spacing_xyz_mm: spacing, notes });
        };
        let lengths = sform.spacing_xyz_mm();
        let agree =
            lengths.iter().zip(&spacing).all(|(a, b)| (a - b).abs() <= SAME_LENGTH_RELATIVE * b);
        if agree {
            let grid = |affine| Geometry::new(shape_zyx, affine);
            if let Some(qform) = qform {
                let apart_mm = grid(qform).corner_distance_mm(&grid(sform));
                if apart_mm > SAME_GRID_MM {
                    notes.push(HeaderNote::PlacesDisagree { apart_mm });
                }
            }
            return Ok(Place { affine: sform, spacing_xyz_mm: spacing, notes });
        }
        let never_filled_in = spacing == [1.0; 3];
        let (affine, spacing_xyz_mm, used) = match qform.filter(|_| !never_filled_in) {
            Some(qform) => (qform, spacing, LengthSource::Qform),
            None => (sform, lengths, LengthSource::Sform),
        };
        notes.push(HeaderNote::LengthsDisagree { pixdim_mm: spacing, sform_mm: lengths, used });
        Ok(Place { affine, spacing_xyz_mm, notes })
    }

    /// `|pixdim|`; where it is no length, the length of the sform's axis, or 1 along an axis of one
    /// voxel.
    fn spacing_xyz(&self, shape_zyx: [usize; 3]) -> std::result::Result<[f64; 3], NoSpacing> {
        let of_sform = self.sform().map(|affine| affine.spacing_xyz_mm());
        let mut spacing = [0.0; 3];
        for (axis, out) in spacing.iter_mut().enumerate() {
            let pixdim = self.pixdim[axis + 1].abs();
            *out = match of_sform {
                _ if is_length(pixdim) => pixdim,
                Some(lengths) => lengths[axis],
                None if shape_zyx[2 - axis] == 1 => 1.0,
                None => return Err(NoSpacing(self.pixdim)),
            };
        }
        Ok(spacing)
    }
}

/// What a header says about lengths and places.
pub(super) struct Place {
    pub affine: Affine,
    pub spacing_xyz_mm: [f64; 3],
    pub notes: Vec<HeaderNote>,
}

/// pixdim has no length for an axis, and there is no sform to take it from.
pub(super) struct NoSpacing([f64; 4]);

impl NoSpacing {
    pub(super) fn refusal(&self, path: &Path) -> Error {
        Error::refused(
            path,
            "a spacing (pixdim) above zero along each axis",
            format!("{:?}, and no sform to take it from", &self.0[1..]),
            "write the true spacing into the header",
        )
    }
}

fn is_length(mm: f64) -> bool {
    mm.is_finite() && mm > 0.0
}

/// One affine up to the rounding of turning it and turning it back.
fn same_place(a: &Affine, b: &Affine) -> bool {
    a.0.iter().flatten().zip(b.0.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-6)
}

fn with_qfac(qfac: f64, geometry: &Geometry) -> [f64; 4] {
    let [x, y, z] = geometry.spacing_xyz_mm;
    [qfac, x, y, z]
}

/// `b, c, d` of a proper rotation with `a ≥ 0`, by the largest of the four components (Shepperd
/// 1978).
fn quaternion(r: &[[f64; 3]; 3]) -> [f64; 3] {
    let trace = r[0][0] + r[1][1] + r[2][2];
    let [x, y, z] = [r[0][0], r[1][1], r[2][2]];
    // Each branch divides by the largest component, the numerator is four times a product of two.
    let (a, b, c, d) = if trace > 0.0 {
        let a = (1.0 + trace).sqrt() / 2.0;
        (
            a,
            (r[2][1] - r[1][2]) / (4.0 * a),
            (r[0][2] - r[2][0]) / (4.0 * a),
            (r[1][0] - r[0][1]) / (4.0 * a),
        )
    } else if x >= y && x >= z {
        let b = (1.0 + x - y - z).max(0.0).sqrt() / 2.0;
        (
            (r[2][1] - r[1][2]) / (4.0 * b),
            b,
            (r[0][1] + r[1][0]) / (4.0 * b),
            (r[0][2] + r[2][0]) / (4.0 * b),
        )
    } else if y >= z {
        let c = (1.0 + y - x - z).max(0.0).sqrt() / 2.0;
        (
            (r[0][2] - r[2][0]) / (4.0 * c),
            (r[0][1] + r[1][0]) / (4.0 * c),
            c,
            (r[1][2] + r[2][1]) / (4.0 * c),
        )
    } else {
        let d = (1.0 + z - x - y).max(0.0).sqrt() / 2.0;
        (
            (r[1][0] - r[0][1]) / (4.0 * d),
            (r[0][2] + r[2][0]) / (4.0 * d),
            (r[1][2] + r[2][1]) / (4.0 * d),
            d,
        )
    };
    if a < 0.0 { [-b, -c, -d] } else { [b, c, d] }
}
