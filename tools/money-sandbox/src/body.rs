//! Answers' bodies: whole, in a stream, or broken on purpose.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

/// Long enough that the first half has left the socket before the connection breaks.
const BREAK_AFTER: Duration = Duration::from_millis(5);

/// The connection ends here, without (the rest of) an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// With a FIN.
    #[error("closed on purpose")]
    Close,
    /// With a RST.
    #[error("reset on purpose")]
    Reset,
}

/// A body.
#[derive(Debug)]
pub enum Body {
    /// All at once.
    Whole(Option<Bytes>),
    /// With pauses, perhaps never to its end.
    Paced(Box<Paced>),
    /// As it is read from the ledger.
    Stream(mpsc::Receiver<Bytes>),
}

/// A body that is sent in pieces.
#[derive(Debug)]
pub struct Paced {
    bytes: Bytes,
    /// What is announced in content-length.
    announced: u64,
    piece: usize,
    pause: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// All at once.
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }

    /// Announces everything, sends half, and breaks the connection.
    pub fn truncated(bytes: Bytes) -> Self {
        let announced = bytes.len() as u64;
        let half = bytes.len() / 2;
        Self::Paced(Box::new(Paced {
            bytes: bytes.slice(..half),
            announced,
            piece: half.max(1),
            pause: BREAK_AFTER,
            timer: None,
        }))
    }

    /// Byte by byte.
    pub fn dripping(bytes: Bytes, pause: Duration) -> Self {
        Self::Paced(Box::new(Paced { announced: bytes.len() as u64, bytes, piece: 1, pause, timer: None }))
    }
}

impl Paced {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        if self.announced == 0 {
            return Poll::Ready(None);
        }
        if self.bytes.is_empty() {
            return Poll::Ready(Some(Err(Cut::Close)));
        }
        let piece = self.bytes.split_to(self.piece.min(self.bytes.len()));
        self.announced -= piece.len() as u64;
        if self.announced > 0 {
            self.timer = Some(Box::pin(sleep(self.pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Paced(paced) => paced.poll(cx),
            Self::Stream(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Paced(paced) => paced.announced == 0,
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Paced(paced) => SizeHint::with_exact(paced.announced),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
