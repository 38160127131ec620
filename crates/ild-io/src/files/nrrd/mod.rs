//! NRRD files with their voxels attached, raw or gzipped, as 3D Slicer writes them
//! (teem.sourceforge.net/nrrd/format.html).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::files::input::Input;
use crate::files::nifti::DataType;
use crate::files::raw_voxels::{self, Layout};
use crate::volume::label_map::whole_labels;
use crate::{Affine, Error, Geometry, HeaderNote, LabelTable, Result, Volume};

mod segments;
mod write;

pub(crate) use segments::Segmentation;
pub use write::nrrd_bytes;

/// Longest header that is read: a hundred segments with all that 3D Slicer says of each.
const LARGEST_HEADER: usize = 1 << 20;
/// Largest number of voxels along one axis.
const LARGEST_DIM: usize = 65535;

pub(crate) const MAGIC: &[u8] = b"NRRD000";

/// Reads a 3-D scalar volume, whatever its values are.
pub(crate) fn read_unchecked(path: &Path) -> Result<Volume> {
    let (fields, reader, size) = Fields::open(path)?;
    if fields.layers() > 1 {
        return Err(fields.refuse("dimension 3", fields.required("dimension")?));
    }
    fields.volume(reader, size)
}

/// The segments of a `.seg.nrrd` and their voxels as stored; `None` for an NRRD that describes no
/// segments.
pub(crate) fn read_segmentation(path: &Path) -> Result<Option<Segmentation>> {
    let (fields, reader, size) = Fields::open(path)?;
    let segments = fields.segments()?;
    if segments.is_empty() {
        return Ok(None);
    }
    segments::names(&segments, path)?;
    let layers = fields.layers();
    let Volume { voxels, geometry } = fields.volume(reader, size)?;
    let [z, y, x] = geometry.shape_zyx;
    let layers = whole_labels(voxels, path)?
        .into_shape_with_order((z, y, x, layers))
        .unwrap_or_else(|_| unreachable!("the layers were read as columns"));
    Ok(Some(Segmentation { segments, layers, geometry }))
}

/// What the labels of an NRRD are called, when it says so itself; only the header is read.
pub(crate) fn label_names(path: &Path) -> Result<Option<LabelTable>> {
    let (fields, ..) = Fields::open(path)?;
    let segments = fields.segments()?;
    if segments.is_empty() {
        return Ok(None);
    }
    segments::names(&segments, path).map(Some)
}

/// Fields (`field: value`) and notes (`key:=value`) up to the empty line.
fn header(reader: &mut impl BufRead, path: &Path) -> Result<[BTreeMap<String, String>; 2]> {
    let unfinished = |found: &str| {
        Error::refused(
            path,
            "an NRRD header that ends with an empty line",
            found,
            "the file is damaged or cut short",
        )
    };
    let (mut fields, mut notes, mut length) = (BTreeMap::new(), BTreeMap::new(), 0);
    loop {
        let mut line = Vec::new();
        let limit = (LARGEST_HEADER - length) as u64;
        std::io::Read::take(&mut *reader, limit)
            .read_until(b'\n', &mut line)
            .map_err(crate::files::input::unreadable(path))?;
        length += line.len();
        if line.pop() != Some(b'\n') {
            return Err(unfinished(if length >= LARGEST_HEADER {
                "more than 1 MiB of it"
            } else {
                "the end of the file"
            }));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        if text.is_empty() {
            return Ok([fields, notes]);
        }
        if text.starts_with('#') {
            continue;
        }
        // The first colon says which of the two a line is.
        match text.split_once(':') {
            Some((key, value)) if value.starts_with('=') => {
                notes.insert(key.to_owned(), unescaped(&value[1..]));
            }
            Some((field, value)) if value.starts_with(' ') => {
                fields.insert(field.to_lowercase(), value.trim().to_owned());
            }
            _ => {}
        }
    }
}

/// A note's text; line ends and backslashes are written `\n` and `\\`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\\\").map(|part| part.replace("\\n", "\n"));
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |text, part| text + "\\" + &part)
}

struct Fields<'a> {
    path: &'a Path,
    values: BTreeMap<String, String>,
    /// Whatever else a program wrote; 3D Slicer describes its segments there.
    notes: BTreeMap<String, String>,
}

impl<'a> Fields<'a> {
    /// The header of `path`, its reader behind it, and the size of the file.
    fn open(path: &'a Path) -> Result<(Self, BufReader<File>, u64)> {
        let (mut reader, size) = Input::open_reader(path)?;
        let [values, notes] = header(&mut reader, path)?;
        Ok((Self { path, values, notes }, reader, size))
    }

    /// The voxels; of a file with layers, `x` holds the layers of each voxel beside each other.
    fn volume(&self, reader: BufReader<File>, size: u64) -> Result<Volume> {
        let (path, layout) = (self.path, self.layout()?);
        let [z, y, columns] = layout.shape_zyx;
        let geometry = self.geometry([z, y, columns / self.layers()])?;
        let mut input = match self.required("encoding")? {
            "raw" => Input::plain(path, reader, size),
            "gzip" | "gz" => Input::gzip(path, reader, size),
            other => return Err(self.refuse("encoding raw or gzip", other)),
        };
        Ok(Volume { voxels: raw_voxels::read(&mut input, layout, 0)?, geometry })
    }

    fn get(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(String::as_str)
    }

    fn required(&self, field: &str) -> Result<&str> {
        self.get(field).ok_or_else(|| self.refuse(&format!("the NRRD field `{field}`"), "none"))
    }

    fn refuse(&self, expected: &str, found: &str) -> Error {
        Error::refused(
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
        if let Some(low) = self.get("old min").or_else(|| self.get("oldmin")) {
            return Err(self.refuse("values as they were measured, not quantized", low));
        }
        let sizes = self.required("sizes")?;
        let whole = self.whole_sizes()?;
        let dimension = self.required("dimension")?;
        if dimension != whole.len().to_string() {
            return Err(self.refuse("dimension 3", dimension));
        }
        let [x, y, z] = match whole[..] {
            [x, y, z] => [x, y, z],
            [layers, x, y, z] if self.layers() == layers => [layers * x, y, z],
            _ => return Err(self.refuse("three sizes of 1 to 65535", sizes)),
        };
        let data_type = self.data_type()?;
        let big_endian = match self.get("endian") {
            Some("big") => true,
            Some("little") => false,
            None if data_type.bytes() == 1 => false,
            other => return Err(self.refuse("endian little or big", other.unwrap_or("none"))),
        };
        Ok(Layout { data_type, shape_zyx: [z, y, x], big_endian, offset: 0 })
    }

    fn whole_sizes(&self) -> Result<Vec<usize>> {
        let sizes = self.required("sizes")?;
        let whole: Option<Vec<usize>> = sizes
            .split_whitespace()
            .map(|n| n.parse().ok().filter(|n| (1..=LARGEST_DIM).contains(n)))
            .collect();
        whole.ok_or_else(|| self.refuse("three sizes of 1 to 65535", sizes))
    }

    /// How many values each voxel has: 1, or the layers of a segmentation, which are its first
    /// axis.
    fn layers(&self) -> usize {
        let is_list = self.get("kinds").is_some_and(|kinds| {
            ["list", "vector"].contains(&kinds.split_whitespace().next().unwrap_or_default())
        });
        match self.whole_sizes().as_deref() {
            Ok(&[layers, _, _, _]) if is_list => layers,
            _ => 1,
        }
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
            let unit = self.unit_mm()?;
            let affine = Affine::from_spacing_xyz_mm([x, y, z].map(|length| length * unit));
            let mut geometry = Geometry::new(shape_zyx, affine);
            geometry.notes = [HeaderNote::NoPlace].into_iter().chain(unit_note(unit)).collect();
            return Ok(geometry);
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
        let unit = self.unit_mm()?;
        let mut affine = [[0.0, 0.0, 0.0, 1.0]; 4];
        for (row, sign) in signs.into_iter().enumerate() {
            affine[row] = [x[row], y[row], z[row], origin[row]]
                .map(|v| if v == 0.0 { 0.0 } else { sign * unit * v });
        }
        let affine = Affine(affine);
        if affine.determinant().abs() < f64::EPSILON {
            return Err(self.refuse("space directions that span a volume", directions));
        }
        let mut geometry = Geometry::new(shape_zyx, affine);
        geometry.notes = unit_note(unit).into_iter().collect();
        Ok(geometry)
    }

    /// Millimetres per unit of length.
    fn unit_mm(&self) -> Result<f64> {
        let Some(text) = self.get("space units").or_else(|| self.get("units")) else {
            return Ok(1.0);
        };
        let mut units: Vec<&str> =
            text.split('"').map(str::trim).filter(|unit| !unit.is_empty()).collect();
        units.retain(|unit| !unit.split_whitespace().all(|none| none == "none" || none == "???"));
        units.dedup();
        match units[..] {
            [] | ["mm" | "millimeter" | "millimetre"] => Ok(1.0),
            ["cm"] => Ok(10.0),
            ["m" | "meter" | "metre"] => Ok(1000.0),
            ["um" | "µm" | "micron"] => Ok(1e-3),
            _ => Err(self.refuse("space units of mm, cm, m or um", text)),
        }
    }
}

fn unit_note(mm: f64) -> Option<HeaderNote> {
    (mm != 1.0).then_some(HeaderNote::UnitOfLength { mm })
}

/// `(1,0,0) (0,1,0)`: triples of finite numbers; anything else is left out.
fn vectors(text: &str) -> Vec<[f64; 3]> {
    let parse = |part: &str| {
        // Before the bracket stands nothing, or the `none` of an axis of layers.
        let (_, part) = part.rsplit_once('(')?;
        let numbers: Vec<f64> = part.split(',').filter_map(|n| n.trim().parse().ok()).collect();
        <[f64; 3]>::try_from(numbers).ok().filter(|v| v.iter().all(|n| n.is_finite()))
    };
    text.split(')').filter_map(parse).collect()
}
