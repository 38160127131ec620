//! Sockets and the router: HTTP/1.1 by hyper, as many connections at once as there is room for.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// Sockets open at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How long a socket may lie still before a request, and its head take.
const HEAD: Duration = Duration::from_secs(75);
/// How long a client may send nothing in the middle of a body.
const STALLED: Duration = Duration::from_secs(60);
/// The longest head of a request, bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// How often it is looked whether the process is to stop.
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// How long replies that are on their way get when the process stops.
const LAST_REPLIES: Duration = Duration::from_secs(5);

/// Answers with `app` until `stop` says so; replies on their way are sent before it returns.
pub async fn serve(listener: TcpListener, app: Router, stop: impl Fn() -> bool) {
    let app = app.layer(RequestBodyTimeoutLayer::new(STALLED));
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let under_way = GracefulShutdown::new();
    while let Some(stream) = next(&listener, &room, &stop).await {
        let (stream, permit) = stream;
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
        let service = TowerToHyperService::new(app.clone());
        let connection = under_way.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // Whatever ends a connection early, the client's own end or a message that is none, has
            // been answered by hyper as far as it can be.
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST_REPLIES, under_way.shutdown()).await;
}

/// The next connection once there is room for it; `None` when the process is to stop.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    stop: impl Fn() -> bool,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let wanted = async {
        let permit = Arc::clone(room).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                // Out of file handles: waiting is all there is.
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(LOOK_AROUND).await;
                }
            }
        }
    };
    let mut wanted = pin!(wanted);
    loop {
        match tokio::time::timeout(LOOK_AROUND, &mut wanted).await {
            Ok(found) => return found,
            Err(_) if stop() => return None,
            Err(_) => {}
        }
    }
}
