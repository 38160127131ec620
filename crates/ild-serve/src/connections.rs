//! Sockets and the router: HTTP/1.1 by hyper, encrypted by rustls where the server has a certificate, as
//! many connections at once as there is room for.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// Sockets open at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How long a socket may lie still before a request, and its head take.
const HEAD: Duration = Duration::from_secs(75);
/// How long a client may send nothing in the middle of a body.
const STALLED: Duration = Duration::from_secs(60);
/// The longest head of a request, bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// The first byte of what begins an encrypted connection (RFC 8446 5.1).
const HANDSHAKE: u8 = 22;
/// What is said to somebody who does not encrypt.
const NOT_ENCRYPTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 52\r\nConnection: close\r\n\r\nthis server encrypts: ask it with https:// in front\n";
/// How often it is looked whether the process is to stop.
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// How long replies that are on their way get when the process stops.
const LAST_REPLIES: Duration = Duration::from_secs(5);

/// Answers with `app` until `stop` says so; replies on their way are sent before it returns. With `tls`
/// nothing is answered that is not encrypted.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Fn() -> bool,
) {
    let app = app.layer(RequestBodyTimeoutLayer::new(STALLED));
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let under_way = GracefulShutdown::new();
    while let Some((stream, permit)) = next(&listener, &room, &stop).await {
        let _ = stream.set_nodelay(true);
        let (app, tls, watcher) = (app.clone(), tls.clone(), under_way.watcher());
        tokio::spawn(async move {
            match &tls {
                None => talk(stream, app, watcher).await,
                Some(tls) => {
                    if let Some(stream) = encrypted(tls, stream).await {
                        talk(stream, app, watcher).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST_REPLIES, under_way.shutdown()).await;
}

/// Answers what comes on one connection.
async fn talk<S>(stream: S, app: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    // Whatever ends a connection early, the client's own end or a message that is none, has been
    // answered by hyper as far as it can be.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!("a connection ended: {error}");
    }
}

/// The connection, encrypted; somebody who does not encrypt is told, and nothing else.
async fn encrypted(tls: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let begun = async {
        let mut first = [0];
        if stream.peek(&mut first).await.ok()? == 1 && first[0] != HANDSHAKE {
            stream.writable().await.ok()?;
            let _ = stream.try_write(NOT_ENCRYPTED);
            return None;
        }
        match tls.accept(stream).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!("a connection was not encrypted: {error}");
                None
            }
        }
    };
    tokio::time::timeout(HEAD, begun).await.ok().flatten()
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
