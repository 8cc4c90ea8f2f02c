//! Whether a client takes what it is answered (G-16). The engine asks an answer for its next part when there is room in
//! the windows that the client gives; an answer that has given a part and is not asked again waits for the client alone.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// The answers of a connection that wait for their client, and since when.
#[derive(Default)]
pub(super) struct Waiting {
    since: RefCell<HashMap<u64, Instant>>,
    next: Cell<u64>,
}

impl Waiting {
    /// Watches an answer.
    pub(super) fn watch<B>(self: &Rc<Self>, body: B) -> Watched<B> {
        let number = self.next.get();
        self.next.set(number + 1);
        // From the beginning: a client that gives no window at all never lets it be asked.
        self.since.borrow_mut().insert(number, Instant::now());
        Watched { body, number, waiting: self.clone() }
    }

    /// Whether one of them waits for longer than that.
    pub(super) fn is_longer_than(&self, patience: Duration) -> bool {
        self.since.borrow().values().any(|since| since.elapsed() > patience)
    }
}

/// An answer that is watched.
pub(super) struct Watched<B> {
    body: B,
    number: u64,
    waiting: Rc<Waiting>,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.body).poll_frame(cx);
        let mut since = me.waiting.since.borrow_mut();
        match &polled {
            // The client gave room; it is the upstream that has nothing.
            Poll::Pending => {
                since.remove(&me.number);
            }
            Poll::Ready(_) => {
                since.insert(me.number, Instant::now());
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.waiting.since.borrow_mut().remove(&self.number);
    }
}
