//! Names and colours of label ids: data, carried in every artefact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Name as it appears in tables and plots.
    pub name: String,
    /// Display colour, sRGB.
    pub color: [u8; 3],
}

/// Label id → [`Label`], without background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelTable(pub BTreeMap<u8, Label>);

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
        Self(
            rows.into_iter()
                .map(|(id, name, color)| (id, Label { name: name.to_owned(), color }))
                .collect(),
        )
    }
}

impl LabelTable {
    /// Name of `id`, or `label <id>` when the table does not know it.
    #[must_use]
    pub fn name(&self, id: u8) -> String {
        self.0.get(&id).map_or_else(|| format!("label {id}"), |label| label.name.clone())
    }

    /// Colour of `id`; ids outside the table get a grey.
    #[must_use]
    pub fn color(&self, id: u8) -> [u8; 3] {
        self.0.get(&id).map_or([160, 160, 160], |label| label.color)
    }
}
