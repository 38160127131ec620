//! Where a stack of slices lies in its CT.

use ndarray::{Array3, ArrayView3, Axis};

use crate::{Affine, Geometry};

/// The grid of a CT and the slices of it that a stack holds. It cannot be built wrong: slices are
/// ascending and within the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    geometry: Geometry,
    z_index: Vec<usize>,
    knows_slices: bool,
    knows_place: bool,
}

/// Why slices and a grid do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Misplaced {
    /// What would have been accepted.
    pub expected: String,
    /// What was given.
    pub found: String,
}

impl Placement {
    /// All slices of a volume.
    #[must_use]
    pub fn whole(geometry: Geometry) -> Self {
        let z_index = (0..geometry.shape_zyx[0]).collect();
        Self { geometry, z_index, knows_slices: true, knows_place: true }
    }

    /// The slices `z_index` of the CT whose grid is `geometry`.
    ///
    /// # Errors
    /// When slice numbers do not ascend, or lie outside the grid.
    pub fn new(geometry: Geometry, z_index: Vec<usize>) -> Result<Self, Misplaced> {
        let depth = geometry.shape_zyx[0];
        let rising = z_index.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || z_index.last().is_some_and(|&last| last >= depth) {
            return Err(Misplaced {
                expected: format!("ascending slice numbers below {depth}"),
                found: format!("{z_index:?}"),
            });
        }
        Ok(Self { geometry, z_index, knows_slices: true, knows_place: true })
    }

    /// Slices of which nobody says where in the CT they are: stacked from 0, at origin 0.
    #[must_use]
    pub fn unknown(stack_zyx: [usize; 3], spacing_xyz_mm: [f64; 3]) -> Self {
        let affine = Affine::from_spacing_xyz_mm(spacing_xyz_mm);
        let geometry = Geometry { spacing_xyz_mm, ..Geometry::new(stack_zyx, affine) };
        Self { knows_slices: false, knows_place: false, ..Self::whole(geometry) }
    }

    /// The same slices where only their numbers are known, not where the CT lies in the patient.
    #[must_use]
    pub fn without_place(self) -> Self {
        Self { knows_place: false, ..self }
    }

    /// Grid of the CT.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Slice `i` of the stack is slice `z_index()[i]` of the CT; ascending.
    #[must_use]
    pub fn z_index(&self) -> &[usize] {
        &self.z_index
    }

    /// Whether the slices' numbers in the CT are known, rather than assumed to be 0, 1, 2, …
    #[must_use]
    pub fn knows_slices(&self) -> bool {
        self.knows_slices
    }

    /// Whether it is known where the CT lies in the patient.
    #[must_use]
    pub fn knows_place(&self) -> bool {
        self.knows_place
    }

    /// Number of slices, rows and columns of the stack.
    #[must_use]
    pub fn stack_zyx(&self) -> [usize; 3] {
        let [_, height, width] = self.geometry.shape_zyx;
        [self.z_index.len(), height, width]
    }

    /// Whether the stack is the whole CT.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.z_index.len() == self.geometry.shape_zyx[0]
    }

    fn is_axial(&self) -> bool {
        self.geometry.affine.axis_codes().ends_with(['S', 'I'])
    }

    /// Places where neighbours in the stack are none in the CT.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.z_index.windows(2).filter(|pair| pair[1] > pair[0] + 1).count()
    }

    /// A stack, `[n, y, x]`, at its place in the CT; zero elsewhere. All slices are moved, not
    /// copied.
    #[must_use]
    pub fn in_ct<T: Copy + Default>(&self, stack: Array3<T>) -> Array3<T> {
        if self.is_whole() {
            return stack;
        }
        let mut out = Array3::from_elem(self.geometry.shape_zyx, T::default());
        for (slice, &z) in stack.outer_iter().zip(&self.z_index) {
            out.index_axis_mut(Axis(0), z).assign(&slice);
        }
        out
    }

    /// The stack's slices of an array of the CT, `[z, y, x]`.
    #[must_use]
    pub fn of_ct<T: Copy>(&self, ct: ArrayView3<T>) -> Array3<T> {
        ct.select(Axis(0), &self.z_index)
    }

    /// Grid of the slices as one block: right where they are neighbours, closed up over gaps.
    /// `None` without slices.
    #[must_use]
    pub fn block(&self) -> Option<Geometry> {
        let first = *self.z_index.first()? as f64;
        let mut affine = self.geometry.affine;
        for row in 0..3 {
            affine.0[row][3] += first * affine.0[row][2];
        }
        Some(Geometry {
            spacing_xyz_mm: self.geometry.spacing_xyz_mm,
            ..Geometry::new(self.stack_zyx(), affine)
        })
    }

    /// What is not known or not as it should be, in a sentence.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        match (self.knows_slices, self.knows_place) {
            (true, true) if !self.is_axial() => Some(
                "its slices are not axial: cut along the file's third axis, by --parity or by an earlier version; make it again with `ild-preprocess nii-to-npz`",
            ),
            (true, true) => None,
            (true, false) => Some(
                "the file does not say where its CT lies in the patient: its slices are put at their heights over origin 0",
            ),
            (false, _) => Some(
                "the file does not say where its slices lie in the CT (an older one): the output has the stack's own grid at origin 0, not the CT's",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Geometry {
        Geometry::new([5, 2, 3], Affine::from_spacing_xyz_mm([0.5, 0.5, 2.0]))
    }

    #[test]
    fn slices_that_do_not_ascend_or_lie_outside_are_no_placement() {
        for wrong in [vec![1, 1], vec![2, 1], vec![3, 5]] {
            assert!(Placement::new(grid(), wrong).is_err());
        }
        assert!(Placement::new(grid(), vec![]).is_ok());
    }

    #[test]
    fn slices_that_are_not_axial_are_said() {
        let mut sagittal = grid();
        sagittal.affine.0.swap(0, 2);
        assert_eq!(Placement::whole(grid()).note(), None);
        assert!(Placement::whole(sagittal).note().unwrap().contains("not axial"));
    }

    #[test]
    fn a_stack_goes_to_its_place_and_comes_back() {
        let placement = Placement::new(grid(), vec![1, 4]).unwrap();
        let stack = Array3::from_shape_fn((2, 2, 3), |(z, y, x)| (1 + 6 * z + 3 * y + x) as u8);
        let ct = placement.in_ct(stack.clone());
        assert_eq!(ct.dim(), (5, 2, 3));
        assert_eq!((ct[[4, 0, 0]], ct[[2, 0, 0]]), (7, 0));
        assert_eq!(placement.of_ct(ct.view()), stack);
        assert_eq!((placement.gaps(), placement.is_whole()), (1, false));
        let block = placement.block().unwrap();
        assert_eq!((block.shape_zyx, block.affine.0[2][3]), ([2, 2, 3], 2.0));
    }
}
