//! Whether the snapshot is known to be what the catalogue says, and for how long it may be used when it is not.
//!
//! The control plane asks the catalogue once a second ([`watch`](super::watch)) and writes down here until when its
//! answer counts. A call reads two numbers. While the store can't be asked, keys that are known go on; of one that is not,
//! nobody can say that it does not exist, so it is told to come again. After `max_staleness` nobody is let through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_core::time::Ticks;
use keystile_store::StoreFault;
use parking_lot::Mutex;

/// How long an answer of the catalogue counts. It is asked every second; a failure counts at once, silence when a busy
/// machine does not explain it any more.
const CURRENT_FOR: Duration = Duration::from_secs(5);

/// Why the snapshot is not known to be current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of failure it is.
    pub fault: StoreFault,
    /// For those who run the server.
    pub why: String,
}

/// What is known of how current the snapshot is.
pub struct News {
    current_until: AtomicU64,
    usable_until: AtomicU64,
    doubt: Mutex<Option<Trouble>>,
}

impl Default for News {
    /// Current until somebody begins to watch.
    fn default() -> Self {
        Self {
            current_until: AtomicU64::new(u64::MAX),
            usable_until: AtomicU64::new(u64::MAX),
            doubt: Mutex::default(),
        }
    }
}

impl News {
    /// The catalogue was asked at this moment and answered: the snapshot holds all that it held then.
    pub fn confirm(&self, asked: Ticks, max_staleness: Duration) {
        let after = |time: Duration| {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            asked.as_nanos().saturating_add(nanos)
        };
        self.usable_until.store(after(max_staleness.max(CURRENT_FOR)), Ordering::Relaxed);
        self.current_until.store(after(CURRENT_FOR), Ordering::Relaxed);
        *self.doubt.lock() = None;
    }

    /// The catalogue can't be asked, and that is why. `strict` is whether nothing may be used without it.
    pub fn doubt(&self, trouble: Trouble, strict: bool) {
        *self.doubt.lock() = Some(trouble);
        self.current_until.store(0, Ordering::Relaxed);
        if strict {
            self.usable_until.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the snapshot is what the catalogue says.
    pub fn is_current(&self, at: Ticks) -> bool {
        at.as_nanos() <= self.current_until.load(Ordering::Relaxed)
    }

    /// Whether the snapshot may be used.
    pub fn is_usable(&self, at: Ticks) -> bool {
        at.as_nanos() <= self.usable_until.load(Ordering::Relaxed)
    }

    /// Why the snapshot is not known to be current; `None` if it is.
    pub fn trouble(&self, at: Ticks) -> Option<Trouble> {
        if self.is_current(at) {
            return None;
        }
        let silent = || Trouble {
            fault: StoreFault::Away,
            why: "it does not answer; another program holds it, or the disk hangs".to_owned(),
        };
        Some(self.doubt.lock().clone().unwrap_or_else(silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(secs: u64) -> Ticks {
        Ticks::from_nanos((1 << 60) + secs * 1_000_000_000)
    }

    /// What is said of each second: `c`urrent, `u`sable, or neither.
    fn told(news: &News, seconds: &[u64]) -> String {
        let one = |second: &u64| match (news.is_current(at(*second)), news.is_usable(at(*second))) {
            (true, true) => 'c',
            (false, true) => 'u',
            (false, false) => '-',
            (true, false) => '!',
        };
        seconds.iter().map(one).collect()
    }

    #[test]
    fn r14_news_grow_old_by_themselves_and_are_used_for_so_long_and_no_longer() {
        let news = News::default();
        assert_eq!(told(&news, &[0, 1_000_000]), "cc", "nobody watches");
        news.confirm(at(10), MINUTE);
        assert_eq!(told(&news, &[10, 15, 16, 70, 71]), "ccuu-");
        news.confirm(at(70), MINUTE);
        assert_eq!(told(&news, &[70, 130, 131]), "cu-", "the catalogue answered again");
    }

    #[test]
    fn r14_a_doubt_counts_at_once_and_closes_only_where_it_is_to() {
        let news = News::default();
        let full = Trouble { fault: StoreFault::Full, why: "the disk is full".to_owned() };
        news.confirm(at(10), MINUTE);
        news.doubt(full.clone(), false);
        assert_eq!(told(&news, &[10, 70, 71]), "uu-");
        assert_eq!(news.trouble(at(10)).as_ref(), Some(&full));
        news.confirm(at(20), Duration::ZERO);
        assert_eq!((told(&news, &[20, 25, 26]).as_str(), news.trouble(at(20))), ("cc-", None));
        news.doubt(full, true);
        assert_eq!(told(&news, &[20]), "-");
    }
}
