//! The server with its socket.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use ild_cli::{Common, Interrupted};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::settings::Settings;
use crate::{connections, page, safety};

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Loads everything and listens; inside a tokio runtime.
    ///
    /// # Errors
    /// What any of that refuses, and a port that somebody else has.
    pub async fn start(settings: Settings, common: &Common) -> anyhow::Result<Self> {
        settings.require_safe()?;
        let wanted = settings.address;
        // Before the model is loaded: a port that is taken is known at once.
        let listener = TcpListener::bind(wanted).await.with_context(|| {
            format!("{wanted}: could not listen there; choose another --address")
        })?;
        let address = listener.local_addr()?;
        let settings = Settings { address, ..settings };
        let tls = settings.tls().map(|(certificate, key)| safety::acceptor(certificate, key));
        let tls = tls.transpose()?;
        let app = App::new(settings, common)?;
        Ok(Self { app, listener, address, tls })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What requests share.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers until `stop` says so; then every unfinished mask is on the disk.
    pub async fn serve(self, stop: impl Fn() -> bool) {
        tokio::spawn(Arc::clone(&self.app).keep());
        connections::serve(self.listener, self.app.router(), self.tls, stop).await;
        self.app.save_drafts();
    }
}

/// Runs a server until the process is asked to stop.
///
/// # Errors
/// As [`Server::start`]; and the interruption, with the work saved.
pub fn run(settings: Settings, common: &Common) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::start(settings, common).await?;
        let address = server.address();
        let cases = server.app.studies.all().len();
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        ild_cli::say(format_args!("ild-serve: {cases} cases at {scheme}://{address}"))?;
        if !page::has_page() {
            ild_cli::say(
                "This build has no page of its own (`cargo xtask page` makes it); 3D Slicer and OHIF \
                 work with it.",
            )?;
        }
        server.serve(ild_cli::interrupted).await;
        Err(Interrupted.into())
    })
}
