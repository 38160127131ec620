//! All masks that are worked on, by case: in memory as long as the server runs, on the disk soon
//! after each change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ild_infer::Scan;
use ild_io::cohort::{bare_case, read_mask};
use ild_io::{Geometry, LabelMap, LabelTable, write_label_map_described};
use serde::{Deserialize, Serialize};

use super::{History, Record};
use crate::error::Answer;
use crate::studies::safe_name;

/// A mask that somebody works on.
pub struct Draft {
    /// The mask.
    pub history: History,
    /// The grid of the CT.
    geometry: Geometry,
    /// The revision that was accepted, or begun with; none where an unfinished mask was found.
    pub accepted: Option<u64>,
    /// The revision on the disk.
    saved: u64,
}

/// What stands beside a mask on the disk.
#[derive(Serialize, Deserialize)]
struct Beside {
    made: Record,
}

/// Masks by case.
pub struct Drafts {
    folder: PathBuf,
    open: Mutex<HashMap<String, Arc<Mutex<Draft>>>>,
}

impl Draft {
    /// A mask that is nowhere yet.
    #[must_use]
    pub fn new(history: History, geometry: &Geometry) -> Self {
        let saved = history.revision();
        Self { history, geometry: geometry.clone(), accepted: Some(saved), saved }
    }

    /// The mask on the CT's grid.
    #[must_use]
    pub fn map(&self) -> LabelMap {
        LabelMap { labels: self.history.labels(), geometry: self.geometry.clone() }
    }

    /// Whether it was changed since it was accepted, or since it was begun.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        Some(self.history.revision()) != self.accepted
    }
}

/// The draft, whatever happened to somebody who held it.
pub fn held(draft: &Mutex<Draft>) -> MutexGuard<'_, Draft> {
    draft.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drafts {
    /// Those below `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Mutex<Draft>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The draft of a case, where it is in memory.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Mutex<Draft>>> {
        self.all().get(id).cloned()
    }

    /// The draft of a case: the one in memory, else the one on the disk, else the mask that was
    /// accepted (`accepted`), else an empty one.
    ///
    /// # Errors
    /// When a file is there and refused: an unfinished mask is not begun anew in silence.
    pub fn open(
        &self,
        id: &str,
        scan: &Scan,
        table: &LabelTable,
        accepted: &Path,
    ) -> Answer<Arc<Mutex<Draft>>> {
        if let Some(draft) = self.get(id) {
            return Ok(draft);
        }
        let left = self.path(id);
        let is_left = left.is_file();
        let history = if is_left {
            read(&left, scan, table)?
        } else if accepted.is_file() {
            read(accepted, scan, table)?
        } else {
            History::new(scan.grid().shape_zyx)
        };
        let mut draft = Draft::new(history, scan.grid());
        if is_left {
            draft.accepted = None;
        }
        draft.saved = draft.history.revision();
        let mut all = self.all();
        let draft = all.entry(id.to_owned()).or_insert_with(|| Arc::new(Mutex::new(draft)));
        Ok(Arc::clone(draft))
    }

    /// A mask on the disk that nobody has accepted yet.
    #[must_use]
    pub fn is_left(&self, id: &str) -> bool {
        let open = self.get(id);
        open.map_or_else(|| self.path(id).is_file(), |draft| held(&draft).is_changed())
    }

    fn path(&self, id: &str) -> PathBuf {
        // A folder of its own: all that was written there goes with it.
        let name =
            safe_name(id).map_or_else(|_| ild_cli::content_of_bytes(id.as_bytes()), str::to_owned);
        self.folder.join(name).join("draft.nii.gz")
    }

    /// Puts a draft on the disk, where it was changed since.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, id: &str) -> Answer<()> {
        let Some(draft) = self.get(id) else { return Ok(()) };
        let (map, made, revision) = {
            let draft = held(&draft);
            let revision = draft.history.revision();
            if draft.saved == revision {
                return Ok(());
            }
            (draft.map(), draft.history.record(), revision)
        };
        let path = self.path(id);
        ild_cli::write_json_atomic(&path.with_file_name("draft.json"), &Beside { made })?;
        write_label_map_described(&path, &map, "ild: unfinished")?;
        held(&draft).saved = revision;
        Ok(())
    }

    /// The draft was accepted as it was in `revision`: nothing of it is left on the disk.
    ///
    /// # Errors
    /// When it cannot be taken away.
    pub fn accepted(&self, id: &str, revision: u64) -> Answer<()> {
        if let Some(draft) = self.get(id) {
            let mut draft = held(&draft);
            draft.accepted = Some(revision);
            if draft.history.revision() != revision {
                return Ok(());
            }
            draft.saved = revision;
        }
        let path = self.path(id);
        let folder = path.parent().unwrap_or(&self.folder);
        Ok(ild_cli::outputs::remove_folder(folder)?)
    }

    /// The draft of a case is no more: another mask was accepted.
    ///
    /// # Errors
    /// When it cannot be taken away from the disk.
    pub fn forget(&self, id: &str) -> Answer<()> {
        self.all().remove(id);
        let path = self.path(id);
        Ok(ild_cli::outputs::remove_folder(path.parent().unwrap_or(&self.folder))?)
    }

    /// Lets go of drafts that are safe on the disk and that nobody works on; their steps go with them.
    pub fn let_go(&self, is_open: impl Fn(&str) -> bool) {
        self.all().retain(|id, draft| {
            // Clones are handed out under the same lock.
            let in_use = Arc::strong_count(draft) > 1 || is_open(id);
            let is_safe = || {
                let draft = held(draft);
                draft.saved == draft.history.revision()
            };
            in_use || !is_safe()
        });
    }

    /// Cases whose draft is not on the disk as it is.
    #[must_use]
    pub fn unsaved(&self) -> Vec<String> {
        let unsaved = |draft: &Mutex<Draft>| {
            let draft = held(draft);
            draft.saved != draft.history.revision()
        };
        let all: Vec<_> = self.all().iter().map(|(id, d)| (id.clone(), Arc::clone(d))).collect();
        all.into_iter().filter(|(_, draft)| unsaved(draft)).map(|(id, _)| id).collect()
    }
}

fn read(path: &Path, scan: &Scan, table: &LabelTable) -> Answer<History> {
    let made = beside(path).map(|beside| beside.made).unwrap_or_default();
    let map = read_mask(path, table)?.on_grid_of(path, "mask", "CT", scan.grid())?;
    Ok(History::of(map.labels.view(), made))
}

fn beside(mask: &Path) -> Option<Beside> {
    let name = mask.file_name()?.to_str()?;
    let case = bare_case(name, &[]);
    let bytes = std::fs::read(mask.with_file_name(format!("{case}.json"))).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, Volume, Voxels};
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::draft::{Made, Runs};

    fn scan() -> Scan {
        let grid = Geometry::new([2, 3, 4], Affine::from_spacing_xyz_mm([1.0, 1.0, 2.0]));
        let ct = Volume { voxels: Voxels::I16(Array3::zeros((2, 3, 4))), geometry: grid };
        Scan::of_ct("a", ct, ild_preprocess::Windowing::default(), &LabelTable::default())
    }

    fn draw(draft: &Mutex<Draft>, label: u8) {
        let made = Made {
            when: String::new(),
            who: String::new(),
            how: "paint".to_owned(),
            label: None,
            prompt: serde_json::Value::Null,
        };
        let slice = Runs::of(Array2::from_elem((3, 4), label).view());
        held(draft).history.change(made, None, [(1, slice)]);
    }

    #[test]
    fn a_draft_that_nobody_works_on_waits_on_the_disk_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let drafts = Drafts::new(&folder.path().join("drafts"));
        let accepted = folder.path().join("a.nii.gz");
        let open = || drafts.open("a", &scan(), &LabelTable::default(), &accepted).unwrap();
        draw(&open(), 5);
        drafts.let_go(|_| false);
        assert!(drafts.get("a").is_some(), "it is nowhere else");
        drafts.save("a").unwrap();
        drafts.let_go(|_| true);
        assert!(drafts.get("a").is_some(), "its case is open");
        let at_work = open();
        drafts.let_go(|_| false);
        assert!(drafts.get("a").is_some(), "somebody holds it");
        let before = held(&at_work).history.revision();
        drop(at_work);
        drafts.let_go(|_| false);
        assert!(drafts.get("a").is_none() && drafts.is_left("a"));
        let back = open();
        assert_eq!(held(&back).history.counts()[5], 12);
        assert_ne!(held(&back).history.revision(), before, "a page that knows the old one is told");
        assert!(held(&back).is_changed());
        let revision = held(&back).history.revision();
        drafts.accepted("a", revision).unwrap();
        assert!(!held(&back).is_changed() && !folder.path().join("drafts/a").exists());
    }
}
