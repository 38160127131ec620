//! The order in which a file stores its voxels, and the axial order in which this crate hands them
//! out.
//!
//! A file may store its voxels along any axes of the patient (48 ways). Everything that looks at
//! slices (windows, dust, boxes, journeys, the lung, pictures) means axial slices seen as a
//! radiologist sees them, so the readers put every volume into one order, LPS: columns run to the
//! patient's left, rows to the back, slices from foot to head, as DICOM's axial series. The writers
//! put it back. No voxel is interpolated.

use ndarray::{Array3, ArrayView3, Axis};

use crate::{Affine, Geometry, LabelMap, Volume, Voxels};

/// World axis and direction of the columns, rows and slices of an axial array: left, posterior,
/// superior.
const LPS: [(usize, bool); 3] = [(0, false), (1, false), (2, true)];

/// Which axes of the file the axes of the array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageOrder([Source; 3]);

/// The file's axis (0 = its fastest, x) behind an axis of the array, and whether it runs the other
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) from: usize,
    pub(super) flipped: bool,
}

impl Default for StorageOrder {
    /// The array is as the file.
    fn default() -> Self {
        Self(std::array::from_fn(|from| Source { from, flipped: false }))
    }
}

impl StorageOrder {
    pub(super) fn from_sources(sources: [Source; 3]) -> Self {
        Self(sources)
    }

    /// What makes an array LPS of a file with this affine.
    #[must_use]
    pub fn to_axial(file: &Affine) -> Self {
        Self::between(file.main_axes(), LPS)
    }

    /// What makes an array with axes like `array` of a file whose axis codes are `codes` (`SPL`);
    /// `None` when those are no three codes.
    #[must_use]
    pub fn from_codes(codes: &str, array: &Affine) -> Option<Self> {
        let axis = |code: char| {
            ["LR", "PA", "IS"]
                .iter()
                .enumerate()
                .find_map(|(row, pair)| Some((row, pair.find(code)? == 1)))
        };
        let axes: Vec<(usize, bool)> = codes.chars().map(axis).collect::<Option<_>>()?;
        let axes: [(usize, bool); 3] = axes.try_into().ok()?;
        let complete = (0..3).all(|row| axes.iter().any(|axis| axis.0 == row));
        complete.then(|| Self::between(axes, array.main_axes()))
    }

    /// Both have each world axis once.
    fn between(file: [(usize, bool); 3], array: [(usize, bool); 3]) -> Self {
        Self(array.map(|(row, along)| {
            let from = file.iter().position(|axis| axis.0 == row).unwrap_or(row);
            Source { from, flipped: file[from].1 != along }
        }))
    }

    /// Whether the array is as the file.
    #[must_use]
    pub fn is_files(&self) -> bool {
        *self == Self::default()
    }

    /// From the array back to the file.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut inverse = *self;
        for (axis, source) in self.0.iter().enumerate() {
            inverse.0[source.from] = Source { from: axis, flipped: source.flipped };
        }
        inverse
    }

    /// The array, `[z, y, x]`, of a file's voxels.
    #[must_use]
    pub fn array<T: Copy>(&self, file: Array3<T>) -> Array3<T> {
        if self.is_files() {
            return file;
        }
        self.view(file.view()).as_standard_layout().into_owned()
    }

    /// The same without copying.
    #[must_use]
    pub fn view<'a, T>(&self, file: ArrayView3<'a, T>) -> ArrayView3<'a, T> {
        // Array axes are z, y, x where the sources are x, y, z.
        let mut view =
            file.permuted_axes(std::array::from_fn::<_, 3, _>(|axis| 2 - self.0[2 - axis].from));
        for (column, _) in self.0.iter().enumerate().filter(|(_, source)| source.flipped) {
            view.invert_axis(Axis(2 - column));
        }
        view
    }

    fn voxels(&self, file: Voxels) -> Voxels {
        macro_rules! turned {
            ($($variant:ident)*) => {
                match file { $(Voxels::$variant(array) => Voxels::$variant(self.array(array)),)* }
            };
        }
        turned!(U8 I8 U16 I16 U32 I32 U64 I64 F32 F64)
    }

    /// The grid of the array of a file's grid.
    pub(super) fn grid(&self, file: &Geometry) -> Geometry {
        let size = |axis: usize| file.shape_zyx[2 - axis];
        let mut first = [0.0; 3];
        for source in self.0.iter().filter(|source| source.flipped) {
            first[source.from] = (size(source.from) - 1) as f64;
        }
        let origin =
            if first == [0.0; 3] { file.affine.step_mm(3) } else { file.affine.world_mm(first) };
        let mut affine = file.affine;
        for (row, start) in origin.into_iter().enumerate() {
            for (column, source) in self.0.iter().enumerate() {
                let step = file.affine.0[row][source.from];
                affine.0[row][column] = if source.flipped && step != 0.0 { -step } else { step };
            }
            affine.0[row][3] = start;
        }
        Geometry {
            shape_zyx: std::array::from_fn(|axis| size(self.0[2 - axis].from)),
            spacing_xyz_mm: self.0.map(|source| file.spacing_xyz_mm[source.from]),
            affine,
            ..file.clone()
        }
    }
}

impl Geometry {
    /// The grid in axial order; it remembers how the file stores it.
    #[must_use]
    pub fn axial(&self) -> Self {
        let file = self.as_stored();
        let order = StorageOrder::to_axial(&file.affine);
        let mut axial = order.grid(&file);
        axial.stored.order = order;
        axial
    }

    /// The grid in the order of the file.
    #[must_use]
    pub fn as_stored(&self) -> Self {
        let order = self.stored.order;
        if order.is_files() {
            return self.clone();
        }
        let mut file = order.inverse().grid(self);
        file.stored.order = StorageOrder::default();
        file
    }

    /// Where voxel `(x, y, z)` of the file is in the array; fractions stay fractions.
    #[must_use]
    pub fn array_xyz(&self, file_xyz: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| {
            let source = self.stored.order.0[axis];
            let at = file_xyz[source.from];
            if source.flipped { (self.shape_zyx[2 - axis] - 1) as f64 - at } else { at }
        })
    }

    /// The slice of the array that slice `z` of the file is; `None` where the file has no such slice,
    /// or its slices are not axial.
    #[must_use]
    pub fn array_slice(&self, z: usize) -> Option<usize> {
        let source = self.stored.order.0[2];
        let last = self.shape_zyx[0].checked_sub(1)?;
        if source.from != 2 || z > last {
            return None;
        }
        Some(if source.flipped { last - z } else { z })
    }

    /// Where voxel `(x, y, z)` of the array is in the file.
    #[must_use]
    pub fn file_xyz(&self, array_xyz: [f64; 3]) -> [f64; 3] {
        let mut file = [0.0; 3];
        for (axis, source) in self.stored.order.0.iter().enumerate() {
            let last = (self.shape_zyx[2 - axis] - 1) as f64;
            file[source.from] =
                if source.flipped { last - array_xyz[axis] } else { array_xyz[axis] };
        }
        file
    }
}

impl Volume {
    /// The same voxels in axial order; they must be in that of the file.
    #[must_use]
    pub(crate) fn axial(self) -> Self {
        let geometry = self.geometry.axial();
        Self { voxels: geometry.stored.order.voxels(self.voxels), geometry }
    }
}

impl LabelMap {
    /// The same labels in axial order; they must be in that of the file.
    #[must_use]
    pub(crate) fn axial(self) -> Self {
        let geometry = self.geometry.axial();
        Self { labels: geometry.stored.order.array(self.labels), geometry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::geometry::oblique_lps as lps;

    /// Labels whose value follows from the place in the patient.
    fn labelled(geometry: &Geometry) -> LabelMap {
        let [z, y, x] = geometry.shape_zyx;
        let labels = Array3::from_shape_fn((z, y, x), |(z, y, x)| {
            let [a, b, c] = geometry.affine.world_mm([x as f64, y as f64, z as f64]);
            (3.0 * a - 2.0 * b + 5.0 * c + 400.0).round() as i64 as u8
        });
        LabelMap { labels, geometry: geometry.clone() }
    }

    /// All 48 ways to store the grid.
    fn stored(geometry: &Geometry) -> Vec<Geometry> {
        let mut out = Vec::new();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for bits in 0..8 {
                let sources = std::array::from_fn(|axis| Source {
                    from: order[axis],
                    flipped: bits >> axis & 1 == 1,
                });
                out.push(StorageOrder(sources).grid(geometry));
            }
        }
        out
    }

    #[test]
    fn a_slice_of_the_file_is_found_in_the_array_where_both_are_axial() {
        for file in stored(&lps()) {
            let codes = file.affine.axis_codes();
            let (axial, depth) = (file.axial(), file.shape_zyx[0]);
            for z in 0..depth {
                let at = axial.array_xyz([0.0, 0.0, z as f64])[2];
                let expected = codes.ends_with(['S', 'I']).then_some(at as usize);
                assert_eq!(axial.array_slice(z), expected, "{codes} {z}");
            }
            assert_eq!(axial.array_slice(depth), None);
        }
    }

    #[test]
    fn all_48_storage_orders_become_the_same_axial_map_and_go_back() {
        let wanted = labelled(&lps());
        let mut codes = Vec::new();
        for file in stored(&lps()) {
            let map = labelled(&file);
            let axial = map.clone().axial();
            assert_eq!(axial.labels, wanted.labels, "{}", file.affine.axis_codes());
            assert!(axial.geometry.corner_distance_mm(&wanted.geometry) < 1e-9);
            assert_eq!(axial.geometry.spacing_xyz_mm, wanted.geometry.spacing_xyz_mm);
            assert_eq!(axial.geometry.stored_codes(), file.affine.axis_codes());
            let back = axial.geometry.stored.order.inverse().array(axial.labels.clone());
            assert_eq!(back, map.labels);
            assert!(axial.geometry.as_stored().corner_distance_mm(&file) < 1e-9);
            codes.push(file.affine.axis_codes());
        }
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 48);
    }

    #[test]
    fn a_voxel_is_found_in_both_orders() {
        for file in stored(&lps()) {
            let axial = file.axial();
            let at = [1.0, 2.0, 0.5];
            let array = axial.array_xyz(at);
            assert_eq!(axial.file_xyz(array), at);
            let (a, b) = (file.affine.world_mm(at), axial.affine.world_mm(array));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn codes_say_the_order() {
        for file in stored(&lps()) {
            let axial = file.axial();
            let codes = file.affine.axis_codes();
            assert_eq!(
                StorageOrder::from_codes(&codes, &axial.affine),
                Some(axial.stored.order),
                "{codes}"
            );
        }
        for wrong in ["", "LP", "LPSA", "LPP", "LPX"] {
            assert_eq!(StorageOrder::from_codes(wrong, &lps().affine), None, "{wrong}");
        }
    }
}
