//! A label map as NRRD, as ITK, 3D Slicer and OHIF read it
//! (teem.sourceforge.net/nrrd/format.html).

use std::fmt::Write;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::LabelMap;

/// Label maps are mostly runs: small at any speed.
const LEVEL: Compression = Compression::new(1);

/// The file in memory: `uint8`, in the order in which the map's grid is stored, placed in LPS.
/// `gzip` compresses the voxels.
///
/// # Panics
/// Never: memory takes what is written.
#[must_use]
pub fn nrrd_bytes(map: &LabelMap, gzip: bool) -> Vec<u8> {
    let voxels = map.geometry.stored.order.inverse();
    let voxels = voxels.view(map.labels.view());
    let voxels = voxels.as_standard_layout();
    let voxels = voxels.as_slice().unwrap_or_else(|| unreachable!("standard layout is contiguous"));
    let mut file = header(map, gzip).into_bytes();
    if gzip {
        let mut encoder = GzEncoder::new(file, LEVEL);
        encoder.write_all(voxels).expect("memory takes what is written");
        return encoder.finish().expect("memory takes what is written");
    }
    file.extend_from_slice(voxels);
    file
}

fn header(map: &LabelMap, gzip: bool) -> String {
    let grid = map.geometry.as_stored();
    let [z, y, x] = grid.shape_zyx;
    // World is RAS here and LPS there.
    let vector = |axis: usize| {
        let [r, a, s] = grid.affine.step_mm(axis);
        format!("({},{},{})", positive(-r), positive(-a), positive(s))
    };
    let mut text = "NRRD0004\ntype: uint8\ndimension: 3\n".to_owned();
    let encoding = if gzip { "gzip" } else { "raw" };
    let _ = writeln!(text, "space: left-posterior-superior\nsizes: {x} {y} {z}");
    let _ = writeln!(text, "space directions: {} {} {}", vector(0), vector(1), vector(2));
    let _ = writeln!(text, "kinds: domain domain domain\nencoding: {encoding}");
    let _ = writeln!(text, "space origin: {}\n", vector(3));
    text
}

/// `-0` is `0`.
fn positive(v: f64) -> f64 {
    if v == 0.0 { 0.0 } else { v }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::volume::geometry::oblique_lps;
    use crate::{StorageOrder, read_label_map_as_stored};

    #[test]
    fn what_is_written_is_read_in_the_same_places_whatever_the_order_of_the_ct() {
        let folder = tempfile::tempdir().unwrap();
        for codes in ["LPS", "RAS", "SPL", "AIR"] {
            let mut geometry = oblique_lps();
            geometry.stored.order = StorageOrder::from_codes(codes, &geometry.affine).unwrap();
            let [z, y, x] = geometry.shape_zyx;
            let labels = Array3::from_shape_fn((z, y, x), |(z, y, x)| (30 * z + 6 * y + x) as u8);
            let map = LabelMap { labels, geometry };
            for gzip in [false, true] {
                let path = folder.path().join(format!("{codes}-{gzip}.nrrd"));
                std::fs::write(&path, nrrd_bytes(&map, gzip)).unwrap();
                let read = read_label_map_as_stored(&path).unwrap();
                assert_eq!(read.geometry.shape_zyx, map.geometry.as_stored().shape_zyx, "{codes}");
                let back = read.on_grid_of(&path, "mask", "CT", &map.geometry).unwrap();
                assert_eq!(back.labels, map.labels, "{codes} {gzip}");
            }
        }
    }
}
