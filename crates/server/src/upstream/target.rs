//! A target: its address, the calls that it is answering, and what is known of its health. All workers share it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use keystile_core::api::{self, HealthCheck, TargetAddress};
use keystile_core::time::Ticks;
use keystile_core::upstream::{Breaker, Checks};
use parking_lot::Mutex;

/// A machine that takes calls.
pub struct Target {
    /// No other target of this process has it.
    pub number: u64,
    /// Its place among those of its upstream.
    pub index: usize,
    /// Where it listens.
    pub address: TargetAddress,
    /// Its share.
    pub weight: u32,
    /// The addresses of its name; empty as long as nobody has looked.
    resolved: ArcSwap<Vec<SocketAddr>>,
    is_name: bool,
    /// With others beside it calls are counted; alone it takes all.
    counts: bool,
    in_flight: AtomicU32,
    turns: AtomicU32,
    /// Whether there is anything in the breaker; looked at by every call.
    troubled: AtomicBool,
    breaker: Mutex<Breaker>,
    healthy: AtomicBool,
    checks: Mutex<Checks>,
}

/// A call that a target is answering, until it is dropped.
pub struct Busy {
    /// The target's number.
    pub number: u64,
    /// Its place among those of its upstream.
    pub index: usize,
    /// Nothing where it stands alone: workers would only contend for it.
    counted: Option<Arc<Target>>,
}

impl Busy {
    pub(super) fn new(target: &Arc<Target>) -> Self {
        if target.counts {
            target.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        Self { number: target.number, index: target.index, counted: target.counts.then(|| target.clone()) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(target) = &self.counted {
            target.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Target {
    /// The only one of its upstream.
    pub(super) fn only(address: TargetAddress) -> Self {
        Self::new(address, 1, 0, false)
    }

    /// One of several.
    pub(super) fn one_of(index: usize, target: &api::Target) -> Self {
        Self::new(target.address.clone(), target.weight, index, true)
    }

    fn new(address: TargetAddress, weight: u32, index: usize, counts: bool) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let literal = address.host().parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, address.port()));
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            index,
            resolved: ArcSwap::from_pointee(literal.into_iter().collect()),
            is_name: literal.is_none(),
            address,
            weight,
            counts,
            in_flight: AtomicU32::new(0),
            turns: AtomicU32::new(0),
            troubled: AtomicBool::new(false),
            breaker: Mutex::default(),
            healthy: AtomicBool::new(true),
            checks: Mutex::default(),
        }
    }

    /// Calls that it is answering.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The same; `None` where it stands alone, and nobody counts.
    pub fn counted(&self) -> Option<u32> {
        self.counts.then(|| self.in_flight())
    }

    /// Whether active checks find it well.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    /// Nanoseconds until a call may go to it; `None` if one may now.
    pub fn rests_for(&self, now: Ticks) -> Option<u64> {
        if self.is_troubled() { self.breaker.lock().rests_for(now) } else { None }
    }

    /// Whether it gets no calls but one that tries it.
    pub fn is_resting(&self) -> bool {
        self.is_troubled() && !matches!(*self.breaker.lock(), Breaker::Closed { .. })
    }

    /// Takes the right to send it a call, or says for how many nanoseconds it rests.
    pub(super) fn try_pass(&self, now: Ticks) -> Result<(), u64> {
        if !self.is_troubled() {
            return Ok(());
        }
        let mut breaker = self.breaker.lock();
        if breaker.try_pass(now) { Ok(()) } else { Err(breaker.rests_for(now).unwrap_or_default()) }
    }

    /// A call to it failed, through no fault of the client. `most` in a row bring it rest.
    pub fn failed(&self, now: Ticks, most: u32) {
        self.troubled.store(true, Ordering::Relaxed);
        if self.breaker.lock().fail(now, most) {
            tracing::warn!(target = %self.address, failures = most, "a target failed too often in a row and gets no calls for a while");
        }
    }

    /// It answered a call.
    pub fn answered(&self) {
        if !self.is_troubled() {
            return;
        }
        let mut breaker = self.breaker.lock();
        self.troubled.store(false, Ordering::Relaxed);
        if breaker.succeed() {
            tracing::info!(target = %self.address, "a target answers again and gets calls");
        }
    }

    /// An active check went well or did not.
    pub fn checked(&self, went_well: bool, check: &HealthCheck) {
        let mut checks = self.checks.lock();
        if !checks.note(went_well, check) {
            return;
        }
        self.healthy.store(checks.is_healthy(), Ordering::Relaxed);
        if checks.is_healthy() {
            tracing::info!(target = %self.address, "a target passes its health checks again and gets calls");
        } else {
            tracing::warn!(target = %self.address, "a target fails its health checks and gets no calls");
        }
    }

    /// Its addresses as they are known, each time beginning with another one of the family that comes first, so that
    /// connections spread.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = self.resolved.load().to_vec();
        let Some(first) = addresses.first() else { return addresses };
        let family = addresses.iter().take_while(|address| address.is_ipv4() == first.is_ipv4()).count();
        addresses[..family].rotate_left(self.turns.fetch_add(1, Ordering::Relaxed) as usize % family);
        addresses
    }

    /// Whether a connection to this address still leads to it.
    pub fn is_at(&self, address: &SocketAddr) -> bool {
        !self.is_name || self.resolved.load().contains(address)
    }

    /// Looks its name up, if it has one. What was known stays if that fails.
    ///
    /// # Errors
    /// If the name can't be looked up, or has no address.
    pub async fn resolve(&self) -> io::Result<()> {
        if !self.is_name {
            return Ok(());
        }
        let found: Vec<_> = tokio::net::lookup_host((self.address.host(), self.address.port())).await?.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        if **self.resolved.load() != found {
            self.resolved.store(Arc::new(found));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_spread_over_the_addresses_of_a_name() {
        let target = Target::only("api.internal:80".parse::<TargetAddress>().unwrap());
        assert_eq!(target.addresses(), []);
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = ["10.0.0.1:80", "10.0.0.2:80", "[2001:db8::1]:80"].map(address);
        target.resolved.store(Arc::new(all.to_vec()));
        assert_eq!(target.addresses(), [all[0], all[1], all[2]]);
        assert_eq!(target.addresses(), [all[1], all[0], all[2]]);
        assert!(target.is_at(&all[2]) && !target.is_at(&address("10.0.0.3:80")));
    }
}
