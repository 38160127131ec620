//! One case as the journey sees it: a stack of pictures, and where each of them lies in the CT.

use std::path::Path;

use ild_io::cohort::{LabelNames, read_mask};
use ild_io::{
    Case, DicomOptions, Geometry, Images, LabelTable, Placement, Volume, hounsfield_doubt,
    read_dicom_ct, read_npz, read_volume,
};
use ild_model::SliceSize;
use ild_preprocess::{Windowing, stretch_slices, value_range, window_slices};
use ndarray::{Array3, Axis, s};

use crate::coordinates::{CtSlice, Span, StackIndex};
use crate::propagate::GapRule;
use crate::{Preset, Result};

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
    /// Which slices of which grid the pictures are; the output has that grid.
    pub placement: Placement,
    /// Known labels of the pictures, `[n, y, x]`.
    pub truth: Option<Array3<u8>>,
    /// Names of the labels.
    pub label_table: LabelTable,
    /// How HU became grey; `None` when the file does not say.
    pub windowing: Option<Windowing>,
    /// Whose way of preparing slices is followed; `None`: this project's own.
    pub preset: Option<Preset>,
    /// Lowest and highest HU of the CT, where its grey levels are spread between them.
    pub stretched_hu: Option<[f64; 2]>,
    /// What the user should know about this case.
    pub notes: Vec<String>,
}

impl Scan {
    /// Reads a preprocessed NPZ. `table` replaces the file's label table: its labels get the ids that
    /// `table` gives their names.
    ///
    /// # Errors
    /// What [`read_npz`] refuses, and a label whose name `table` does not know.
    pub fn from_npz(id: &str, path: &Path, table: Option<&LabelTable>) -> Result<Self> {
        let stack = read_npz(path)?;
        let mut notes: Vec<String> =
            stack.placement.note().map(str::to_owned).into_iter().collect();
        let own = LabelNames { table: stack.label_table, from: Some(path.to_owned()) };
        let label_table = table.or(own.table.as_ref()).cloned().unwrap_or_else(|| {
            notes.push("the NPZ carries no label table: the default names are used (--labels gives others)".to_owned());
            LabelTable::default()
        });
        let truth = stack.labels.map(|truth| own.under(&label_table, truth, path)).transpose()?;
        let colour = matches!(stack.images, Images::Rgb(_)).then_some(Windowing::RGB);
        let windowing = stack.window.map(Windowing::Grey).or(colour);
        Ok(Self {
            id: id.to_owned(),
            pictures: Pictures::Stack(stack.images),
            placement: stack.placement,
            truth: truth.map(|truth| label_table.only_classes(truth)),
            label_table,
            windowing,
            preset: None,
            stretched_hu: None,
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
        Self::from_ct(id, read_volume(path)?, path, truth, windowing, table)
    }

    /// Reads a CT from a DICOM folder or archive, with [`read_dicom_ct`]'s `options`. `truth` is a label
    /// map on the same grid.
    ///
    /// # Errors
    /// What the readers refuse, and labels on another grid.
    pub fn from_dicom(
        id: &str,
        path: &Path,
        options: DicomOptions,
        truth: Option<&Path>,
        windowing: Windowing,
        table: &LabelTable,
    ) -> Result<Self> {
        let (ct, facts) = read_dicom_ct(path, options)?;
        let mut scan = Self::from_ct(id, ct, path, truth, windowing, table)?;
        scan.notes.extend(facts.notes);
        Ok(scan)
    }

    fn from_ct(
        id: &str,
        ct: Volume,
        path: &Path,
        truth: Option<&Path>,
        windowing: Windowing,
        table: &LabelTable,
    ) -> Result<Self> {
        let label = truth.map(|path| read_mask(path, table)).transpose()?;
        let case = Case::new(id, ct, label, truth.unwrap_or(path))?;
        let truth = case.label.map(|label| table.only_classes(label.labels));
        Ok(Self { truth, ..Self::of_ct(id, case.ct, windowing, table) })
    }

    /// All slices of `ct`, seen through `windowing`.
    #[must_use]
    pub fn of_ct(id: &str, ct: Volume, windowing: Windowing, table: &LabelTable) -> Self {
        // What is odd about its header travels with its grid.
        let notes = hounsfield_doubt(&ct.voxels).into_iter().collect();
        Self {
            id: id.to_owned(),
            placement: Placement::whole(ct.geometry.clone()),
            truth: None,
            label_table: table.clone(),
            windowing: Some(windowing),
            preset: None,
            stretched_hu: None,
            notes,
            pictures: Pictures::Ct(Box::new(ct)),
        }
    }

    /// The same, looked at as `preset` has it. Pictures that are made already are only resized as it
    /// has it.
    #[must_use]
    pub fn prepared_for(mut self, preset: Option<Preset>) -> Self {
        self.preset = preset;
        self.stretched_hu = preset.and(self.ct()).and_then(|ct| value_range(&ct.voxels));
        self
    }

    /// The CT itself, when the input was one.
    #[must_use]
    pub fn ct(&self) -> Option<&Volume> {
        match &self.pictures {
            Pictures::Stack(_) => None,
            Pictures::Ct(ct) => Some(ct),
        }
    }

    /// Grid of the output: the CT's own, or the stack's where the CT's is not known.
    #[must_use]
    pub fn grid(&self) -> &Geometry {
        self.placement.geometry()
    }

    /// Picture `i` is slice `z_index()[i]` of the grid.
    #[must_use]
    pub fn z_index(&self) -> &[usize] {
        self.placement.z_index()
    }

    /// Number of pictures, their rows and columns.
    #[must_use]
    pub fn stack_shape(&self) -> [usize; 3] {
        self.placement.stack_zyx()
    }

    /// Rows and columns of a picture.
    #[must_use]
    pub fn slice_size(&self) -> SliceSize {
        let [_, height, width] = self.grid().shape_zyx;
        SliceSize { height, width }
    }

    /// Where a picture lies in the CT.
    #[must_use]
    pub fn ct_slice(&self, picture: StackIndex) -> CtSlice {
        CtSlice(self.z_index()[picture.0])
    }

    /// The picture of a slice of the CT; `None` when the stack does not hold it.
    #[must_use]
    pub fn position(&self, slice: CtSlice) -> Option<StackIndex> {
        self.z_index().iter().position(|&z| z == slice.0).map(StackIndex)
    }

    /// First and last picture that lie within these slices of the CT; `None` when there is none.
    #[must_use]
    pub fn stack_span(&self, slices: Span<CtSlice>) -> Option<Span<StackIndex>> {
        let within = |z: &usize| slices.holds(CtSlice(*z));
        let first = self.z_index().iter().position(within)?;
        let last = self.z_index().iter().rposition(within)?;
        Some(Span { first: StackIndex(first), last: StackIndex(last) })
    }

    /// For each pair of successive pictures: whether they are too far apart to be neighbours.
    #[must_use]
    pub fn breaks(&self, gap: GapRule) -> Vec<bool> {
        gap.restarts(self.z_index(), self.grid().spacing_xyz_mm[2])
    }

    /// Picture `i` as `[y, x, 3]`; grey is repeated three times, as the model takes it.
    #[must_use]
    pub fn rgb(&self, i: usize) -> Array3<u8> {
        match &self.pictures {
            Pictures::Stack(images) => picture(images, i),
            Pictures::Ct(ct) => {
                let (z, windowing) = ([self.z_index()[i]], self.windowing.unwrap_or_default());
                let images = match self.stretched_hu {
                    Some(range) => stretch_slices(ct, &z, &windowing, range),
                    None => window_slices(ct, &z, &windowing),
                };
                picture(&images, 0)
            }
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
