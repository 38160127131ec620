//! A segmentation as 3D Slicer saves it.

use std::fmt::Write;
use std::path::Path;

/// A `.seg.nrrd` under construction, uncompressed: axes along the patient's, LPS, origin 0.
#[derive(Clone, Debug)]
pub struct SegNrrd<'a> {
    /// Voxels along `x, y, z`.
    pub sizes_xyz: [usize; 3],
    /// Their distances, mm.
    pub spacing_xyz_mm: [f64; 3],
    /// Name, layer and value of each segment.
    pub segments: Vec<(&'a str, usize, u8)>,
    /// Values of each layer, `x` fastest.
    pub layers: Vec<Vec<u8>>,
}

impl SegNrrd<'_> {
    /// Writes the file: three axes for one layer, else the layers before them.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &Path) {
        let [x, y, z] = self.sizes_xyz;
        let [dx, dy, dz] = self.spacing_xyz_mm;
        let (layers, several) = (self.layers.len(), self.layers.len() > 1);
        let (list, none, kind) =
            if several { (format!("{layers} "), "none ", "list ") } else { Default::default() };
        let mut header = format!(
            "NRRD0004\ntype: unsigned char\ndimension: {}\nspace: left-posterior-superior\n\
             sizes: {list}{x} {y} {z}\nspace directions: {none}({dx},0,0) (0,{dy},0) (0,0,{dz})\n\
             kinds: {kind}domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n",
            3 + usize::from(several)
        );
        for (i, (name, layer, value)) in self.segments.iter().enumerate() {
            let _ = write!(
                header,
                "Segment{i}_ID:=Segment_{i}\nSegment{i}_Name:={name}\nSegment{i}_Layer:={layer}\n\
                 Segment{i}_LabelValue:={value}\nSegment{i}_Color:=1 0.5 0\n\
                 Segment{i}_Extent:=0 {} 0 {} 0 {}\n",
                x - 1,
                y - 1,
                z - 1
            );
        }
        let mut bytes = header.into_bytes();
        bytes.push(b'\n');
        bytes.extend((0..x * y * z).flat_map(|i| self.layers.iter().map(move |layer| layer[i])));
        std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
