//! Accepted masks: `labelsTr/<case>.nii.gz` on the CT's grid, with what is known of it beside it, and
//! every earlier version kept in `labelsTr/.earlier/<case>/`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ild_cli::FolderLock;
use ild_infer::Engine;
use ild_infer::model::engine::Origin;
use ild_infer::output::viewers;
use ild_io::{LabelMap, LabelTable, write_label_map_described};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::draft::Record;
use crate::error::Answer;

/// Hidden, so that no program takes what is in it for cases.
const EARLIER: &str = ".earlier";

/// The folder of accepted masks, held by this server.
pub struct Labels {
    folder: PathBuf,
    _held: FolderLock,
    /// One mask is put in place after the other.
    turn: Mutex<()>,
}

/// A mask that somebody accepts.
pub struct Accepted<'a> {
    /// Of which case.
    pub case: &'a str,
    /// On the CT's grid.
    pub map: LabelMap,
    /// Who accepts it; empty where nobody said.
    pub who: &'a str,
    /// How it came to be.
    pub made: Record,
}

impl Labels {
    /// Takes the folder.
    ///
    /// # Errors
    /// When another program writes into it, or nobody can.
    pub fn hold(folder: &Path) -> anyhow::Result<Self> {
        let held = FolderLock::hold(folder)?;
        Ok(Self { folder: folder.to_owned(), _held: held, turn: Mutex::default() })
    }

    /// Where the mask of a case is, or would be.
    #[must_use]
    pub fn path(&self, case: &str) -> PathBuf {
        self.folder.join(format!("{case}.nii.gz"))
    }

    /// The time at which the mask of a case was put there; `None` where there is none.
    #[must_use]
    pub fn when(&self, case: &str) -> Option<std::time::SystemTime> {
        std::fs::metadata(self.path(case)).ok()?.modified().ok()
    }

    /// Who accepted the mask of a case, and when, as it stands beside it.
    #[must_use]
    pub fn accepted(&self, case: &str) -> Option<Value> {
        #[derive(Deserialize)]
        struct Beside {
            #[serde(default)]
            accepted: Value,
        }
        let bytes = std::fs::read(self.folder.join(format!("{case}.json"))).ok()?;
        serde_json::from_slice(&bytes).ok().map(|Beside { accepted }| accepted)
    }

    /// Puts a mask in its place. What was there, whoever wrote it, is kept; a server that is killed
    /// on the way leaves the earlier mask or the new one.
    ///
    /// # Errors
    /// When something cannot be written; then the earlier mask is still in place.
    pub fn accept(&self, it: Accepted, table: &LabelTable, engine: &Engine) -> Answer<PathBuf> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(it.case);
        let aside = self.folder.join(EARLIER).join(it.case).join(clock::moment());
        let beside = |ending: &str| self.folder.join(format!("{}.{ending}", it.case));
        for file in [path.clone(), beside("json"), beside("ctbl"), beside("itksnap.txt")] {
            let name = file.file_name().unwrap_or_default();
            ild_cli::outputs::keep_aside(&file, &aside.join(name))?;
        }
        ild_cli::write_json_atomic(&beside("json"), &About::of(&it, table, engine))?;
        let colors = viewers::slicer_colors(table);
        ild_cli::write_bytes_atomic(&beside("ctbl"), colors.as_bytes())?;
        let colors = viewers::itksnap_labels(table);
        ild_cli::write_bytes_atomic(&beside("itksnap.txt"), colors.as_bytes())?;
        // Last: whoever sees the mask finds everything else beside it.
        write_label_map_described(&path, &it.map, "ild: accepted by a person")?;
        Ok(path)
    }

    /// Versions of a case's mask that were replaced.
    #[must_use]
    pub fn earlier(&self, case: &str) -> usize {
        let folder = self.folder.join(EARLIER).join(case);
        std::fs::read_dir(folder)
            .map_or(0, |entries| entries.flatten().filter(|entry| entry.path().is_dir()).count())
    }
}

/// What stands beside a mask; `label_table` and `model` as `ild-infer` writes them.
#[derive(Serialize)]
struct About<'a> {
    case: &'a str,
    program: String,
    accepted: Value,
    prompt: Value,
    made: &'a Record,
    model: &'a Origin,
    labels: Vec<Value>,
    label_table: &'a LabelTable,
    grid: Value,
}

impl<'a> About<'a> {
    fn of(it: &'a Accepted, table: &'a LabelTable, engine: &'a Engine) -> Self {
        let mut counts = [0u64; 256];
        it.map.labels.iter().for_each(|&id| counts[usize::from(id)] += 1);
        let ml = it.map.geometry.voxel_volume_ml();
        let rows = it.map.ids().into_iter().map(|id| {
            let voxels = counts[usize::from(id)];
            json!({ "id": id, "name": table.name(id), "color": table.color(id), "voxels": voxels, "volume_ml": voxels as f64 * ml })
        });
        let mut ways = it.made.iter().map(|made| made.how).peekable();
        let by_itself = ways.peek().is_some() && ways.all(|how| how == "auto");
        Self {
            case: it.case,
            program: format!("ild-serve {}", env!("CARGO_PKG_VERSION")),
            accepted: json!({ "when": clock::now(), "who": it.who }),
            prompt: json!({
                "kind": if by_itself { "automatic" } else { "drawn" },
                "ground_truth_used": false,
                "stamp": "accepted by a person in ild-serve",
            }),
            made: &it.made,
            model: &engine.origin,
            labels: rows.collect(),
            label_table: table,
            grid: json!({
                "shape_zyx": it.map.geometry.shape_zyx,
                "spacing_xyz_mm": it.map.geometry.spacing_xyz_mm,
                "stored": it.map.geometry.stored_codes(),
            }),
        }
    }
}
