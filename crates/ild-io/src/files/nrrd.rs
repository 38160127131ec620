//! NRRD files with their voxels attached, raw or gzipped, as 3D Slicer writes them
//! (teem.sourceforge.net/nrrd/format.html).

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use crate::files::input::Input;
use crate::files::nifti::DataType;
use crate::files::raw_voxels::{self, Layout};
use crate::{Affine, Error, Geometry, Result, Volume};

/// Longest header that is read.
const LARGEST_HEADER: usize = 64 << 10;
/// Largest number of voxels along one axis.
const LARGEST_DIM: usize = 65535;

pub(crate) const MAGIC: &[u8] = b"NRRD000";

/// Reads a 3-D scalar volume, whatever its values are.
pub(crate) fn read_unchecked(path: &Path) -> Result<Volume> {
    let (mut reader, size) = Input::open_reader(path)?;
    let fields = Fields { path, values: header(&mut reader, path)? };
    let layout = fields.layout()?;
    let geometry = fields.geometry(layout.shape_zyx)?;
    let mut input = match fields.required("encoding")? {
        "raw" => Input::plain(path, reader, size),
        "gzip" | "gz" => Input::gzip(path, reader, size),
        other => return Err(fields.refuse("encoding raw or gzip", other)),
    };
    Ok(Volume { voxels: raw_voxels::read(&mut input, layout, 0)?, geometry })
}

/// `field: value` and `key:=value` lines up to the empty line.
fn header(reader: &mut impl BufRead, path: &Path) -> Result<BTreeMap<String, String>> {
    let unfinished = |found: &str| {
        Error::rejected(
            path,
            "an NRRD header that ends with an empty line",
            found,
            "the file is damaged or cut short",
        )
    };
    let (mut fields, mut length) = (BTreeMap::new(), 0);
    loop {
        let mut line = Vec::new();
        let limit = (LARGEST_HEADER - length) as u64;
        std::io::Read::take(&mut *reader, limit)
            .read_until(b'\n', &mut line)
            .map_err(crate::files::input::unreadable(path))?;
        length += line.len();
        if line.pop() != Some(b'\n') {
            return Err(unfinished(if length >= LARGEST_HEADER {
                "more than 64 KiB of it"
            } else {
                "the end of the file"
            }));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        if text.is_empty() {
            return Ok(fields);
        }
        // `:=` are free notes (3D Slicer keeps segment names there), `#` comments.
        if let Some((field, value)) =
            text.split_once(": ").filter(|_| !text.starts_with('#') && !text.contains(":="))
        {
            fields.insert(field.to_lowercase(), value.trim().to_owned());
        }
    }
}

struct Fields<'a> {
    path: &'a Path,
    values: BTreeMap<String, String>,
}

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(String::as_str)
    }

    fn required(&self, field: &str) -> Result<&str> {
        self.get(field).ok_or_else(|| self.refuse(&format!("the NRRD field `{field}`"), "none"))
    }

    fn refuse(&self, expected: &str, found: &str) -> Error {
        Error::rejected(
            self.path,
            expected,
            format!("`{found}`"),
            "save it as one 3-D volume, or as NIfTI",
        )
    }

    fn layout(&self) -> Result<Layout> {
        if let Some(file) = self.get("data file").or_else(|| self.get("datafile")) {
            return Err(self.refuse("voxels in the same file", file));
        }
        for skip in ["line skip", "lineskip", "byte skip", "byteskip"] {
            if let Some(value) = self.get(skip).filter(|value| *value != "0") {
                return Err(
                    self.refuse("voxels right behind the header", &format!("{skip}: {value}"))
                );
            }
        }
        let sizes = self.required("sizes")?;
        let whole: Vec<usize> = sizes
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .filter(|n| (1..=LARGEST_DIM).contains(n))
            .collect();
        let &[x, y, z] = whole.as_slice() else {
            return Err(self.refuse("three sizes of 1 to 65535", sizes));
        };
        if self.required("dimension")? != "3" {
            return Err(self.refuse("dimension 3", self.required("dimension")?));
        }
        let data_type = self.data_type()?;
        let big_endian = match self.get("endian") {
            Some("big") => true,
            Some("little") => false,
            None if data_type.bytes() == 1 => false,
            other => return Err(self.refuse("endian little or big", other.unwrap_or("none"))),
        };
        Ok(Layout { data_type, shape_zyx: [z, y, x], big_endian, offset: 0 })
    }

    fn data_type(&self) -> Result<DataType> {
        Ok(match self.required("type")? {
            "signed char" | "int8" | "int8_t" => DataType::I8,
            "uchar" | "unsigned char" | "uint8" | "uint8_t" => DataType::U8,
            "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => {
                DataType::I16
            }
            "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => {
                DataType::U16
            }
            "int" | "signed int" | "int32" | "int32_t" => DataType::I32,
            "uint" | "unsigned int" | "uint32" | "uint32_t" => DataType::U32,
            "longlong"
            | "long long"
            | "long long int"
            | "signed long long"
            | "signed long long int"
            | "int64"
            | "int64_t" => DataType::I64,
            "ulonglong"
            | "unsigned long long"
            | "unsigned long long int"
            | "uint64"
            | "uint64_t" => DataType::U64,
            "float" => DataType::F32,
            "double" => DataType::F64,
            other => return Err(self.refuse("a type of one number per voxel", other)),
        })
    }

    /// Directions and origin in the file's space, turned to RAS.
    fn geometry(&self, shape_zyx: [usize; 3]) -> Result<Geometry> {
        let Some(directions) = self.get("space directions") else {
            let spacings = self.required("spacings")?;
            let mm: Vec<f64> = spacings
                .split_whitespace()
                .filter_map(|n| n.parse().ok())
                .filter(|v: &f64| v.is_finite() && *v > 0.0)
                .collect();
            let &[x, y, z] = mm.as_slice() else {
                return Err(self.refuse("three spacings above zero", spacings));
            };
            return Ok(Geometry::new(shape_zyx, Affine::from_spacing_xyz_mm([x, y, z])));
        };
        let signs = match self.required("space")?.to_lowercase().as_str() {
            "left-posterior-superior" | "lps" => [-1.0, -1.0, 1.0],
            "right-anterior-superior" | "ras" => [1.0, 1.0, 1.0],
            "left-anterior-superior" | "las" => [-1.0, 1.0, 1.0],
            other => return Err(self.refuse("space LPS, RAS or LAS", other)),
        };
        let axes = vectors(directions);
        let origin = vectors(self.get("space origin").unwrap_or("(0,0,0)"));
        let (&[x, y, z], &[origin]) = (axes.as_slice(), origin.as_slice()) else {
            return Err(self.refuse("three space directions and one space origin", directions));
        };
        let mut affine = [[0.0, 0.0, 0.0, 1.0]; 4];
        for (row, sign) in signs.into_iter().enumerate() {
            affine[row] = [x[row], y[row], z[row], origin[row]]
                .map(|v| if v == 0.0 { 0.0 } else { sign * v });
        }
        let affine = Affine(affine);
        if affine.determinant().abs() < f64::EPSILON {
            return Err(self.refuse("space directions that span a volume", directions));
        }
        Ok(Geometry::new(shape_zyx, affine))
    }
}

/// `(1,0,0) (0,1,0)`: triples of finite numbers; anything else is left out.
fn vectors(text: &str) -> Vec<[f64; 3]> {
    let parse = |part: &str| {
        let numbers: Vec<f64> = part
            .trim()
            .trim_start_matches('(')
            .split(',')
            .filter_map(|n| n.trim().parse().ok())
            .collect();
        <[f64; 3]>::try_from(numbers).ok().filter(|v| v.iter().all(|n| n.is_finite()))
    };
    text.split(')').filter_map(parse).collect()
}
