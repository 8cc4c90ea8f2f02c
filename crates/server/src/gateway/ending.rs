//! Tells every connection that the process ends, or that another one takes its place and new calls belong there.
//!
//! A connection looks at this each time it is polled, several times a call, so looking is one atomic read; whoever
//! waits leaves a waker once and is woken once.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Whether the process ends, or leaves its place to another one.
#[derive(Clone, Default)]
pub struct Ending(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_leaving: Notice,
    has_begun: Notice,
}

/// Something that happens once, and who waits for it.
#[derive(Default)]
struct Notice {
    has_happened: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

impl Ending {
    /// Not yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another process takes over: nobody new is let in, and each connection ends when its next answer is complete.
    pub fn leave(&self) {
        self.0.is_leaving.happen();
    }

    /// Whether another process takes over, or the end has begun.
    pub fn is_leaving(&self) -> bool {
        self.0.is_leaving.has_happened()
    }

    /// Waits for that.
    pub fn left(&self) -> Wait {
        Wait { ending: self.clone(), of: |shared| &shared.is_leaving, place: None }
    }

    /// Begins the end: everybody who waits is woken.
    pub fn begin(&self) {
        self.0.has_begun.happen();
        self.0.is_leaving.happen();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.has_begun.has_happened()
    }

    /// Waits for it.
    pub fn wait(&self) -> Wait {
        Wait { ending: self.clone(), of: |shared| &shared.has_begun, place: None }
    }
}

impl Notice {
    fn happen(&self) {
        self.has_happened.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut self.waiting.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    fn has_happened(&self) -> bool {
        self.has_happened.load(Ordering::SeqCst)
    }
}

/// Ready when it happens. To be polled by one task, as a connection is.
pub struct Wait {
    ending: Ending,
    of: fn(&Shared) -> &Notice,
    place: Option<u64>,
}

impl Wait {
    fn notice(&self) -> &Notice {
        (self.of)(&self.ending.0)
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.notice().has_happened() {
            return Poll::Ready(());
        }
        if self.place.is_none() {
            let mut waiting = self.notice().waiting.lock();
            let place = waiting.next;
            waiting.next += 1;
            waiting.wakers.insert(place, cx.waker().clone());
            drop(waiting);
            self.place = Some(place);
            // It may have happened between the look and the leaving of the waker.
            if self.notice().has_happened() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.notice().waiting.lock().wakers.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_the_end_and_nobody_is_remembered_after_it() {
        let ending = Ending::new();
        let waiting: Vec<_> = (0..10).map(|_| tokio::spawn(ending.wait())).collect();
        drop(ending.wait());
        tokio::task::yield_now().await;
        assert!(!ending.has_begun());
        ending.leave();
        ending.left().await;
        assert!(ending.is_leaving() && !ending.has_begun());
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|wait| !wait.is_finished()), "leaving is not the end");
        ending.begin();
        for wait in waiting {
            wait.await.unwrap();
        }
        ending.wait().await;
        assert!(ending.0.has_begun.waiting.lock().wakers.is_empty());
    }
}
