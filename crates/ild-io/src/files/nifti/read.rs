//! From a NIfTI file to voxels: header, guards, then one inflate straight into the array.

use std::path::Path;

use super::header::{self, Header};
use super::notes::{self, Role};
use super::pair;
use crate::files::input::Input;
use crate::files::raw_voxels::{self, Layout};
use crate::files::{dicom_seg, dicom_study, nrrd};
use crate::volume::Number;
use crate::{Error, Format, Geometry, LabelMap, Result, Volume, Voxels, with_voxels};

/// Reads a 3-D volume from NIfTI, NRRD or a DICOM folder ([`crate::read_dicom_ct`]) (more axes are accepted when they have size 1, fewer are
/// filled up with 1), in axial order whatever the order in the file.
///
/// Voxels keep the stored type; a slope or intercept that changes anything gives `f32` (`f64` stays
/// `f64`), as SimpleITK does.
///
/// # Errors
/// Rejects what is no regular file, no NIfTI or NRRD, cut short, damaged, has more than 3 axes,
/// holds colours or complex numbers, promises more than it holds or more than 4 GiB, has no usable
/// spacing or axes that are not perpendicular, or holds NaN or infinite values.
pub fn read_volume(path: &Path) -> Result<Volume> {
    read_volume_as_stored(path).map(Volume::axial)
}

/// [`read_volume`] in the order of the file, as the older scripts read it.
///
/// # Errors
/// As [`read_volume`].
pub fn read_volume_as_stored(path: &Path) -> Result<Volume> {
    let volume = checked(path, Role::Image)?;
    refuse_not_finite(&volume.voxels, path)?;
    Ok(volume)
}

/// Reads a label map, in axial order; values must be whole and within 0..=255. The layers of a
/// `.seg.nrrd` and the segments of a DICOM Segmentation become one map; the latter on the slices that
/// it spans ([`LabelMap::on_grid_of`] gives it the others). What its labels are called: [`crate::cohort::LabelNames::own`].
///
/// # Errors
/// As [`read_volume`], and for label values that are not; the values are named. A `.seg.nrrd` whose
/// segments overlap is refused.
pub fn read_label_map(path: &Path) -> Result<LabelMap> {
    read_label_map_as_stored(path).map(LabelMap::axial)
}

/// [`read_label_map`] in the order of the file, as the older scripts read it.
///
/// # Errors
/// As [`read_label_map`].
pub fn read_label_map_as_stored(path: &Path) -> Result<LabelMap> {
    if Format::of(path)? == Format::Nrrd
        && let Some(segmentation) = nrrd::read_segmentation(path)?
    {
        let labels = segmentation.merged(path)?;
        return Ok(LabelMap { labels, geometry: measurable(segmentation.geometry, path)? });
    }
    if Format::of(path)? == Format::DicomSeg {
        let LabelMap { labels, geometry } = dicom_seg::read_segmentation(path)?;
        return Ok(LabelMap { labels, geometry: measurable(geometry, path)? });
    }
    let volume = checked(path, Role::Labels)?;
    Ok(LabelMap {
        labels: crate::volume::label_map::whole_labels(volume.voxels, path)?,
        geometry: volume.geometry,
    })
}

/// A volume whose grid can be measured on; what is odd about its header is logged.
fn checked(path: &Path, role: Role) -> Result<Volume> {
    let Volume { voxels, geometry } = match Format::of(path)? {
        Format::Nrrd => nrrd::read_unchecked(path)?,
        Format::Dicom => of_dicom(path)?,
        Format::DicomSeg => {
            return Err(Error::refused(
                path,
                "a scan",
                "a DICOM Segmentation, which is a mask",
                "name the CT",
            ));
        }
        _ => {
            let (mut volume, header) = read_unchecked(path)?;
            volume.geometry.notes.extend(notes::of_intent(&header, role));
            volume
        }
    };
    Ok(Volume { voxels, geometry: measurable(geometry, path)? })
}

/// The CT in a DICOM folder; what is odd about it is logged.
fn of_dicom(path: &Path) -> Result<Volume> {
    let (volume, facts) = dicom_study::read_as_stored(path, Default::default())?;
    for note in &facts.notes {
        tracing::warn!("{}: {note}", path.display());
    }
    Ok(volume)
}

/// The grid, if lengths and volumes mean something on it; its notes are logged.
fn measurable(mut geometry: Geometry, path: &Path) -> Result<Geometry> {
    geometry.check_lengths(path)?;
    geometry.note_order();
    for note in &geometry.notes {
        tracing::warn!("{}: {note}", path.display());
    }
    Ok(geometry)
}

/// Reads a volume whatever its values and its axes are, as stored, and its header.
pub(crate) fn read_unchecked(path: &Path) -> Result<(Volume, Header)> {
    let header_path = pair::header_path(path)?;
    let mut input = Input::open(&header_path)?;
    let (header, header_bytes) = read_header(&mut input)?;
    let geometry = geometry(&header, &header_path)?;
    let voxels = if header.paired {
        input.drain()?;
        let mut image = Input::open(&pair::image_path(&header_path)?)?;
        read_voxels(&mut image, &header, 0)?
    } else {
        read_voxels(&mut input, &header, header_bytes)?
    };
    Ok((Volume { voxels, geometry }, header))
}

/// Voxels of a scan in another unit than mm lie within these distances, mm; else the unit is wrong.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// The grid as the file stores it.
fn geometry(header: &Header, path: &Path) -> Result<Geometry> {
    let shape_zyx = header.shape_zyx();
    let place = header.orientation.place(shape_zyx).map_err(|none| none.refusal(path))?;
    let spacing = place.spacing_xyz_mm;
    if header.unit_mm != 1.0 && spacing.iter().any(|mm| !PLAUSIBLE_MM.contains(mm)) {
        return Err(Error::refused(
            path,
            "voxels of 0.01 to 100 mm",
            format!("{spacing:?} mm, because xyzt_units says {} mm per unit", header.unit_mm),
            "write the true unit into the header (2: millimetre)",
        ));
    }
    let mut geometry =
        Geometry { spacing_xyz_mm: spacing, ..Geometry::new(shape_zyx, place.affine) };
    geometry.stored.nifti = Some(header.orientation);
    geometry.notes = notes::of_header(header);
    geometry.notes.extend(place.notes);
    Ok(geometry)
}

/// The header and its length in bytes.
fn read_header(input: &mut Input) -> Result<(Header, u64)> {
    let mut bytes = vec![0u8; header::NIFTI1_BYTES];
    let path = input.path().to_owned();
    let not_nifti = |found: String| {
        Error::refused(
            &path,
            "a NIfTI file (.nii, .nii.gz, .hdr with .img)",
            found,
            "check that this is the right file (a folder of DICOM: `ild-io convert`)",
        )
    };
    let got = input.fill(&mut bytes[..4], 0).map(|()| [bytes[0], bytes[1], bytes[2], bytes[3]]);
    let start = match got {
        Err(error @ Error::Io { .. }) => return Err(error),
        Err(error) if input.is_gzip() => return Err(error),
        Err(_) => return Err(not_nifti("fewer than 4 bytes".to_owned())),
        Ok(start) => start,
    };
    let length = header::header_bytes(start).ok_or_else(|| not_nifti(what_begins(start)))?;
    bytes.resize(length, 0);
    input.fill(&mut bytes[4..], 4)?;
    Ok((header::parse(&bytes, &path)?, length as u64))
}

/// What a file is that begins so.
fn what_begins(start: [u8; 4]) -> String {
    match start {
        [b'P', b'K', ..] => "an NPZ (`ild-io convert` makes NIfTI files of it)".to_owned(),
        _ => format!("a file that begins with `{}`", start.escape_ascii()),
    }
}

/// Voxels from the stream, which stands at byte `position`, rescaled.
fn read_voxels(input: &mut Input, header: &Header, position: u64) -> Result<Voxels> {
    let layout = Layout {
        data_type: header.data_type,
        shape_zyx: header.shape_zyx(),
        big_endian: header.big_endian,
        offset: header.vox_offset,
    };
    let voxels = raw_voxels::read(input, layout, position)?;
    Ok(match header.scaling() {
        Some((slope, inter)) => scale(voxels, slope, inter),
        None => voxels,
    })
}

/// `slope · value + inter`: computed in `f64`, kept as `f32`, except that `f64` stays.
fn scale(voxels: Voxels, slope: f64, inter: f64) -> Voxels {
    match voxels {
        Voxels::F64(values) => Voxels::F64(values.mapv_into(|v| v * slope + inter)),
        Voxels::F32(values) => {
            Voxels::F32(values.mapv_into(|v| (f64::from(v) * slope + inter) as f32))
        }
        whole => Voxels::F32(
            with_voxels!(whole, values => values.mapv(|v| (f64::from(v.as_f32()) * slope + inter) as f32)),
        ),
    }
}

fn refuse_not_finite(voxels: &Voxels, path: &Path) -> Result<()> {
    let count = match voxels {
        Voxels::F32(values) => values.iter().filter(|v| !v.is_finite()).count(),
        Voxels::F64(values) => values.iter().filter(|v| !v.is_finite()).count(),
        _ => 0,
    };
    if count == 0 {
        return Ok(());
    }
    Err(Error::refused(
        path,
        "finite values",
        format!("{count} voxels that are NaN or infinite"),
        "replace them by what they stand for (outside the scanner's field of view: -1024 HU)",
    ))
}
