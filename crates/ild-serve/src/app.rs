//! What all requests share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use ild_cli::Common;
use ild_io::LabelTable;
use ild_io::cohort::LabelNames;

use crate::draft::Drafts;
use crate::error::Answer;
use crate::jobs::Jobs;
use crate::journal::Journal;
use crate::labels::Labels;
use crate::model::{Models, OpenCase};
use crate::presence::Presence;
use crate::safety::{self, Hosts, Token};
use crate::scores::Scores;
use crate::settings::Settings;
use crate::studies::{Sent, Studies, Study};
use crate::training::Training;
use crate::{monai, page};

/// Unfinished masks are put on the disk so often.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// The server without its socket.
pub struct App {
    /// The flags.
    pub settings: Settings,
    /// Names of this server.
    pub hosts: Hosts,
    /// The secret, where there is one.
    pub token: Option<Token>,
    /// CTs.
    pub studies: Studies,
    /// CTs of viewers.
    pub sent: Sent,
    /// The model.
    pub models: Models,
    /// Masks that are worked on.
    pub drafts: Drafts,
    /// Accepted masks.
    pub labels: Labels,
    /// Work that takes a while.
    pub jobs: Jobs,
    /// Who works on what.
    pub presence: Presence,
    /// How unsure the model is of a case.
    pub scores: Scores,
    /// The training.
    pub training: Training,
    /// What happened.
    pub journal: Journal,
    /// Whether anything was done since it was last looked.
    worked: AtomicBool,
}

impl App {
    /// Finds the CTs, takes the folder of the masks and loads the model. This process keeps no books of
    /// its files from then on ([`ild_cli::close_books`]).
    ///
    /// # Errors
    /// What any of these refuses.
    pub fn new(settings: Settings, common: &Common) -> anyhow::Result<Arc<Self>> {
        settings.require_safe()?;
        // Nobody asks a server at its end what it has read and written.
        ild_cli::close_books();
        let token = settings.token_file.as_deref();
        let token = token.map(|file| Token::read(file, settings.is_encrypted())).transpose()?;
        let folders = settings.folders()?;
        let studies = Studies::find(folders.clone(), &settings.img_name_suffix)?;
        let labels = Labels::hold(&folders.labels)?;
        let table = table(settings.labels.as_deref(), &folders.labels)?;
        let models = Models::load(&settings, common, table)?;
        let app = Self {
            hosts: Hosts::new(settings.address, &settings.hosts, &settings.origins),
            token,
            studies,
            sent: Sent::new(&folders.state.join("sent"), 60 * u64::from(settings.session_minutes)),
            models,
            drafts: Drafts::new(&folders.state.join("drafts")),
            labels,
            jobs: Jobs::default(),
            presence: Presence::default(),
            scores: Scores::read(&folders.state.join("uncertainty.json")),
            training: Training::new(settings.train_command.as_deref()),
            journal: Journal::default(),
            worked: AtomicBool::new(true),
            settings,
        };
        Ok(Arc::new(app))
    }

    /// All routes.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .merge(monai::routes(self))
            .merge(page::routes())
            .layer(middleware::from_fn_with_state(Arc::clone(self), note))
            .layer(middleware::from_fn_with_state(Arc::clone(self), safety::guard))
            .with_state(Arc::clone(self))
    }

    /// The study that a client means and its CT.
    ///
    /// # Errors
    /// 404, and what the readers refuse.
    pub async fn case(&self, id: &str) -> Answer<(Arc<Study>, Arc<OpenCase>)> {
        let study = self.studies.get(id)?;
        let case = self.models.open(&study).await?;
        Ok((study, case))
    }

    /// Puts unfinished masks on the disk from time to time, ends old sessions, and gives memory back once
    /// nobody works.
    pub async fn keep(self: Arc<Self>) {
        let mut kept = true;
        loop {
            tokio::time::sleep(SAVE_EVERY).await;
            let worked = self.worked.swap(false, Ordering::Relaxed);
            let idle = kept && !worked;
            kept = worked;
            let app = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || {
                app.save_drafts();
                app.sent.expire();
                if idle {
                    ild_cli::give_back_freed_memory();
                }
            })
            .await;
        }
    }

    /// Puts every unfinished mask on the disk; those of cases that nobody works on are there only.
    pub fn save_drafts(&self) {
        for id in self.drafts.unsaved() {
            if let Err(problem) = self.drafts.save(&id) {
                self.journal.say(format!("an unfinished mask is not saved: {}", problem.detail));
            }
        }
        self.drafts.let_go(|id| self.models.is_open(id));
    }

    /// The bound on uploads, bytes.
    #[must_use]
    pub fn upload_limit(&self) -> usize {
        self.settings.upload_limit as usize * (1 << 20)
    }
}

/// The names of the labels as the cohort has them; `None`: as the weights have them.
fn table(given: Option<&Path>, labels: &Path) -> anyhow::Result<Option<LabelTable>> {
    Ok(LabelNames::of_folder(given, labels)?.table)
}

/// Notes each request that did or refused something: its route, not its address.
async fn note(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (method, start) = (request.method().clone(), std::time::Instant::now());
    let response = next.run(request).await;
    let status = response.status();
    if method != axum::http::Method::GET || !status.is_success() {
        let route = route.as_deref().unwrap_or("another address");
        let ms = start.elapsed().as_millis();
        app.worked.store(true, Ordering::Relaxed);
        app.journal.say(format!("{method} {route} {} {ms} ms", status.as_u16()));
    }
    response
}
