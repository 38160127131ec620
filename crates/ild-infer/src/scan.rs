//! One case as the journey sees it: a stack of pictures, and where each of them lies in the CT.

use std::path::Path;

use ild_io::{
    Affine, Case, Error as FileError, Geometry, Images, LabelTable, SliceStack, Volume,
    read_label_map, read_npz, read_volume,
};
use ild_preprocess::{Windowing, no_hounsfield_units, value_range, window_slices};
use ndarray::{Array3, Axis, s};

use crate::Result;

/// Where the pictures of a case come from.
#[derive(Clone, Debug)]
pub enum Pictures {
    /// Windowed already, `[n, y, x]` or `[n, y, x, 3]`.
    Stack(Images),
    /// Slices of this CT, each windowed when it is looked at: all at once would take as much memory
    /// as the CT.
    Ct(Box<Volume>),
}

/// A case ready to be segmented.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Name without suffixes.
    pub id: String,
    /// What the model looks at.
    pub pictures: Pictures,
    /// Picture `i` is slice `z_index[i]` of the grid.
    pub z_index: Vec<usize>,
    /// Grid of the output: the CT's own, or the stack's where the CT's is not known.
    pub grid: Geometry,
    /// Known labels of the pictures, `[n, y, x]`.
    pub truth: Option<Array3<u8>>,
    /// Names of the labels.
    pub label_table: LabelTable,
    /// How HU became grey; `None` when the file does not say.
    pub windowing: Option<Windowing>,
    /// What the user should know about this case.
    pub notes: Vec<String>,
}

impl Scan {
    /// Reads a preprocessed NPZ. `table` replaces the file's label table.
    ///
    /// # Errors
    /// What [`read_npz`] refuses, and a stack whose slices do not fit the shape it names.
    pub fn from_npz(id: &str, path: &Path, table: Option<&LabelTable>) -> Result<Self> {
        let stack = read_npz(path)?;
        let mut notes = Vec::new();
        let (grid, z_index) = place(&stack, path, &mut notes)?;
        let label_table = table.cloned().or(stack.label_table).unwrap_or_else(|| {
            notes.push("the NPZ carries no label table: the default names are used (--labels gives others)".to_owned());
            LabelTable::default()
        });
        let colour = matches!(stack.images, Images::Rgb(_)).then_some(Windowing::RGB);
        let windowing = stack.window.map(Windowing::Grey).or(colour);
        Ok(Self {
            id: id.to_owned(),
            pictures: Pictures::Stack(stack.images),
            z_index,
            grid,
            truth: stack.labels,
            label_table,
            windowing,
            notes,
        })
    }

    /// Reads a CT and windows all its slices; `truth` is a label map on the same grid.
    ///
    /// # Errors
    /// What the readers refuse, and labels on another grid.
    pub fn from_nifti(
        id: &str,
        path: &Path,
        truth: Option<&Path>,
        windowing: Windowing,
        table: &LabelTable,
    ) -> Result<Self> {
        let ct = read_volume(path)?;
        let label = truth.map(read_label_map).transpose()?;
        let case = Case::new(id, ct, label, truth.unwrap_or(path))?;
        let notes =
            value_range(&case.ct.voxels).and_then(no_hounsfield_units).into_iter().collect();
        Ok(Self {
            id: id.to_owned(),
            z_index: (0..case.ct.geometry.shape_zyx[0]).collect(),
            grid: case.ct.geometry.clone(),
            truth: case.label.map(|label| label.labels),
            label_table: table.clone(),
            windowing: Some(windowing),
            notes,
            pictures: Pictures::Ct(Box::new(case.ct)),
        })
    }

    /// The CT itself, when the input was one.
    #[must_use]
    pub fn ct(&self) -> Option<&Volume> {
        match &self.pictures {
            Pictures::Stack(_) => None,
            Pictures::Ct(ct) => Some(ct),
        }
    }

    /// Number of pictures, their rows and columns.
    #[must_use]
    pub fn stack_shape(&self) -> [usize; 3] {
        let [_, height, width] = self.grid.shape_zyx;
        [self.z_index.len(), height, width]
    }

    /// First and last picture that lie within the CT's slices `z0..=z1`; `None` when there is none.
    #[must_use]
    pub fn stack_span(&self, [z0, z1]: [usize; 2]) -> Option<[usize; 2]> {
        let within = |z: &usize| (z0..=z1).contains(z);
        Some([self.z_index.iter().position(within)?, self.z_index.iter().rposition(within)?])
    }

    /// An array on the stack, `[n, y, x]`, at its place on the output grid; zero elsewhere. A stack
    /// of all slices is the grid's already.
    #[must_use]
    pub fn on_grid<T: Copy + Default>(&self, stack: Array3<T>) -> Array3<T> {
        if self.z_index.len() == self.grid.shape_zyx[0] {
            return stack;
        }
        let mut out = Array3::from_elem(self.grid.shape_zyx, T::default());
        for (slice, &z) in stack.outer_iter().zip(&self.z_index) {
            out.index_axis_mut(Axis(0), z).assign(&slice);
        }
        out
    }

    /// Picture `i` as `[y, x, 3]`; grey is repeated three times, as the model takes it.
    #[must_use]
    pub fn rgb(&self, i: usize) -> Array3<u8> {
        match &self.pictures {
            Pictures::Stack(images) => picture(images, i),
            Pictures::Ct(ct) => picture(
                &window_slices(ct, &[self.z_index[i]], &self.windowing.unwrap_or_default()),
                0,
            ),
        }
    }
}

/// Picture `i` of `images` as `[y, x, 3]`.
fn picture(images: &Images, i: usize) -> Array3<u8> {
    match images {
        Images::Grey(a) => {
            let grey = a.index_axis(Axis(0), i);
            Array3::from_shape_fn((grey.dim().0, grey.dim().1, 3), |(y, x, _)| grey[[y, x]])
        }
        Images::Rgb(a) => a.slice(s![i, .., .., ..]).to_owned(),
    }
}

/// Grid and slice indices of a stack.
fn place(
    stack: &SliceStack,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<(Geometry, Vec<usize>)> {
    let [n, height, width] = stack.images.shape_zyx();
    let (Some(shape), Some(affine), Some(z_index)) =
        (stack.shape_zyx, stack.affine, &stack.z_index)
    else {
        notes.push(
            "the NPZ does not say where its slices lie in the CT (an older file): the output has the stack's own grid, not the CT's"
                .to_owned(),
        );
        let mut grid =
            Geometry::new([n, height, width], Affine::from_spacing_xyz_mm(stack.spacing_xyz_mm));
        grid.spacing_xyz_mm = stack.spacing_xyz_mm;
        return Ok((grid, (0..n).collect()));
    };
    let mut grid = Geometry::new(shape, affine);
    grid.spacing_xyz_mm = stack.spacing_xyz_mm;
    let indices: Option<Vec<usize>> =
        z_index.iter().map(|&z| usize::try_from(z).ok().filter(|&z| z < shape[0])).collect();
    let ascending = |z: &[usize]| z.windows(2).all(|pair| pair[0] < pair[1]);
    match indices.filter(|z| z.len() == n && ascending(z) && [height, width] == shape[1..]) {
        Some(z_index) => Ok((grid, z_index)),
        None => Err(FileError::rejected(
            path,
            format!("{n} slices of {height} × {width} at ascending places in a CT of {shape:?} (z, y, x)"),
            format!("z_index {z_index:?}"),
            "make the NPZ again with ild-preprocess",
        )
        .into()),
    }
}
