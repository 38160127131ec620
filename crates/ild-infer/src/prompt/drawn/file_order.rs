//! Prompts are drawn in the CT's file; slices are looked at in axial order.

use ild_io::Geometry;

use super::Mismatch;
use super::entry::Entry;

impl Entry {
    /// The same prompt in the order of the arrays.
    pub(super) fn in_array_order(&self, grid: &Geometry) -> Result<Self, Mismatch> {
        let mut entry = self.clone();
        if grid.stored.order.is_files() {
            return Ok(entry);
        }
        let Some(slice) = self.slice else {
            if let Some(&[x0, y0, z0, x1, y1, z1]) = self.corners.as_deref() {
                let [a, b] = [[x0, y0, z0], [x1, y1, z1]].map(|at| grid.array_xyz(at));
                let ends = |of: fn(f64, f64) -> f64| std::array::from_fn(|i| of(a[i], b[i]));
                let (low, high): ([f64; 3], [f64; 3]) = (ends(f64::min), ends(f64::max));
                entry.corners = Some([low, high].concat());
            }
            return Ok(entry);
        };
        let stored = grid.stored_codes();
        if !stored.ends_with(['S', 'I']) {
            return Err((
                format!(
                    "a 3-D `box` (the CT is stored {stored}, so a slice of the file is not axial)"
                ),
                format!("slice {slice}"),
            ));
        }
        let z = slice as f64;
        let at = |x: f64, y: f64| grid.array_xyz([x, y, z]);
        if let Some(&[x0, y0, x1, y1]) = self.corners.as_deref() {
            let (a, b) = (at(x0, y0), at(x1, y1));
            entry.corners =
                Some(vec![a[0].min(b[0]), a[1].min(b[1]), a[0].max(b[0]), a[1].max(b[1])]);
        }
        for point in entry.points.iter_mut().flatten() {
            [point.x, point.y, _] = at(point.x, point.y);
        }
        let height = |z: usize| {
            grid.array_slice(z).ok_or_else(|| ("a slice of the CT".into(), format!("slice {z}")))
        };
        entry.slice = Some(height(slice)?);
        if let Some(span) = self.span {
            let [a, b] = [height(span[0])?, height(span[1])?];
            entry.span = Some([a.min(b), a.max(b)]);
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, StorageOrder};

    use super::*;

    fn grid(codes: &str) -> Geometry {
        let mut affine = Affine::from_spacing_xyz_mm([0.7, 0.7, 2.0]);
        (affine.0[0][0], affine.0[1][1]) = (-0.7, -0.7);
        let mut grid = Geometry::new([10, 20, 30], affine);
        grid.stored.order = StorageOrder::from_codes(codes, &affine).unwrap();
        grid
    }

    fn entry(text: &str) -> Entry {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_3d_box_is_found_whatever_the_order_of_the_file() {
        let drawn = entry(r#"{"label": 1, "box": [3, 4, 5, 13, 8, 6]}"#);
        for codes in ["LPS", "RAS", "SPL", "AIR"] {
            let grid = grid(codes);
            // The box as somebody sees it in the file.
            let [a, b] = [[3.0, 4.0, 5.0], [13.0, 8.0, 6.0]].map(|at| grid.file_xyz(at));
            let mut in_file = drawn.clone();
            in_file.corners = Some([a, b].concat());
            let back = in_file.in_array_order(&grid).unwrap();
            assert_eq!(back.corners, drawn.corners, "{codes}");
        }
    }

    #[test]
    fn a_slice_is_turned_with_its_box_points_and_span() {
        // RAI: all three axes run the other way.
        let drawn = entry(r#"{"label": 1, "slice": 2, "span": [1, 4], "box": [3, 4, 13, 8]}"#);
        let turned = drawn.in_array_order(&grid("RAI")).unwrap();
        assert_eq!(turned.corners, Some(vec![16.0, 11.0, 26.0, 15.0]));
        assert_eq!((turned.slice, turned.span), (Some(7), Some([5, 8])));
        let drawn =
            entry(r#"{"label": 1, "slice": 2, "points": [{"x": 3, "y": 4, "inside": true}]}"#);
        let points = drawn.in_array_order(&grid("RAI")).unwrap().points.unwrap();
        assert_eq!((points[0].x, points[0].y), (26.0, 15.0));
    }

    #[test]
    fn a_slice_that_is_not_axial_is_refused_with_a_way_out() {
        let drawn = entry(r#"{"label": 1, "slice": 2, "box": [3, 4, 13, 8]}"#);
        let (expected, _) = drawn.in_array_order(&grid("SPL")).unwrap_err();
        assert!(expected.contains("a 3-D `box` (the CT is stored SPL"), "{expected}");
        let far = entry(r#"{"label": 1, "slice": 12, "box": [3, 4, 13, 8]}"#);
        assert!(far.in_array_order(&grid("RAI")).is_err());
    }
}
