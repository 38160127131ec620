//! Ground truth of one case: which slices were annotated, where they lie, and what is on them.

use std::path::Path;

use ild_io::cohort::{LabelNames, read_mask};
use ild_io::{Images, LabelTable, Placement, read_npz};
use ndarray::{Array3, ArrayView2, Axis};

use crate::{Annotated, Error, Result};

/// The annotated slices of a case.
#[derive(Clone, Debug)]
pub struct AnnotatedCase {
    /// Label ids of the annotated slices, `[n, y, x]`.
    pub labels: Array3<u8>,
    /// Which slices of which grid they are.
    pub placement: Placement,
    /// 8-bit images of the annotated slices, when the file holds them.
    pub images: Option<Images>,
}

impl AnnotatedCase {
    /// Reads ground truth under the ids of `table`: an NPZ (its `gts` are the
    /// annotated slices) or a label map. A slice of which only the ignored label is known was not
    /// annotated.
    ///
    /// # Errors
    /// When the file is refused or cannot be read, for an NPZ without `gts`, and when it names a
    /// label that `table` does not know.
    pub fn read(path: &Path, annotated: Annotated, table: &LabelTable) -> Result<Self> {
        let is_npz = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
        if is_npz { Self::from_npz(path, table) } else { Self::of_map(path, annotated, table) }
    }

    fn from_npz(path: &Path, table: &LabelTable) -> Result<Self> {
        let stack = read_npz(path)?;
        let labels = stack.labels.ok_or_else(|| {
            Error::refused(
                path,
                "an NPZ with `gts`",
                "none",
                "ground truth is needed to evaluate; `quantify` works without",
            )
        })?;
        Ok(Self {
            labels: LabelNames::own(path)?.under(table, labels, path)?,
            placement: stack.placement,
            images: Some(stack.images),
        })
    }

    fn of_map(path: &Path, annotated: Annotated, table: &LabelTable) -> Result<Self> {
        let map = read_mask(path, table)?;
        let is_class = |id: &u8| table.is_class(*id);
        let labelled =
            |slice: ArrayView2<u8>| annotated == Annotated::All || slice.iter().any(is_class);
        let z_index: Vec<usize> = map
            .labels
            .outer_iter()
            .enumerate()
            .filter(|(_, s)| labelled(*s))
            .map(|(z, _)| z)
            .collect();
        let labels = if z_index.len() == map.labels.dim().0 {
            map.labels
        } else {
            map.labels.select(Axis(0), &z_index)
        };
        let placement = Placement::new(map.geometry, z_index)
            .map_err(|wrong| Error::refused(path, wrong.expected, wrong.found, ""))?;
        Ok(Self { labels, placement, images: None })
    }
}
