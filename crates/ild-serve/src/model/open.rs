//! CTs in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ild_infer::{Engine, FeatureStore, Scan, Session};
use ild_io::lung::LungMask;

/// A CT in memory and the model that looks at it.
pub struct OpenCase {
    /// The CT, and what is encoded of it.
    pub session: Session<'static>,
    /// Volume of its lung, once it is known.
    pub lung: OnceLock<Lung>,
    /// Which slice was last asked for.
    pub shown: Shown,
    lung_asked: AtomicBool,
}

/// The lung of a CT.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Lung {
    /// Of both, mL.
    pub ml: f64,
    /// Why not to believe it.
    pub doubts: Vec<String>,
}

/// Counts what is looked at: what was asked for before is of no interest any more.
#[derive(Default)]
pub struct Shown(AtomicU64);

impl Shown {
    /// Something else is looked at.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether it still is.
    pub fn is(&self, shown: u64) -> bool {
        self.0.load(Ordering::Relaxed) == shown
    }
}

impl OpenCase {
    /// `scan` with features in `store`.
    pub fn new(engine: &'static Engine, scan: Scan, store: Arc<FeatureStore>) -> Self {
        Self {
            session: Session::sharing(engine, scan, store),
            lung: OnceLock::new(),
            shown: Shown::default(),
            lung_asked: AtomicBool::new(false),
        }
    }

    /// The CT.
    pub fn scan(&self) -> &Scan {
        self.session.scan()
    }

    /// Whether it is the first time that somebody wants to know the lung.
    pub(super) fn lung_asked(&self) -> bool {
        !self.lung_asked.swap(true, Ordering::Relaxed)
    }

    pub(super) fn find_lung(&self) {
        let Some(ct) = self.scan().ct() else { return };
        let lung = LungMask::of(ct);
        let voxels = lung.mask.iter().filter(|&&inside| inside).count();
        let ml = voxels as f64 * ct.geometry.voxel_volume_ml();
        let _ = self.lung.set(Lung { ml, doubts: lung.quality.problems() });
    }
}

impl Drop for OpenCase {
    fn drop(&mut self) {
        self.session.forget_features();
    }
}

/// Those that are in memory, the one used last at the end.
#[derive(Clone)]
pub(super) struct OpenCases {
    most: usize,
    open: Arc<Mutex<Queue>>,
}

type Queue = VecDeque<(String, Arc<OpenCase>)>;

impl OpenCases {
    pub fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, Queue> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, id: &str) -> Option<Arc<OpenCase>> {
        let mut open = self.held();
        let at = open.iter().position(|(other, _)| other == id)?;
        let entry = open.remove(at)?;
        let case = Arc::clone(&entry.1);
        open.push_back(entry);
        Some(case)
    }

    pub fn keep(&self, id: &str, case: &Arc<OpenCase>) {
        let mut open = self.held();
        open.retain(|(other, _)| other != id);
        open.push_back((id.to_owned(), Arc::clone(case)));
        // Whoever works on a case holds it; it goes when he is done.
        while open.len() > self.most {
            open.pop_front();
        }
    }

    pub fn holds(&self, id: &str) -> bool {
        self.held().iter().any(|(other, _)| other == id)
    }

    pub fn close(&self, id: &str) {
        self.held().retain(|(other, _)| other != id);
    }
}
