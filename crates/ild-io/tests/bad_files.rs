//! Files that are cut, flipped, bombed or not what their name says: refused in words, never a
//! panic, never a hang.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::NiftiBytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ild_io::{
    Geometry, LabelMap, Volume, Voxels, read_label_map, read_npz, read_volume, write_label_map,
    write_volume,
};
use ndarray::Array3;
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// The message of a refusal, without the path.
fn refusal<T>(path: &Path, result: ild_io::Result<T>) -> String {
    let error = result.map(|_| ()).expect_err("was accepted");
    assert!(error.is_rejection(), "{error}");
    error
        .to_string()
        .strip_prefix(&format!("{}: ", path.display()))
        .unwrap_or_else(|| panic!("{error} does not name the file"))
        .to_owned()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A readable 2 × 3 × 4 file of 16-bit voxels.
fn small() -> NiftiBytes {
    let mut file = NiftiBytes::new([2, 3, 4], 4);
    file.voxels(&(0..48).collect::<Vec<u8>>());
    file
}

#[test]
fn dims_are_checked() {
    let place = Place::new();
    for (dims, found) in [
        ([3, 0, 3, 2, 1, 1, 1, 1], "dim[0] = 3, sizes [0, 3, 2]"),
        ([3, 4, -3, 2, 1, 1, 1, 1], "dim[0] = 3, sizes [4, -3, 2]"),
        ([0, 4, 3, 2, 1, 1, 1, 1], "dim[0] = 0, sizes [4, 3, 2]"),
        ([8, 4, 3, 2, 1, 1, 1, 1], "dim[0] = 8, sizes [4, 3, 2, 1, 1, 1, 1]"),
        ([4, 4, 3, 1, 2, 1, 1, 1], "dim[0] = 4, sizes [4, 3, 1, 2]"),
    ] {
        let mut file = small();
        let path = place.file("d.nii", &file.dims(&dims).0);
        assert!(refusal(&path, read_volume(&path)).contains(found), "{dims:?}");
    }
    let mut file = small();
    let path = place.file("t.nii", &file.dims(&[4, 4, 3, 2, 1, 1, 1, 1]).0);
    assert_eq!(read_volume(&path).unwrap().geometry.shape_zyx, [2, 3, 4]);
}

#[test]
fn several_time_points_are_refused_with_what_to_do() {
    let place = Place::new();
    let path = place.file("4d.nii", &small().dims(&[4, 4, 3, 1, 2, 1, 1, 1]).0);
    let expected = "expected a 3-D volume, or more axes of size 1, found dim[0] = 4, sizes [4, 3, 1, 2]; take one time point out of it first";
    assert_eq!(refusal(&path, read_volume(&path)), expected);
}

#[test]
fn offsets_types_and_magic_are_checked() {
    let place = Place::new();
    let refused = |file: &NiftiBytes| {
        let path = place.file("x.nii", &file.0);
        refusal(&path, read_volume(&path))
    };
    for offset in [f32::NAN, 1e30, -5.0, 0.0, 351.0, 352.5] {
        assert!(
            refused(small().f32(108, &[offset]))
                .contains("expected vox_offset to be a whole number of at least 352"),
            "{offset}"
        );
    }
    assert!(refused(small().f32(108, &[4096.0])).contains("as its header promises"));
    assert!(
        refused(small().i16(70, 128))
            .contains("found datatype 128: RGB colours; store one scalar channel")
    );
    assert!(refused(small().i16(70, 999)).contains("found datatype 999: not a NIfTI type"));
    assert!(refused(small().put(344, b"\0\0\0\0")).contains("expected the NIfTI magic n+1 or ni1"));
}

#[test]
fn an_offset_behind_extensions_is_honoured() {
    let place = Place::new();
    let mut file = NiftiBytes::new([1, 1, 2], 2);
    file.f32(108, &[416.0]).voxels(&[9; 64]).voxels(&[5, 6]);
    let path = place.file("e.nii", &file.0);
    // The columns of the file run to the right, those of the array to the left.
    assert_eq!(read_volume(&path).unwrap().voxels, Voxels::U8(ndarray::arr3(&[[[6, 5]]])));
}

#[test]
fn bitpix_and_byte_order_do_not_matter() {
    let place = Place::new();
    let path = place.file("b.nii", &small().i16(72, 0).0);
    assert!(read_volume(&path).is_ok());
    // The same file with every header number and voxel byte-swapped.
    let mut big = small();
    for (start, count, size) in [
        (0, 1, 4),
        (40, 8, 2),
        (70, 2, 2),
        (76, 8, 4),
        (108, 3, 4),
        (252, 2, 2),
        (256, 18, 4),
        (352, 24, 2),
    ] {
        big.0[start..start + count * size].chunks_mut(size).for_each(<[u8]>::reverse);
    }
    let swapped = place.file("big.nii", &big.0);
    assert_eq!(read_volume(&swapped).unwrap(), read_volume(&path).unwrap());
}

#[test]
fn spacing_without_sense_is_refused_or_taken_from_the_sform() {
    let place = Place::new();
    let mut file = small();
    file.f32(76, &[1.0, f32::NAN, 0.0, 2.0])
        .f32(280, &[0.7, 0.0, 0.0, 0.0, 0.0, 0.8, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
    let path = place.file("s.nii", &file.0);
    let spacing = read_volume(&path).unwrap().geometry.spacing_xyz_mm;
    assert!(
        (spacing[0] - 0.7).abs() < 1e-6 && (spacing[1] - 0.8).abs() < 1e-6 && spacing[2] == 2.0,
        "{spacing:?}"
    );
    let path = place.file("s.nii", &file.i16(254, 0).0);
    assert!(refusal(&path, read_volume(&path)).starts_with(
        "expected a spacing (pixdim) above zero along each axis, found [NaN, 0.0, 2.0]"
    ));
}

#[test]
fn any_prefix_of_a_gzipped_file_is_refused() {
    let place = Place::new();
    let whole = gz(&small().0);
    for cut in 1..whole.len() {
        let path = place.file("cut.nii.gz", &whole[..cut]);
        refusal(&path, read_volume(&path));
    }
    let path = place.file("cut.nii", &small().0[..380]);
    let expected = "expected 400 bytes of voxels, as its header promises, found a file that holds 380 at most; the file is cut short or its header is wrong";
    assert_eq!(refusal(&path, read_volume(&path)), expected);
}

#[test]
fn a_flipped_bit_in_a_gzipped_file_never_changes_a_voxel() {
    let place = Place::new();
    let whole = gz(&small().0);
    let truth = read_volume(&place.file("ok.nii.gz", &whole)).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let path = place.file("flip.nii.gz", &flipped);
        if let Ok(volume) = read_volume(&path) {
            assert_eq!(volume, truth, "bit {bit}");
        }
    }
}

#[test]
fn a_flipped_bit_in_a_header_never_panics() {
    let place = Place::new();
    let whole = small().0;
    for bit in 0..352 * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let path = place.file("flip.nii", &flipped);
        let _ = (read_volume(&path), read_label_map(&path));
    }
}

#[test]
fn several_gzip_members_and_plain_files_named_gz_are_read() {
    let place = Place::new();
    let bytes = small().0;
    let truth = read_volume(&place.file("a.nii", &bytes)).unwrap();
    let parts = [gz(&bytes[..100]), gz(&bytes[100..390]), gz(&bytes[390..])].concat();
    for (name, content) in
        [("members.nii.gz", parts), ("plain.nii.gz", bytes.clone()), ("gzipped.nii", gz(&bytes))]
    {
        assert_eq!(read_volume(&place.file(name, &content)).unwrap(), truth, "{name}");
    }
}

#[test]
fn bombs_are_refused_before_they_are_inflated() {
    let place = Place::new();
    // Enough incompressible bytes to make the promise of 6.4 GiB believable.
    let mut noise = vec![0u8; 7 << 20];
    let mut state = 1u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *byte = (state >> 56) as u8;
    }
    let mut big = NiftiBytes::new([1200, 1200, 1200], 16);
    let path = place.file("big.nii.gz", &gz(&big.voxels(&noise).0));
    assert!(
        refusal(&path, read_volume(&path))
            .contains("expected at most 4 GiB of voxels, found a header that promises 6.4 GiB")
    );

    let mut tail = small();
    tail.voxels(&vec![0; 65 << 20]);
    let path = place.file("tail.nii.gz", &gz(&tail.0));
    assert!(refusal(&path, read_volume(&path)).contains(
        "expected the end of the file after the last voxel, found more than 64 MiB behind it"
    ));
}

#[test]
fn not_finite_values_are_refused_with_their_count() {
    let place = Place::new();
    let mut file = NiftiBytes::new([1, 1, 3], 16);
    file.voxels(bytemuck::cast_slice(&[f32::NAN, 1.0, f32::INFINITY]));
    let path = place.file("nan.nii", &file.0);
    assert!(
        refusal(&path, read_volume(&path))
            .starts_with("expected finite values, found 2 voxels that are NaN or infinite")
    );
}

#[test]
fn a_pipe_and_an_empty_file_are_refused_without_waiting() {
    let place = Place::new();
    let pipe = place.0.path().join("pipe.nii");
    if Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        for message in
            [refusal(&pipe, read_volume(&pipe)), refusal(&pipe, read_npz(&pipe).map(|_| ()))]
        {
            assert_eq!(
                message,
                "expected a regular file, found a pipe, socket or device; name the file itself"
            );
        }
    }
    let path = place.file("empty.nii.gz", b"");
    assert_eq!(
        refusal(&path, read_volume(&path)),
        "expected a file with content, found an empty file; copy it again"
    );
}

#[test]
fn half_a_pair_names_the_other_half() {
    let place = Place::new();
    let mut header = small();
    header.put(344, b"ni1\0").f32(108, &[0.0]).0.truncate(348);
    let path = place.file("a.hdr", &header.0);
    assert!(refusal(&path, read_volume(&path)).contains("expected its other half beside it"));
    place.file("a.img.gz", &gz(&small().0[352..]));
    assert_eq!(read_volume(&path).unwrap(), read_volume(&place.file("b.nii", &small().0)).unwrap());
    assert_eq!(
        read_volume(&place.0.path().join("a.img.gz")).unwrap().geometry.shape_zyx,
        [2, 3, 4]
    );
}

#[test]
fn nifti_2_is_read() {
    let place = Place::new();
    let mut file = NiftiBytes(vec![0; 544]);
    file.put(0, &540i32.to_le_bytes()).put(4, b"n+2\0\r\n\x1a\n").i16(12, 4);
    for (i, n) in [3i64, 4, 3, 2, 1, 1, 1, 1].into_iter().enumerate() {
        file.put(16 + 8 * i, &n.to_le_bytes());
    }
    for (i, mm) in [1.0f64, 0.7, 0.8, 2.5].into_iter().enumerate() {
        file.put(104 + 8 * i, &mm.to_le_bytes());
    }
    file.put(168, &544i64.to_le_bytes())
        .put(176, &1f64.to_le_bytes())
        .put(500, &2i32.to_le_bytes());
    file.voxels(&small().0[352..]);
    let volume = read_volume(&place.file("2.nii", &file.0)).unwrap();
    assert_eq!(volume.geometry.spacing_xyz_mm, [0.7, 0.8, 2.5]);
    assert_eq!(volume.voxels, read_volume(&place.file("1.nii", &small().0)).unwrap().voxels);
}

#[test]
fn outputs_need_a_nifti_name_and_a_place_to_be() {
    let place = Place::new();
    let map = LabelMap {
        labels: Array3::zeros((1, 2, 3)),
        geometry: Geometry::new([1, 2, 3], common::oblique([1.0; 3], [0.0; 3])),
    };
    let path = place.0.path().join("mask.mha");
    assert_eq!(
        refusal(&path, write_label_map(&path, &map)),
        "expected a name that ends in .nii or .nii.gz, found `mask.mha`; rename the output"
    );
    let blocked = place.file("not-a-folder", b"x").join("mask.nii.gz");
    let error = write_label_map(&blocked, &map).unwrap_err();
    assert!(!error.is_rejection());
    assert!(error.to_string().contains("mask.nii.gz: could not be written"), "{error}");
    let long = Volume {
        voxels: Voxels::U8(Array3::zeros((1, 1, 40000))),
        geometry: Geometry::new([1, 1, 40000], common::oblique([1.0; 3], [0.0; 3])),
    };
    let path = place.0.path().join("long.nii");
    assert!(
        refusal(&path, write_volume(&path, &long))
            .contains("expected axes of at most 32767 voxels")
    );
}

#[test]
fn odd_paths_and_sizes_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let folder = place.0.path().join("x".repeat(200)).join("y".repeat(200));
    let name = OsStr::from_bytes(b"caf\xe9 \xff.nii.gz");
    for shape in [[1, 1, 1], [1, 5000, 5000]] {
        let geometry = Geometry::new(shape, common::oblique([1.0; 3], [0.0; 3]));
        let volume = Volume { voxels: Voxels::I16(Array3::from_elem(shape, -7)), geometry };
        let path = folder.join(name);
        write_volume(&path, &volume).unwrap();
        assert_eq!(read_volume(&path).unwrap().voxels, volume.voxels);
    }
}
