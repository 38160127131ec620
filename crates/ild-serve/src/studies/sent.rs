//! CTs that a viewer has sent, kept for a while: the protocol's sessions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ild_infer::CaseFile;
use serde::Serialize;

use super::Study;
use crate::clock;
use crate::error::{Answer, Problem};

/// Most of them at once.
const MOST: usize = 32;

/// What lies there longer without a session belongs to no upload any more.
const LONGEST_UPLOAD: Duration = Duration::from_secs(3600);

/// CTs by the name of their session.
pub struct Sent {
    folder: PathBuf,
    seconds: u64,
    open: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    study: Arc<Study>,
    info: SentInfo,
}

/// What the protocol says of a session.
#[derive(Clone, Debug, Serialize)]
pub struct SentInfo {
    name: String,
    path: String,
    image: String,
    meta: serde_json::Value,
    create_ts: u64,
    last_access_ts: u64,
    expiry: u64,
}

impl Sent {
    /// Below `folder`, each kept `seconds` after its last use. What an earlier server left there is
    /// taken away.
    #[must_use]
    pub fn new(folder: &Path, seconds: u64) -> Self {
        let left = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for path in left.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            take_away(&path);
        }
        Self { folder: folder.to_owned(), seconds, open: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session's name and the folder for its files.
    ///
    /// # Errors
    /// 503 when there are too many, 500 without random numbers.
    pub fn begin(&self) -> Answer<(String, PathBuf)> {
        self.expire();
        if self.held().len() >= MOST {
            return Err(Problem::busy(format!(
                "{MOST} volumes are open already; come again later"
            )));
        }
        let id = random_name().map_err(|error| Problem::failed(error.to_string()))?;
        let folder = self.folder.join(&id);
        Ok((id, folder))
    }

    /// The session `id` holds the CT at `path`.
    pub fn add(&self, id: &str, path: PathBuf) -> SentInfo {
        let now = clock::unix();
        let info = SentInfo {
            name: id.to_owned(),
            path: String::new(),
            image: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            meta: serde_json::json!({}),
            create_ts: now,
            last_access_ts: now,
            expiry: self.seconds,
        };
        let case = CaseFile { id: id.to_owned(), path };
        let study = Arc::new(Study { id: id.to_owned(), case, series: None });
        self.held().insert(id.to_owned(), Entry { study, info: info.clone() });
        info
    }

    /// The session `id`, which is used.
    ///
    /// # Errors
    /// 404: it never was, or is no more; viewers send the volume again then.
    pub fn get(&self, id: &str) -> Answer<(Arc<Study>, SentInfo)> {
        self.expire();
        let mut open = self.held();
        let entry = open.get_mut(id).ok_or_else(|| {
            Problem::absent("this session is no more; send the volume again (PUT /session/)")
        })?;
        entry.info.last_access_ts = clock::unix();
        Ok((Arc::clone(&entry.study), entry.info.clone()))
    }

    /// The session `id` is none after all; its files are somebody else's care.
    pub fn forget(&self, id: &str) {
        self.held().remove(id);
    }

    /// Ends the session `id`.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn end(&self, id: &str) -> Answer<SentInfo> {
        let (_, info) = self.get(id)?;
        self.held().remove(id);
        take_away(&self.folder.join(id));
        Ok(info)
    }

    /// Ends those that nobody used for long.
    pub fn expire(&self) {
        let now = clock::unix();
        let mut open = self.held();
        let old: Vec<String> = open
            .iter()
            .filter(|(_, entry)| now.saturating_sub(entry.info.last_access_ts) > self.seconds)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &old {
            open.remove(id);
        }
        drop(open);
        old.iter().for_each(|id| take_away(&self.folder.join(id)));
        self.sweep();
    }

    /// Takes away what uploads left that broke off.
    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let open = self.held();
        let stray = entries.filter(|entry| {
            let named = entry.file_name().to_str().is_some_and(|id| open.contains_key(id));
            let changed = entry.metadata().and_then(|meta| meta.modified());
            !named && changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LONGEST_UPLOAD))
        });
        let stray: Vec<PathBuf> = stray.map(|entry| entry.path()).collect();
        drop(open);
        stray.iter().for_each(|path| take_away(path));
    }
}

fn take_away(folder: &Path) {
    if let Err(error) = ild_cli::outputs::remove_folder(folder) {
        tracing::warn!("an upload stays: {error}");
    }
}

/// 128 random bits of the system, in hexadecimal: nobody guesses another's session.
fn random_name() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
