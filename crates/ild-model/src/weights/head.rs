//! The lesion head's tensors in a checkpoint, and what its channels mean.

use std::path::PathBuf;

use serde_json::json;

use super::{Weights, init};
use crate::config::Sam2Config;
use crate::error::{Error, Result};
use crate::lesion_head;

impl Weights {
    /// Label ids of the lesion head's class channels; `None` for weights without a head.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are tensors of a head and no such list, or the list is none.
    pub fn lesion_classes(&self) -> Result<Option<Vec<u8>>> {
        let has_tensors = self.names().any(|name| name.starts_with(lesion_head::PREFIX));
        let refuse = |found: String| {
            let path = self.origin.clone().unwrap_or_else(|| PathBuf::from("weights"));
            let expected = format!(
                "label ids of the lesion head as a JSON list under the metadata key `{}`",
                lesion_head::CLASSES_KEY
            );
            let next = "take the file that ild-train wrote, or `ild-model convert --sam2-only`";
            Err(Error::refused(path, expected, found, next))
        };
        match self.metadata.get(lesion_head::CLASSES_KEY) {
            None if has_tensors => refuse("no such key".into()),
            None => Ok(None),
            Some(text) => match serde_json::from_str::<Vec<u8>>(text) {
                Ok(classes) if !classes.is_empty() => Ok(Some(classes)),
                _ => refuse(format!("`{text}`")),
            },
        }
    }

    /// Adds a lesion head of these label ids with seeded random weights, in place of one that is
    /// there; all other tensors stay.
    ///
    /// # Errors
    /// When no model fits the description.
    pub fn add_lesion_head(
        &mut self,
        config: &Sam2Config,
        classes: &[u8],
        seed: u64,
    ) -> Result<()> {
        self.remove_lesion_head();
        self.tensors.extend(init::random_head(config, classes, seed)?);
        let ids = json!(classes).to_string();
        self.metadata.insert(lesion_head::CLASSES_KEY.to_owned(), ids);
        Ok(())
    }

    /// Takes the lesion head out: what is left are SAM 2's own tensors, which Python's SAM 2 loads
    /// with `strict=True`.
    pub fn remove_lesion_head(&mut self) {
        self.tensors.retain(|name, _| !name.starts_with(lesion_head::PREFIX));
        self.metadata.remove(lesion_head::CLASSES_KEY);
    }
}
