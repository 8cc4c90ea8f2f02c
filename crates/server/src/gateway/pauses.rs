//! Answers that pause for too long, or take too long altogether. A timer for each would cost every call something;
//! here an answer that has to wait leaves word, and once a second somebody looks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

/// All answers of one worker that wait for their upstream.
#[derive(Default)]
pub struct Pauses {
    /// Seconds that were ticked.
    now: Cell<u32>,
    waiting: RefCell<Vec<Waiting>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Default)]
struct Waiting {
    until: u32,
    waker: Option<Waker>,
}

impl Pauses {
    /// A second has passed. Wakes those whose time is over.
    pub fn tick(&self) {
        let now = self.now.get().saturating_add(1);
        self.now.set(now);
        let over: Vec<Waker> = self
            .waiting
            .borrow_mut()
            .iter_mut()
            .filter_map(|waiting| waiting.waker.take_if(|_| waiting.until <= now))
            .collect();
        over.into_iter().for_each(Waker::wake);
    }

    /// An answer that begins now.
    pub(super) fn begin(self: &Rc<Self>, longest: Duration, in_all: Option<Duration>) -> Pause {
        let now = self.now.get();
        Pause {
            longest: seconds(longest),
            end: in_all.map_or(u32::MAX, |all| now.saturating_add(seconds(all))),
            moved: now,
            place: None,
            pauses: self.clone(),
        }
    }
}

/// In whole seconds, and one more: the current one has begun already.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
}

/// The pauses of one answer.
pub(super) struct Pause {
    longest: u32,
    end: u32,
    /// When something came last.
    moved: u32,
    /// Where it leaves word, once it had to.
    place: Option<usize>,
    pauses: Rc<Pauses>,
}

impl Pause {
    /// Something came.
    pub(super) fn moved(&mut self) {
        self.moved = self.pauses.now.get();
    }

    /// Nothing came: whether that is so for too long. If not, the task is woken when it is.
    pub(super) fn is_over(&mut self, cx: &Context<'_>) -> bool {
        let until = self.moved.saturating_add(self.longest).min(self.end);
        if until <= self.pauses.now.get() {
            return true;
        }
        let mut waiting = self.pauses.waiting.borrow_mut();
        let place = *self.place.get_or_insert_with(|| {
            self.pauses.free.borrow_mut().pop().unwrap_or_else(|| {
                waiting.push(Waiting::default());
                waiting.len() - 1
            })
        });
        waiting[place] = Waiting { until, waker: Some(cx.waker().clone()) };
        false
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.pauses.waiting.borrow_mut()[place].waker = None;
            self.pauses.free.borrow_mut().push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ticks(pauses: &Pauses, count: usize) {
        (0..count).for_each(|_| pauses.tick());
    }

    #[test]
    fn who_pauses_too_long_is_woken_and_who_moves_is_not() {
        let (pauses, woken) = (Rc::new(Pauses::default()), Arc::new(Woken::default()));
        let waker = woken.clone().into();
        let cx = Context::from_waker(&waker);
        let mut pause = pauses.begin(Duration::from_secs(3), None);
        assert!(!pause.is_over(&cx));
        ticks(&pauses, 3);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        pause.moved();
        assert!(!pause.is_over(&cx));
        ticks(&pauses, 3);
        assert!(!pause.is_over(&cx) && woken.0.load(Ordering::Relaxed) == 0);
        ticks(&pauses, 1);
        assert!(pause.is_over(&cx));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn all_of_an_answer_has_an_end_however_it_moves() {
        let pauses = Rc::new(Pauses::default());
        let cx = Context::from_waker(Waker::noop());
        let mut pause = pauses.begin(Duration::from_secs(3), Some(Duration::from_secs(5)));
        for _ in 0..5 {
            assert!(!pause.is_over(&cx));
            ticks(&pauses, 1);
            pause.moved();
        }
        ticks(&pauses, 1);
        assert!(pause.is_over(&cx));
    }

    #[test]
    fn places_are_used_again() {
        let pauses = Rc::new(Pauses::default());
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..10 {
            let mut two = [0, 1].map(|_| pauses.begin(Duration::from_secs(1), None));
            assert!(two.iter_mut().all(|pause| !pause.is_over(&cx)));
        }
        assert_eq!(pauses.waiting.borrow().len(), 2);
    }
}
