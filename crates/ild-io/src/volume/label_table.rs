//! Names and colours of label ids: data, carried in every artefact.

use std::collections::BTreeMap;
use std::path::Path;

use ild_cli::Refusal;
use ndarray::{Array, Dimension};
use serde::{Deserialize, Serialize};

use crate::cohort::alike;
use crate::{CodedTerm, Error, Result};

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
    /// What it is, for programs that do not read names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodedTerm>,
}

/// Label id → [`Label`], without background; and the id of the voxels that nobody annotated, if
/// there is one (nnU-Net's label called `ignore`). That id is no class: it is not among the labels,
/// not trained, not prompted and not scored.
///
/// As JSON it stands among the labels under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u8, Label>", into = "BTreeMap<u8, Label>")]
pub struct LabelTable {
    /// What is trained, prompted and scored.
    pub classes: BTreeMap<u8, Label>,
    ignored: Option<u8>,
}

impl From<BTreeMap<u8, Label>> for LabelTable {
    fn from(mut labels: BTreeMap<u8, Label>) -> Self {
        let ignored =
            labels.iter().find(|(_, label)| label.name.trim().eq_ignore_ascii_case(IGNORE));
        let ignored = ignored.map(|(&id, _)| id);
        labels.retain(|id, _| Some(*id) != ignored);
        Self { classes: labels, ignored }
    }
}

impl From<LabelTable> for BTreeMap<u8, Label> {
    fn from(LabelTable { mut classes, ignored }: LabelTable) -> Self {
        let ignored = ignored
            .map(|id| (id, Label { name: IGNORE.to_owned(), color: IGNORE_COLOR, code: None }));
        classes.extend(ignored);
        classes
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
                .map(|(id, name, color)| (id, Label { name: name.to_owned(), color, code: None }))
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
        self.ignored
    }

    /// Whether voxels of this id are of a class: not background, and not left unannotated.
    #[must_use]
    pub fn is_class(&self, id: u8) -> bool {
        id != 0 && Some(id) != self.ignored
    }

    /// `labels` without the voxels that nobody annotated: they become background.
    #[must_use]
    pub fn only_classes<D: Dimension>(&self, labels: Array<u8, D>) -> Array<u8, D> {
        match self.ignored {
            Some(ignored) => labels.mapv_into(|id| if id == ignored { 0 } else { id }),
            None => labels,
        }
    }

    /// Name of `id`, or `label <id>` when the table does not know it.
    #[must_use]
    pub fn name(&self, id: u8) -> String {
        match self.classes.get(&id) {
            Some(label) => label.name.clone(),
            None if Some(id) == self.ignored => IGNORE.to_owned(),
            None => format!("label {id}"),
        }
    }

    /// The id that [`LabelTable::name`] calls `name`.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<u8> {
        let named = self.classes.iter().find(|(_, label)| label.name == name).map(|(&id, _)| id);
        named.or_else(|| {
            let id = name.strip_prefix("label ")?.parse().ok()?;
            (self.is_class(id) && !self.classes.contains_key(&id)).then_some(id)
        })
    }

    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty() && self.ignored.is_none()
    }

    /// Every id with its name, that of the voxels nobody annotated too.
    pub fn names(&self) -> impl Iterator<Item = (u8, &str)> {
        let classes = self.classes.iter().map(|(&id, label)| (id, label.name.as_str()));
        classes.chain(self.ignored.map(|id| (id, IGNORE)))
    }

    /// The id of a name, that of the voxels nobody annotated too; upper and lower case are one.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<u8> {
        let folded = name.trim().to_lowercase();
        self.names().find(|(_, own)| own.to_lowercase() == folded).map(|(id, _)| id)
    }

    /// Adds the names of `other` that are new and whose ids nobody has.
    pub fn extend(&mut self, other: &Self) {
        for (id, name) in other.names() {
            let taken = self.names().any(|(own, _)| own == id) || self.id_of(name).is_some();
            match other.classes.get(&id) {
                _ if taken => {}
                Some(label) => drop(self.classes.insert(id, label.clone())),
                None => self.ignored = Some(id),
            }
        }
    }

    /// `labels`, whose ids `own` names, under the ids that this table gives those names. An id
    /// without a name stays what it is.
    ///
    /// # Errors
    /// When an id occurs in `labels` whose name this table does not know, or two ids become one;
    /// `path` is that of the labels.
    pub fn renumbered<D: Dimension>(
        &self,
        labels: Array<u8, D>,
        own: &Self,
        path: &Path,
    ) -> Result<Array<u8, D>> {
        let mut present = [false; 256];
        labels.iter().for_each(|&id| present[usize::from(id)] = true);
        let mut to: [u8; 256] = std::array::from_fn(|id| id as u8);
        for (id, name) in own.names().filter(|(id, _)| present[usize::from(*id)]) {
            to[usize::from(id)] = self.id_of(name).ok_or_else(|| self.stranger(id, name, path))?;
        }
        let ids = || (1..=255u8).filter(|&id| present[usize::from(id)]);
        let twice =
            ids().find(|&a| ids().any(|b| b < a && to[usize::from(a)] == to[usize::from(b)]));
        if let Some(id) = twice {
            return Err(Refusal::of(path)
                .expected("label ids that stay apart when they are named as the cohort names them")
                .found(format!("two that would be {}", self.name(to[usize::from(id)])))
                .next("name every label of the mask")
                .into());
        }
        Ok(labels.mapv_into(|id| to[usize::from(id)]))
    }

    fn stranger(&self, id: u8, name: &str, path: &Path) -> Error {
        let names: Vec<String> = self.names().map(|(id, name)| format!("{id} {name}")).collect();
        let near = self.names().find(|(_, known)| alike(name, known));
        let near = near.map_or(String::new(), |(_, near)| format!("did you mean `{near}`? "));
        Refusal::of(path)
            .expected(format!("labels called as the label table calls them: {}", names.join(", ")))
            .found(format!("label {id} is called `{name}`"))
            .next(format!(
                "{near}call both alike, or give the table that has this name (labels.json beside \
                 the masks, or --labels)"
            ))
            .into()
    }

    /// Colour of `id`; ids outside the table get a grey.
    #[must_use]
    pub fn color(&self, id: u8) -> [u8; 3] {
        self.classes.get(&id).map_or([160, 160, 160], |label| label.color)
    }

    /// Name of `id` as part of a file name: no two ids of the table have the same, not even where
    /// upper and lower case are one.
    #[must_use]
    pub fn file_name(&self, id: u8) -> String {
        let own = for_files(&self.name(id));
        let alike = |other: &u8| for_files(&self.name(*other)).to_lowercase() == own.to_lowercase();
        let clash = own.is_empty() || self.classes.keys().any(|other| *other != id && alike(other));
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
        let label = |&(id, name): &(u8, &str)| {
            (id, Label { name: name.to_owned(), color: [0; 3], code: None })
        };
        LabelTable::new(rows.iter().map(label).collect())
    }

    #[test]
    fn ignore_is_no_class_and_survives_json() {
        let made = table(&[(1, "GGO"), (3, "ignore")]);
        assert_eq!(
            (made.classes.len(), made.ignored(), made.name(3)),
            (1, Some(3), "ignore".to_owned())
        );
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
    fn labels_get_the_ids_that_the_cohort_gives_their_names() {
        let cohort = table(&[(1, "ILD1"), (2, "Reticulation"), (5, "Honeycombing")]);
        let own = table(&[(1, "honeycombing"), (2, "Reticulation"), (3, "Emphysema")]);
        let voxels = |ids: &[u8]| ndarray::Array1::from(ids.to_vec());
        let moved = |ids: &[u8]| cohort.renumbered(voxels(ids), &own, Path::new("a.nii"));
        assert_eq!(moved(&[0, 1, 2, 1]).unwrap(), voxels(&[0, 5, 2, 5]));
        assert_eq!(moved(&[0, 9]).unwrap(), voxels(&[0, 9]), "nobody named it");
        let unknown = moved(&[3]).unwrap_err().to_string();
        assert!(unknown.contains("label 3 is called `Emphysema`"), "{unknown}");
        let twice = moved(&[1, 5]).unwrap_err().to_string();
        assert!(twice.contains("two that would be Honeycombing"), "{twice}");
    }

    #[test]
    fn a_table_takes_only_names_and_ids_that_are_free() {
        let mut made = table(&[(1, "GGO")]);
        made.extend(&table(&[(1, "Nodule"), (2, "ggo"), (3, "Emphysema"), (4, "ignore")]));
        assert_eq!(made, table(&[(1, "GGO"), (3, "Emphysema"), (4, "ignore")]));
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
