//! Names and colours of label ids: data, carried in every artefact.

use std::collections::BTreeMap;

use ndarray::{Array, Dimension};
use serde::{Deserialize, Serialize};

/// nnU-Net's name for voxels that nobody annotated.
const IGNORE: &str = "ignore";
/// Their colour in pictures.
const IGNORE_COLOR: [u8; 3] = [90, 90, 90];

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Name as it appears in tables and plots.
    pub name: String,
    /// Display colour, sRGB.
    pub color: [u8; 3],
}

/// Label id → [`Label`], without background; and the id of the voxels that nobody annotated, if
/// there is one (nnU-Net's label called `ignore`). That id is no class: it is not among the labels,
/// not trained, not prompted and not scored.
///
/// As JSON it stands among the labels under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u8, Label>", into = "BTreeMap<u8, Label>")]
pub struct LabelTable(pub BTreeMap<u8, Label>, Option<u8>);

impl From<BTreeMap<u8, Label>> for LabelTable {
    fn from(mut labels: BTreeMap<u8, Label>) -> Self {
        let ignored =
            labels.iter().find(|(_, label)| label.name.trim().eq_ignore_ascii_case(IGNORE));
        let ignored = ignored.map(|(&id, _)| id);
        labels.retain(|id, _| Some(*id) != ignored);
        Self(labels, ignored)
    }
}

impl From<LabelTable> for BTreeMap<u8, Label> {
    fn from(LabelTable(mut labels, ignored): LabelTable) -> Self {
        labels
            .extend(ignored.map(|id| (id, Label { name: IGNORE.to_owned(), color: IGNORE_COLOR })));
        labels
    }
}

impl Default for LabelTable {
    /// The five classes of the ILD cohort.
    fn default() -> Self {
        let rows = [
            (1, "ILD1", [241, 214, 145]),
            (2, "Reticulation", [0, 151, 206]),
            (3, "GGO-reticulation", [128, 174, 128]),
            (4, "ILD4", [216, 101, 79]),
            (5, "Honeycombing", [183, 156, 220]),
        ];
        Self::new(
            rows.into_iter()
                .map(|(id, name, color)| (id, Label { name: name.to_owned(), color }))
                .collect(),
        )
    }
}

impl LabelTable {
    /// A table of these labels; one called `ignore` is no class.
    #[must_use]
    pub fn new(labels: BTreeMap<u8, Label>) -> Self {
        labels.into()
    }

    /// The id of voxels that nobody annotated.
    #[must_use]
    pub fn ignored(&self) -> Option<u8> {
        self.1
    }

    /// Whether voxels of this id are of a class: not background, and not left unannotated.
    #[must_use]
    pub fn is_class(&self, id: u8) -> bool {
        id != 0 && Some(id) != self.1
    }

    /// `labels` without the voxels that nobody annotated: they become background.
    #[must_use]
    pub fn only_classes<D: Dimension>(&self, labels: Array<u8, D>) -> Array<u8, D> {
        match self.1 {
            Some(ignored) => labels.mapv_into(|id| if id == ignored { 0 } else { id }),
            None => labels,
        }
    }

    /// Name of `id`, or `label <id>` when the table does not know it.
    #[must_use]
    pub fn name(&self, id: u8) -> String {
        match self.0.get(&id) {
            Some(label) => label.name.clone(),
            None if Some(id) == self.1 => IGNORE.to_owned(),
            None => format!("label {id}"),
        }
    }

    /// The id that [`LabelTable::name`] calls `name`.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<u8> {
        let named = self.0.iter().find(|(_, label)| label.name == name).map(|(&id, _)| id);
        named.or_else(|| {
            let id = name.strip_prefix("label ")?.parse().ok()?;
            (self.is_class(id) && !self.0.contains_key(&id)).then_some(id)
        })
    }

    /// Colour of `id`; ids outside the table get a grey.
    #[must_use]
    pub fn color(&self, id: u8) -> [u8; 3] {
        self.0.get(&id).map_or([160, 160, 160], |label| label.color)
    }

    /// Name of `id` as part of a file name: no two ids of the table have the same, not even where
    /// upper and lower case are one.
    #[must_use]
    pub fn file_name(&self, id: u8) -> String {
        let own = for_files(&self.name(id));
        let alike = |other: &u8| for_files(&self.name(*other)).to_lowercase() == own.to_lowercase();
        let clash = own.is_empty() || self.0.keys().any(|other| *other != id && alike(other));
        // No name holds the sign.
        if clash { format!("{own}~{id}") } else { own }
    }
}

/// Letters, digits and a few signs; anything else becomes `_`.
fn for_files(name: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    name.chars().map(|c| if keep(c) { c } else { '_' }).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(u8, &str)]) -> LabelTable {
        let label = |&(id, name): &(u8, &str)| (id, Label { name: name.to_owned(), color: [0; 3] });
        LabelTable::new(rows.iter().map(label).collect())
    }

    #[test]
    fn ignore_is_no_class_and_survives_json() {
        let made = table(&[(1, "GGO"), (3, "ignore")]);
        assert_eq!((made.0.len(), made.ignored(), made.name(3)), (1, Some(3), "ignore".to_owned()));
        assert!(made.is_class(1) && !made.is_class(3) && !made.is_class(0) && made.is_class(2));
        assert_eq!(made.only_classes(ndarray::arr1(&[0u8, 1, 3, 7])), ndarray::arr1(&[0, 1, 0, 7]));
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<LabelTable>(&text).unwrap(), made);
    }

    #[test]
    fn names_that_differ_only_in_signs_get_files_of_their_own() {
        let made = table(&[(1, "a/b"), (2, "a_b"), (3, "GGO"), (4, "ggo"), (5, "x y")]);
        let names: Vec<String> = (1..=5).map(|id| made.file_name(id)).collect();
        assert_eq!(names, ["a_b~1", "a_b~2", "GGO~3", "ggo~4", "x_y"]);
    }

    #[test]
    fn an_id_without_a_name_is_found_by_its_number() {
        let made = table(&[(1, "GGO"), (3, "ignore")]);
        assert_eq!(
            (made.id("GGO"), made.id("label 7"), made.id("label 1")),
            (Some(1), Some(7), None)
        );
        assert_eq!((made.id("ggo"), made.id("label 3")), (None, None));
    }
}
