//! The model: loaded once, asked by threads of its own, never by those that answer requests.
//!
//! ```text
//! lane      a thread with a bounded queue
//! open      CTs in memory, with what is encoded of them; the one not used longest goes first
//! automatic lesions without a prompt
//! ```
//!
//! Clicks have a thread and a pool of their own: they wait for no propagation. Both use the same
//! weights and the same features.

mod automatic;
mod lane;
mod open;

use std::sync::Arc;

use clap::Parser;
use ild_cli::Common;
use ild_infer::coordinates::StackIndex;
use ild_infer::model::engine::ModelName;
use ild_infer::prompt::SlicePrompt;
use ild_infer::run::case::Context;
use ild_infer::settings::Resolved;
use ild_infer::{Engine, FeatureStore, Prediction, Stop};
use ild_io::LabelTable;

pub use lane::Lane;
pub use open::{Lung, OpenCase};

use crate::error::{Answer, Problem};
use crate::settings::Settings;
use crate::studies::Study;

/// Slices on either side of the one shown that are encoded while somebody looks at it.
const AHEAD: usize = 2;

/// The model and its threads.
pub struct Models {
    engine: &'static Engine,
    resolved: &'static Resolved,
    table: &'static LabelTable,
    store: Arc<FeatureStore>,
    cases: open::OpenCases,
    clicks: Lane,
    reading: Lane,
    long: Lane,
    ahead: Lane,
    clicking: Arc<rayon::ThreadPool>,
}

/// The flags of `ild-infer`, of which the server sets a few.
#[derive(Parser)]
struct InferFlags {
    #[command(flatten)]
    settings: ild_infer::Settings,
}

impl Models {
    /// Loads the weights. `table` is the cohort's, where it has one; else the weights' own.
    ///
    /// # Errors
    /// What loading refuses.
    pub fn load(
        settings: &Settings,
        common: &Common,
        table: Option<LabelTable>,
    ) -> anyhow::Result<Self> {
        let typed = ModelName { typed: settings.model.as_deref(), otherwise: None };
        let engine =
            Engine::load(&settings.checkpoint, typed, common.device, settings.precision, None)?;
        // One engine for the life of the process: sessions borrow it.
        let engine: &'static Engine = Box::leak(Box::new(engine));
        let own = || engine.label_table.clone().unwrap_or_default();
        let table: &'static LabelTable = Box::leak(Box::new(table.unwrap_or_else(own)));
        let resolved = resolved(settings, finds(engine))?;
        // Half for open cases, half for what runs without a prompt.
        let store = Arc::new(engine.feature_store(settings.feature_memory / 2));
        let waiting = usize::from(settings.waiting);
        let clicking = rayon::ThreadPoolBuilder::new().num_threads(common.threads()).build()?;
        Ok(Self {
            engine,
            resolved: Box::leak(Box::new(resolved)),
            table,
            store,
            cases: open::OpenCases::new(usize::from(settings.open_cases)),
            clicks: Lane::start("clicks", waiting)?,
            reading: Lane::start("reading", waiting)?,
            long: Lane::start("long", waiting)?,
            ahead: Lane::start("ahead", 2 * AHEAD + 1)?,
            clicking: Arc::new(clicking),
        })
    }

    /// Which weights.
    #[must_use]
    pub fn engine(&self) -> &'static Engine {
        self.engine
    }

    /// Names of the labels.
    #[must_use]
    pub fn table(&self) -> &'static LabelTable {
        self.table
    }

    /// The decisions of the run.
    #[must_use]
    pub fn settings(&self) -> &'static Resolved {
        self.resolved
    }

    /// Whether the weights find and name lesions themselves.
    #[must_use]
    pub fn finds(&self) -> bool {
        finds(self.engine)
    }

    /// Where propagations wait.
    #[must_use]
    pub fn long(&self) -> &Lane {
        &self.long
    }

    fn context(&self, stop: Stop) -> Context<'static> {
        let labels = Some(self.table);
        Context { settings: self.resolved, engine: Some(self.engine), labels, stop }
    }

    /// The CT of `study`, read where it is not in memory.
    ///
    /// # Errors
    /// What the readers refuse.
    pub async fn open(&self, study: &Study) -> Answer<Arc<OpenCase>> {
        if let Some(open) = self.cases.get(&study.id) {
            return Ok(open);
        }
        let (context, case) = (self.context(Stop::default()), study.case.clone());
        let (store, cases, engine) = (Arc::clone(&self.store), self.cases.clone(), self.engine);
        let opened = self.reading.ask(move || {
            // Somebody else may have waited for the same.
            if let Some(open) = cases.get(&case.id) {
                return Ok(open);
            }
            let open = Arc::new(OpenCase::new(engine, context.read(&case)?, store));
            cases.keep(&case.id, &open);
            Ok::<_, Problem>(open)
        });
        opened.await?
    }

    /// Whether the CT of a study is in memory.
    #[must_use]
    pub fn is_open(&self, id: &str) -> bool {
        self.cases.holds(id)
    }

    /// Forgets the CT of a study, for instance of a session that has ended.
    pub fn close(&self, id: &str) {
        self.cases.close(id);
    }

    /// The model's answer to `prompt` on a slice.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn click(
        &self,
        case: &Arc<OpenCase>,
        slice: StackIndex,
        prompt: SlicePrompt,
    ) -> Answer<Prediction> {
        let (case, pool) = (Arc::clone(case), Arc::clone(&self.clicking));
        let answer = move || pool.install(|| case.session.answer(slice, &[prompt]));
        Ok(self.clicks.ask(answer).await??.remove(0))
    }

    /// Encodes the slice that somebody looks at and those beside it, while he looks. What there is no
    /// room for is left: he will look at something else.
    pub fn look(&self, case: &Arc<OpenCase>, slice: StackIndex) {
        let shown = case.shown.next();
        for distance in 0..=AHEAD {
            let up = slice.0 + distance;
            let beside = [Some(up), slice.0.checked_sub(distance).filter(|_| distance > 0)];
            let last = case.session.scan().z_index().len();
            for z in beside.into_iter().flatten().filter(|&z| z < last) {
                let case = Arc::clone(case);
                self.ahead.push(move || {
                    let slice = StackIndex(z);
                    // Somebody looks elsewhere by now.
                    if case.shown.is(shown) && !case.session.is_encoded(slice) {
                        let _ = case.session.encode(slice);
                    }
                });
            }
        }
    }

    /// Volume of the lung; found once, `None` until then.
    pub fn lung(&self, case: &Arc<OpenCase>) -> Option<Lung> {
        if let Some(lung) = case.lung.get() {
            return Some(lung.clone());
        }
        if case.lung_asked() {
            let case = Arc::clone(case);
            if !self.reading.push(move || case.find_lung()) {
                tracing::debug!("the lung is measured later");
            }
        }
        None
    }
}

fn finds(engine: &Engine) -> bool {
    engine.model.lesion_head().is_some()
}

/// The settings of `ild-infer --prompt auto` (or `heuristic`, where the weights name nothing).
fn resolved(settings: &Settings, finds: bool) -> anyhow::Result<Resolved> {
    let text = |path: &std::path::Path| path.as_os_str().to_owned();
    let memory = (settings.feature_memory / 2).to_string();
    let prompt = if finds { "auto" } else { "heuristic" };
    let mut words: Vec<std::ffi::OsString> = vec![
        "ild-serve".into(),
        "--input".into(),
        text(&settings.studies),
        "--checkpoint".into(),
        text(&settings.checkpoint),
        "--output".into(),
        "unused".into(),
        "--prompt".into(),
        prompt.into(),
        "--feature-memory".into(),
        memory.into(),
    ];
    if let Some(model) = &settings.model {
        words.extend(["--model".into(), model.into()]);
    }
    let mut flags = InferFlags::try_parse_from(words)?.settings;
    flags.window = settings.window;
    Ok(flags.resolve()?)
}
