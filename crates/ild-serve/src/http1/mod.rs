//! HTTP/1.1 on a TCP socket for a [`Router`]: heads are parsed by httparse, bodies are framed here,
//! replies always say their length.
//!
//! Why not hyper: it turns on features of smallvec and tokio that Candle and Polars are built
//! without, and every build of the workspace would be another one. [`serve`] is the seam: what
//! hyper-util would be put behind.

mod body;
mod connection;
mod framing;
mod head;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Sockets open at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How often it is looked whether the process is to stop.
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// How long replies that are on their way get when the process stops.
const LAST_REPLIES: Duration = Duration::from_secs(5);

/// Answers with `app` until `stop` says so; replies on their way are sent before it returns.
pub async fn serve(listener: TcpListener, app: Router, stop: impl Fn() -> bool) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while !stop() {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = loop {
            match tokio::time::timeout(LOOK_AROUND, listener.accept()).await {
                Ok(accepted) => break Some(accepted),
                Err(_) if stop() => break None,
                Err(_) => {}
            }
        };
        match accepted {
            Some(Ok((stream, _))) => {
                let app = app.clone();
                tokio::spawn(async move {
                    connection::run(stream, app).await;
                    drop(permit);
                });
            }
            // Out of file handles: waiting is all there is.
            Some(Err(error)) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(LOOK_AROUND).await;
            }
            None => break,
        }
    }
    drop(listener);
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(LAST_REPLIES, room.acquire_many(all)).await;
}
