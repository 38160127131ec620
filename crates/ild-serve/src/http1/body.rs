//! A request's body on its way from the socket to the handler.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

/// Pieces that wait between socket and handler.
const WAITING: usize = 4;

/// The socket broke before the body was whole.
#[derive(Debug, thiserror::Error)]
#[error("the connection ended in the middle of the request")]
pub struct Broken;

/// The handler's side. A body that ends early is an error, never a short one.
pub struct Incoming {
    pieces: mpsc::Receiver<Bytes>,
    whole: Arc<AtomicBool>,
}

/// The socket's side.
pub(super) struct Feed {
    pieces: mpsc::Sender<Bytes>,
    whole: Arc<AtomicBool>,
}

/// The two sides of one body.
pub(super) fn pair() -> (Feed, Incoming) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let whole = Arc::new(AtomicBool::new(false));
    let feed = Feed { pieces: sender, whole: Arc::clone(&whole) };
    (feed, Incoming { pieces: receiver, whole })
}

impl Feed {
    /// Hands a piece over; `false` when the handler wants no more.
    pub(super) async fn give(&self, piece: Bytes) -> bool {
        self.pieces.send(piece).await.is_ok()
    }

    /// All of it was handed over.
    pub(super) fn finish(self) {
        self.whole.store(true, Ordering::Release);
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.pieces.poll_recv(cx).map(|piece| match piece {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.whole.load(Ordering::Acquire) => None,
            None => Some(Err(Broken)),
        })
    }
}
