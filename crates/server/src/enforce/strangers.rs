//! Limits of those who call without a key: by address, in a bounded table.
//!
//! Addresses that fall onto one place of the table share its counters: then each may call less often than it might, never
//! more often. So memory stays bounded whoever calls, and no flood of addresses makes anybody's count forgotten.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use keystile_core::decide::{Admission, Weights, reading, settle};
use keystile_core::limit::LimitRule;
use keystile_core::restrict::Rules;
use keystile_core::time::Ticks;

use super::counters::Counters;
use super::engine::Verdict;

/// Places of one API: some MiB at most.
const PLACES: u32 = 1 << 14;

/// Who called one API without a key. It outlives changes of the API's settings.
#[derive(Clone)]
pub struct Strangers(Arc<Table>);

struct Table {
    counters: Counters,
    hasher: RandomState,
}

impl Default for Strangers {
    fn default() -> Self {
        Self(Arc::new(Table { counters: Counters::new(), hasher: RandomState::new() }))
    }
}

/// What one API allows them.
pub struct AnonymousLimits {
    /// The limits; with none they call as often as they like.
    pub rules: Vec<LimitRule>,
    /// `RateLimit-Policy`, if there are limits.
    pub header: Option<HeaderValue>,
    fingerprint: u64,
}

impl AnonymousLimits {
    /// Prepares the limits.
    pub fn new(rules: Vec<LimitRule>) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        rules.hash(&mut hasher);
        Self { fingerprint: hasher.finish(), header: crate::ratelimit::policy_field(&rules), rules }
    }
}

impl Strangers {
    /// Charges a call from an address; a network of 64 bits of IPv6 is one, because one client has all of it.
    pub fn check(&self, limits: &AnonymousLimits, client: IpAddr, now: Ticks) -> Verdict {
        let place = match client {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> 64 | 1 << 127,
        };
        // Keyed at random: nobody can aim at another one's place.
        let place = self.0.hasher.hash_one(place) as u32 % PLACES;
        let mut weights = Weights::new();
        let admission = Admission { rules: &limits.rules, cost: 1, shadow: Rules::NONE };
        self.0.counters.charge(place, &admission, limits.fingerprint, now, &mut weights);
        let decision = settle(&weights);
        let readings = weights.iter().map(reading).collect();
        Verdict { readings, retry_nanos: decision.retry_nanos, ..Verdict::without_key(decision.code) }
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::limit::Algorithm;

    use super::*;

    const NOW: Ticks = Ticks::from_nanos(1 << 60);

    fn limits(limit: u32) -> AnonymousLimits {
        AnonymousLimits::new(vec![LimitRule::new("hour", limit, 3_600, Algorithm::SlidingWindow, None).unwrap()])
    }

    fn allowed(strangers: &Strangers, limits: &AnonymousLimits, address: &str) -> bool {
        strangers.check(limits, address.parse().unwrap(), NOW).code.is_allowed()
    }

    #[test]
    fn k19_each_address_has_its_own_limit_and_a_network_of_ipv6_has_one() {
        let (strangers, limits) = (Strangers::default(), limits(2));
        for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            assert!(allowed(&strangers, &limits, address) && allowed(&strangers, &limits, address), "{address}");
            assert!(!allowed(&strangers, &limits, address), "{address}");
        }
        assert!(!allowed(&strangers, &limits, "2001:db8::ffff"), "the same network");
        assert!(allowed(&strangers, &limits, "2001:db8:0:1::1"), "another one");
        assert!(allowed(&strangers, &AnonymousLimits::new(Vec::new()), "192.0.2.1"), "without limits all pass");
    }

    #[test]
    fn k19_a_flood_of_addresses_makes_nobodys_count_forgotten() {
        let (strangers, limits) = (Strangers::default(), limits(1));
        assert!(allowed(&strangers, &limits, "192.0.2.1"));
        for n in 0..200_000_u32 {
            strangers.check(&limits, IpAddr::V4(n.into()), NOW);
        }
        assert!(!allowed(&strangers, &limits, "192.0.2.1"));
    }
}
