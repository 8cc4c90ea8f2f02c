//! Tells every connection that the process ends.
//!
//! A connection looks at this each time it is polled, several times a call, so looking is one atomic read; whoever
//! waits leaves a waker once and is woken once.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Whether the process ends.
#[derive(Clone, Default)]
pub struct Ending(Arc<Shared>);

#[derive(Default)]
struct Shared {
    has_begun: AtomicBool,
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

    /// Begins the end: everybody who waits is woken.
    pub fn begin(&self) {
        self.0.has_begun.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut self.0.waiting.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::SeqCst)
    }

    /// Waits for it.
    pub fn wait(&self) -> Wait {
        Wait { ending: self.clone(), place: None }
    }
}

/// Ready when the end begins. To be polled by one task, as a connection is.
pub struct Wait {
    ending: Ending,
    place: Option<u64>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.ending.has_begun() {
            return Poll::Ready(());
        }
        if self.place.is_none() {
            let mut waiting = self.ending.0.waiting.lock();
            let place = waiting.next;
            waiting.next += 1;
            waiting.wakers.insert(place, cx.waker().clone());
            drop(waiting);
            self.place = Some(place);
            // It may have begun between the look and the leaving of the waker.
            if self.ending.has_begun() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.ending.0.waiting.lock().wakers.remove(&place);
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
        ending.begin();
        for wait in waiting {
            wait.await.unwrap();
        }
        ending.wait().await;
        assert!(ending.0.waiting.lock().wakers.is_empty());
    }
}
