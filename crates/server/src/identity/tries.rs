//! Wrong passwords by client address: whoever tries one password at many accounts waits, too. In memory, for it is the moment's
//! affair; what is counted for an account is in the store.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use keystile_core::time::Ticks;

/// Wrong passwords from an address after which it waits. More than a whole office mistypes.
const MAX_FAILURES: u32 = 100;
/// In which time.
const WINDOW_NANOS: u64 = 15 * 60 * 1_000_000_000;
/// Addresses that are remembered; of more, those whose time is over go, and then all.
const MAX_ADDRESSES: usize = 100_000;

/// Letters that are asked for from an address in that time: an office asks for a few.
const MAX_ASKED: u32 = 30;
/// Letters to an address in that time: whoever waits for one asks again, and nobody's mailbox is filled.
const MAX_LETTERS: u32 = 3;

/// How often there was something, of each for a quarter of an hour.
struct Counts<K>(HashMap<K, (u32, Ticks)>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn is_below(&self, most: u32, of: &K, now: Ticks) -> bool {
        self.0.get(of).is_none_or(|(count, since)| *count < most || is_over(*since, now))
    }

    fn note(&mut self, of: K, now: Ticks) {
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&of) {
            self.0.retain(|_, (_, since)| !is_over(*since, now));
            if self.0.len() >= MAX_ADDRESSES {
                self.0.clear();
            }
        }
        let entry = self.0.entry(of).or_insert((0, now));
        if is_over(entry.1, now) {
            *entry = (0, now);
        }
        entry.0 += 1;
    }
}

/// What went wrong from where.
#[derive(Default)]
pub(super) struct Tries(Counts<IpAddr>);

impl Tries {
    /// Whether an address may try. This machine's own may: proxies are there, and with them everybody.
    pub(super) fn may_try(&self, address: Option<IpAddr>, now: Ticks) -> bool {
        address.and_then(counted).is_none_or(|address| self.0.is_below(MAX_FAILURES, &address, now))
    }

    /// Notes that it was wrong.
    pub(super) fn note(&mut self, address: Option<IpAddr>, now: Ticks) {
        if let Some(address) = address.and_then(counted) {
            self.0.note(address, now);
        }
    }
}

/// Which letters were asked for: from where, and to whom, whether there is somebody or not.
#[derive(Default)]
pub(super) struct Letters {
    from: Counts<IpAddr>,
    to: Counts<[u8; 32]>,
}

impl Letters {
    /// Whether an address may ask for one more, which is noted.
    pub(super) fn may_ask(&mut self, address: Option<IpAddr>, now: Ticks) -> bool {
        let Some(address) = address.and_then(counted) else { return true };
        let may = self.from.is_below(MAX_ASKED, &address, now);
        if may {
            self.from.note(address, now);
        }
        may
    }

    /// Whether one more may go to somebody, which is noted.
    pub(super) fn may_go(&mut self, to: [u8; 32], now: Ticks) -> bool {
        let may = self.to.is_below(MAX_LETTERS, &to, now);
        if may {
            self.to.note(to, now);
        }
        may
    }
}

/// Entries of the audit in a minute about answers of nobody who is known: whoever sends many fills nothing.
const MAX_NOTED: u32 = 30;
const MINUTE_NANOS: u64 = 60 * 1_000_000_000;

/// How much was noted of strangers lately.
#[derive(Default)]
pub(super) struct Strangers(Option<(u32, Ticks)>);

impl Strangers {
    /// Whether one more is noted.
    pub(super) fn may_note(&mut self, now: Ticks) -> bool {
        match &mut self.0 {
            Some((count, since)) if now.nanos_since(*since) < MINUTE_NANOS => {
                *count += 1;
                *count <= MAX_NOTED
            }
            other => {
                *other = Some((1, now));
                true
            }
        }
    }
}

fn is_over(since: Ticks, now: Ticks) -> bool {
    now.nanos_since(since) >= WINDOW_NANOS
}

/// The address under which it is counted: of IPv6 the network that one customer has.
fn counted(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
        address => Some(address),
    }
    .filter(|counted| !counted.is_loopback() && !address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a04_an_address_that_is_wrong_too_often_waits_and_others_do_not() {
        let at = |nanos| Ticks::from_nanos(1 << 60).nanos_since(Ticks::from_nanos(0)) + nanos;
        let at = |nanos| Ticks::from_nanos(at(nanos));
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let mut tries = Tries::default();
        for n in 0..MAX_FAILURES {
            assert!(tries.may_try(ip("192.0.2.1"), at(0)), "{n}");
            tries.note(ip("192.0.2.1"), at(0));
            tries.note(ip(&format!("2001:db8::{n:x}")), at(0));
            tries.note(ip("127.0.0.1"), at(0));
        }
        assert!(!tries.may_try(ip("192.0.2.1"), at(0)) && !tries.may_try(ip("::ffff:192.0.2.1"), at(0)));
        assert!(!tries.may_try(ip("2001:db8::ffff"), at(WINDOW_NANOS - 1)), "a network of IPv6 counts as one");
        for free in ["192.0.2.2", "2001:db8:0:1::1", "127.0.0.1", "::1"] {
            assert!(tries.may_try(ip(free), at(0)), "{free}");
        }
        assert!(tries.may_try(ip("192.0.2.1"), at(WINDOW_NANOS)));
        tries.note(ip("192.0.2.1"), at(WINDOW_NANOS));
        assert!(tries.may_try(ip("192.0.2.1"), at(WINDOW_NANOS)));
        assert!(tries.may_try(None, at(0)));
    }

    #[test]
    fn whoever_asks_for_many_letters_or_to_one_mailbox_gets_some() {
        let at = |nanos| Ticks::from_nanos((1 << 60) + nanos);
        let mut letters = Letters::default();
        let asked = (0..100).filter(|_| letters.may_ask("192.0.2.1".parse().ok(), at(0))).count();
        assert_eq!(asked, MAX_ASKED as usize);
        assert!(letters.may_ask("192.0.2.2".parse().ok(), at(0)) && letters.may_ask(None, at(0)));
        assert!(!letters.may_ask("192.0.2.1".parse().ok(), at(WINDOW_NANOS - 1)));
        assert!(letters.may_ask("192.0.2.1".parse().ok(), at(WINDOW_NANOS)));
        assert_eq!((0..100).filter(|_| letters.may_go([1; 32], at(0))).count(), MAX_LETTERS as usize);
        assert!(letters.may_go([2; 32], at(0)) && letters.may_go([1; 32], at(WINDOW_NANOS)));
    }

    #[test]
    fn a04_e07_of_strangers_a_sample_is_noted() {
        let at = |nanos| Ticks::from_nanos((1 << 60) + nanos);
        let mut strangers = Strangers::default();
        let noted = (0..1_000).filter(|n| strangers.may_note(at(*n))).count();
        assert_eq!(noted, MAX_NOTED as usize);
        assert!(!strangers.may_note(at(MINUTE_NANOS - 1)) && strangers.may_note(at(MINUTE_NANOS)));
    }

    #[test]
    fn l06_the_addresses_that_are_remembered_are_bounded() {
        let mut tries = Tries::default();
        for n in 0..MAX_ADDRESSES as u32 + 10 {
            tries.note(Some(IpAddr::V4(n.to_be_bytes().into())), Ticks::from_nanos(1 << 60));
        }
        assert!(tries.0.0.len() <= MAX_ADDRESSES);
    }
}
