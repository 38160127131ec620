//! NIfTI-1 files of our own.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::ArrayView3;

use super::{DataType, NiftiOrientation};
use crate::{Error, Geometry, LabelMap, Result, Volume, with_voxels};

/// Noisy voxels: higher levels cost three times the seconds for half a percent of the size.
pub(crate) const VOLUME_LEVEL: Compression = Compression::new(2);
/// Label maps are mostly runs; they are small at any speed.
const LABEL_LEVEL: Compression = Compression::new(6);
/// `NIFTI_INTENT_LABEL`: the values are indices into some table of labels.
const INTENT_LABEL: i16 = 1002;
/// Header plus the four bytes that say "no extensions".
const VOX_OFFSET: usize = 352;
/// `NIFTI_UNITS_MM | NIFTI_UNITS_SEC`.
const MM_AND_SECONDS: u8 = 2 | 8;

/// What `descrip` says when nobody says anything else.
const DESCRIPTION: &str = "ild";
/// Bytes of `descrip` without its terminating zero.
const DESCRIPTION_BYTES: usize = 79;

/// Writes a volume in its own type with its affine, as `.nii` or `.nii.gz`, in the order of the file
/// that its geometry was read from.
///
/// # Errors
/// For another file name, an axis longer than NIfTI-1 can say, and when the file cannot be written.
pub fn write_volume(path: &Path, volume: &Volume) -> Result<()> {
    write_volume_described(path, volume, DESCRIPTION)
}

/// [`write_volume`] with a text for the header's `descrip` field, cut to its 79 bytes.
///
/// # Errors
/// As [`write_volume`].
pub fn write_volume_described(path: &Path, volume: &Volume, description: &str) -> Result<()> {
    let header = header(
        path,
        &volume.geometry,
        volume.voxels.shape_zyx(),
        DataType::of(&volume.voxels),
        0,
        description,
    )?;
    let order = volume.geometry.stored.order.inverse();
    with_voxels!(&volume.voxels, array => write(path, &header, order.view(array.view()), VOLUME_LEVEL))
}

/// Writes a label map as `uint8` with its affine and the NIfTI intent `label`.
///
/// A geometry that came from a CT file gives that file's sform, qform and pixdim, bit for bit.
///
/// # Errors
/// As [`write_volume`].
pub fn write_label_map(path: &Path, map: &LabelMap) -> Result<()> {
    write_label_map_described(path, map, DESCRIPTION)
}

/// [`write_label_map`] with a text for the header's `descrip` field, cut to its 79 bytes.
///
/// # Errors
/// As [`write_label_map`].
pub fn write_label_map_described(path: &Path, map: &LabelMap, description: &str) -> Result<()> {
    let (z, y, x) = map.labels.dim();
    let header = header(path, &map.geometry, [z, y, x], DataType::U8, INTENT_LABEL, description)?;
    let order = map.geometry.stored.order.inverse();
    write(path, &header, order.view(map.labels.view()), LABEL_LEVEL)
}

/// The file that [`write_volume`] writes, in memory, for those who send it on; `name` ends in `.nii`
/// or `.nii.gz`.
///
/// # Errors
/// As [`write_volume`].
pub fn volume_bytes(name: &Path, volume: &Volume) -> Result<Vec<u8>> {
    let data_type = DataType::of(&volume.voxels);
    let shape = volume.voxels.shape_zyx();
    let header = header(name, &volume.geometry, shape, data_type, 0, DESCRIPTION)?;
    let order = volume.geometry.stored.order.inverse();
    let gzip = is_gzip_name(name)?.then_some(VOLUME_LEVEL);
    let mut out = Vec::new();
    with_voxels!(&volume.voxels, array => encode(&mut out, &header, order.view(array.view()), gzip))
        .map_err(|source| Error::Io { path: name.to_owned(), what: "written", source })?;
    Ok(out)
}

fn write<T: bytemuck::Pod>(
    path: &Path,
    header: &[u8; VOX_OFFSET],
    array: ArrayView3<T>,
    level: Compression,
) -> Result<()> {
    let level = is_gzip_name(path)?.then_some(level);
    ild_cli::write_atomic(path, |file| encode(file, header, array, level))?;
    Ok(())
}

/// Header and voxels, gzipped where a level is given.
fn encode<T: bytemuck::Pod>(
    out: &mut impl Write,
    header: &[u8; VOX_OFFSET],
    array: ArrayView3<T>,
    gzip: Option<Compression>,
) -> io::Result<()> {
    let voxels = array.as_standard_layout();
    let bytes: &[u8] = bytemuck::cast_slice(
        voxels.as_slice().unwrap_or_else(|| unreachable!("standard layout is contiguous")),
    );
    let Some(level) = gzip else {
        out.write_all(header)?;
        return out.write_all(bytes);
    };
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(header)?;
    encoder.write_all(bytes)?;
    encoder.finish().map(|_| ())
}

/// Whether `path` is to be gzipped, from its name.
pub(crate) fn is_gzip_name(path: &Path) -> Result<bool> {
    let name =
        path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    match name {
        name if name.ends_with(".nii.gz") => Ok(true),
        name if name.ends_with(".nii") => Ok(false),
        name => Err(Error::refused(
            path,
            "a name that ends in .nii or .nii.gz",
            format!("`{name}`"),
            "rename the output",
        )),
    }
}

fn header(
    path: &Path,
    geometry: &Geometry,
    shape_zyx: [usize; 3],
    data_type: DataType,
    intent: i16,
    description: &str,
) -> Result<[u8; VOX_OFFSET]> {
    if shape_zyx != geometry.shape_zyx {
        let found = format!("an array of {shape_zyx:?}");
        return Err(Error::refused(
            path,
            format!("voxels of the grid, {:?} (z, y, x)", geometry.shape_zyx),
            found,
            "",
        ));
    }
    let file = geometry.as_stored();
    let shape_zyx = file.shape_zyx;
    let mut out = [0u8; VOX_OFFSET];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(super::header::NIFTI1_BYTES as i32).to_le_bytes());
    for (i, n) in [3, shape_zyx[2], shape_zyx[1], shape_zyx[0], 1, 1, 1, 1].into_iter().enumerate()
    {
        let n = i16::try_from(n).map_err(|_| {
            Error::refused(
                path,
                "axes of at most 32767 voxels",
                format!("{shape_zyx:?} (z, y, x)"),
                "crop the volume",
            )
        })?;
        put(40 + 2 * i, &n.to_le_bytes());
    }
    put(68, &intent.to_le_bytes());
    put(70, &data_type.code().to_le_bytes());
    put(72, &(8 * data_type.bytes() as i16).to_le_bytes());
    put(108, &(VOX_OFFSET as f32).to_le_bytes());
    put(112, &1f32.to_le_bytes());
    put(123, &[MM_AND_SECONDS]);
    put(148, &description.as_bytes()[..description.len().min(DESCRIPTION_BYTES)]);
    let o = NiftiOrientation::to_write(&file);
    put(252, &(o.qform_code as i16).to_le_bytes());
    put(254, &(o.sform_code as i16).to_le_bytes());
    let floats = [
        (76, &o.pixdim[..]),
        (256, &o.quatern),
        (268, &o.qoffset),
        (280, &o.srow[0]),
        (296, &o.srow[1]),
        (312, &o.srow[2]),
    ];
    for (at, values) in floats {
        for (i, &value) in values.iter().enumerate() {
            put(at + 4 * i, &(value as f32).to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    Ok(out)
}
