//! One socket: request after request.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::ServiceExt;

use super::body;
use super::framing::{Next, Unframed};
use super::head::{self, Head, LONGEST_HEAD};
use super::reply;

/// How long a socket may lie still between requests.
const IDLE: Duration = Duration::from_secs(75);
/// How long a head may take once it has begun.
const HEAD: Duration = Duration::from_secs(15);
/// How long the other side may take none and give none in the middle of a message.
const STALLED: Duration = Duration::from_secs(60);
/// How long a socket that is given up is read on, so that the reply reaches the other side.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// Why a socket is closed.
enum End {
    /// There is nothing more to say.
    Closed,
    /// What came is no request.
    Refused(&'static str),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Answers the requests on `stream` with `app`.
pub(super) async fn run(stream: TcpStream, app: Router) {
    let _ = stream.set_nodelay(true);
    let mut connection = Connection { stream, read: Vec::new() };
    loop {
        match connection.request(&app).await {
            Ok(true) => {}
            Ok(false) | Err(End::Closed) => break,
            Err(End::Refused(why)) => {
                let body = Bytes::from(serde_json::json!({ "detail": why }).to_string());
                let mut fields = HeaderMap::new();
                let json = HeaderValue::from_static("application/json");
                fields.insert(header::CONTENT_TYPE, json);
                let status = StatusCode::BAD_REQUEST;
                let head = reply::head(status, &fields, &body, &Method::GET, false);
                let _ = connection.write_all(&[head, body.to_vec()].concat()).await;
                break;
            }
        }
    }
    connection.linger().await;
}

struct Connection {
    stream: TcpStream,
    /// Read and not yet used.
    read: Vec<u8>,
}

impl Connection {
    /// One request and its reply; whether the socket may be used again.
    async fn request(&mut self, app: &Router) -> Result<bool, End> {
        let head = self.head().await?;
        let expects = head.fields.get(header::EXPECT).is_some();
        let Head { method, uri, version, fields, framing, keep_alive } = head;
        let (feed, incoming) = body::pair();
        let mut request = Request::new(Body::new(incoming));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = fields;
        let mut handler = tokio::spawn(app.clone().oneshot(request));
        if expects {
            self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let whole = match self.feed(feed, Unframed::new(framing)).await {
            Ok(whole) => whole,
            Err(end) => {
                handler.abort();
                return Err(end);
            }
        };
        let Some(response) = self.answer(&mut handler, whole).await else {
            return Err(End::Closed);
        };
        let keep_alive = keep_alive && whole;
        self.reply(response, &method, keep_alive).await?;
        Ok(keep_alive)
    }

    /// Reads the head of the next request.
    async fn head(&mut self) -> Result<Head, End> {
        if self.read.is_empty() {
            self.fill(IDLE).await?;
        }
        let whole = async {
            loop {
                match head::parse(&self.read).map_err(End::Refused)? {
                    Some((_, length)) if length > LONGEST_HEAD => return Err(too_long()),
                    Some((head, length)) => {
                        self.read.drain(..length);
                        return Ok(head);
                    }
                    None if self.read.len() > LONGEST_HEAD => return Err(too_long()),
                    None => self.fill(STALLED).await?,
                }
            }
        };
        timeout(HEAD, whole).await.unwrap_or(Err(End::Closed))
    }

    /// Hands the body to the handler; `false` when it wanted no more before the end.
    async fn feed(&mut self, feed: body::Feed, mut unframed: Unframed) -> Result<bool, End> {
        loop {
            match unframed.next(&self.read).map_err(End::Refused)? {
                Next::Data(n) => {
                    let piece = Bytes::copy_from_slice(&self.read[..n]);
                    self.read.drain(..n);
                    if !feed.give(piece).await {
                        return Ok(false);
                    }
                }
                Next::Skip(n) => drop(self.read.drain(..n)),
                Next::More => self.fill(STALLED).await?,
                Next::End => {
                    feed.finish();
                    return Ok(true);
                }
            }
        }
    }

    /// What the handler says; `None`, and the handler is given up, when the other side has gone.
    async fn answer(
        &mut self,
        handler: &mut JoinHandle<Result<Response, std::convert::Infallible>>,
        watch: bool,
    ) -> Option<Response> {
        let answered = poll_fn(|cx| {
            if let Poll::Ready(done) = Pin::new(&mut *handler).poll(cx) {
                let Ok(response) = done.unwrap_or_else(|_| Ok(broke_down()));
                return Poll::Ready(Some(response));
            }
            while watch && self.read.len() < LONGEST_HEAD {
                let mut piece = [0; 1024];
                match self.stream.poll_read_ready(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => match self.stream.try_read(&mut piece) {
                        Ok(n) if n > 0 => self.read.extend_from_slice(&piece[..n]),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        _ => return Poll::Ready(None),
                    },
                    Poll::Ready(Err(_)) => return Poll::Ready(None),
                }
            }
            Poll::Pending
        })
        .await;
        if answered.is_none() {
            handler.abort();
        }
        answered
    }

    async fn reply(
        &mut self,
        response: Response,
        method: &Method,
        keep_alive: bool,
    ) -> Result<(), End> {
        let (parts, body) = response.into_parts();
        // Bodies are made in memory, so they cannot fail.
        let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| End::Closed)?;
        let head = reply::head(parts.status, &parts.headers, &body, method, keep_alive);
        self.write_all(&head).await?;
        if method != Method::HEAD {
            self.write_all(&body).await?;
        }
        Ok(())
    }

    /// Reads some bytes.
    async fn fill(&mut self, patience: Duration) -> Result<(), End> {
        let mut piece = vec![0; PIECE];
        let read = async {
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
        };
        match timeout(patience, read).await {
            Ok(Ok(n)) if n > 0 => {
                self.read.extend_from_slice(&piece[..n]);
                Ok(())
            }
            _ => Err(End::Closed),
        }
    }

    async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            timeout(STALLED, self.stream.writable()).await.map_err(io::Error::other)??;
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more will come and reads on for a moment: closing on unread bytes would
    /// take the reply away from the other side.
    async fn linger(&mut self) {
        shut_for_writing(&self.stream);
        let _ = timeout(LINGER, async {
            while self.fill(LINGER).await.is_ok() {
                self.read.clear();
            }
        })
        .await;
    }
}

fn too_long() -> End {
    End::Refused("the head of the request is too long")
}

/// The reply of a handler that panicked.
fn broke_down() -> Response {
    let detail = r#"{"detail": "the server broke down on this request; its log says why"}"#;
    let mut response = Response::new(Body::from(detail));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

#[cfg(unix)]
fn shut_for_writing(stream: &TcpStream) {
    use std::os::fd::AsRawFd;
    // SAFETY: a plain system call on a descriptor that `stream` keeps open.
    unsafe { libc::shutdown(stream.as_raw_fd(), libc::SHUT_WR) };
}

#[cfg(not(unix))]
fn shut_for_writing(_: &TcpStream) {}
