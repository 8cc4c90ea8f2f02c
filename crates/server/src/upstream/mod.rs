//! Where calls go: an API's upstream with its targets, and which of them takes the next call.
//!
//! What an owner sees: an API has one `upstream` URL, which says how calls look (scheme, `Host`, what stands before the
//! path), and may have `targets`, the machines that take them. The one with the fewest calls for its weight takes the
//! next. A target that fails some times in a row gets rest ([`target`]), one that a health check finds ill gets no calls
//! until it is well ([`watch`]). Names are looked up anew every few seconds, and connections to addresses that a name
//! has no more are left.
//!
//! The arithmetic is the core's; connections are opened in [`dial`] and kept in `gateway::pool`.

pub mod dial;
pub mod secrets;
pub mod target;
pub mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use arrayvec::ArrayVec;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use keystile_core::api::{self, ApiSettings, HealthCheck, MAX_TARGETS, UpstreamProtocol, UpstreamUrl};
use keystile_core::time::Ticks;
use keystile_core::upstream::{Load, choose};

use rustls::ClientConfig;

use crate::tls::{Identity, Trust, UpstreamTls};
pub use dial::{Connector, Dialled, Stream};
pub use secrets::Secrets;
pub use target::{Busy, Target};

/// Where an API's calls go.
pub struct Upstream {
    url: UpstreamUrl,
    /// Its targets as the settings say them; none where the URL's own host is the one.
    listed: Vec<api::Target>,
    /// What is spoken to it.
    pub protocol: UpstreamProtocol,
    /// `Host` as it gets it.
    pub host_header: HeaderValue,
    /// The same for HTTP/2.
    pub authority: Authority,
    /// What stands before every path; without a slash at its end.
    pub base_path: Box<str>,
    /// The machines; at least one.
    pub targets: Vec<Arc<Target>>,
    /// How they are asked whether they are well.
    pub health_check: Option<HealthCheck>,
    /// Failures in a row after which one gets rest; 0 for never.
    pub breaker_failures: u32,
    /// How long one may take to accept a connection, if that is not the server's to say.
    pub connect_timeout: Option<Duration>,
    identity: Option<Arc<Identity>>,
    /// What is spoken with TLS by who shows a certificate, and whom it believes.
    client: ArcSwapOption<(Arc<Trust>, Arc<ClientConfig>)>,
}

impl fmt::Debug for Upstream {
    /// Its URL; what it is shown is nobody's to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.url)
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// No target may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// Nanoseconds until one may.
    pub nanos: u64,
}

impl Upstream {
    /// Prepares the upstream of an API.
    ///
    /// # Panics
    /// If the settings were not checked.
    pub fn new(settings: &ApiSettings, identity: Option<Arc<Identity>>) -> Self {
        let url = &settings.upstream;
        let authority = url.authority();
        let targets = if settings.targets.is_empty() {
            vec![Arc::new(Target::only(url.address()))]
        } else {
            settings.targets.iter().enumerate().map(|(n, target)| Arc::new(Target::one_of(n, target))).collect()
        };
        Self {
            url: url.clone(),
            listed: settings.targets.clone(),
            protocol: settings.upstream_protocol,
            host_header: HeaderValue::try_from(&*authority).expect("hosts are visible ASCII"),
            authority: Authority::try_from(authority).expect("hosts and ports are an authority"),
            base_path: url.base_path().into(),
            targets,
            health_check: settings.health_check.clone(),
            breaker_failures: settings.breaker_failures,
            connect_timeout: settings.connect_timeout_seconds.map(seconds),
            identity,
            client: ArcSwapOption::empty(),
        }
    }

    /// Whether it is what these settings say: then what is known of its targets stays true.
    pub fn is_of(&self, settings: &ApiSettings, identity: Option<&Arc<Identity>>) -> bool {
        let same_identity = match (&self.identity, identity) {
            (None, None) => true,
            (Some(own), Some(other)) => own.is_same(other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        same_identity
            && self.url == settings.upstream
            && self.listed == settings.targets
            && self.protocol == settings.upstream_protocol
            && self.health_check == settings.health_check
            && self.breaker_failures == settings.breaker_failures
            && self.connect_timeout == settings.connect_timeout_seconds.map(seconds)
    }

    /// Whether it is spoken to with TLS.
    pub const fn is_tls(&self) -> bool {
        self.url.is_tls()
    }

    /// The port of its URL.
    pub const fn port(&self) -> u16 {
        self.url.port()
    }

    /// What is spoken to it with TLS.
    pub fn tls_client(&self, tls: &UpstreamTls) -> Arc<ClientConfig> {
        let trust = tls.current();
        if self.identity.is_none() {
            return trust.client(self.protocol);
        }
        let kept = self.client.load();
        if let Some((_, client)) = kept.as_deref().filter(|(of, _)| Arc::ptr_eq(of, &trust)) {
            return client.clone();
        }
        let client = trust.client_with(self.protocol, self.identity.as_deref());
        self.client.store(Some(Arc::new((trust, client.clone()))));
        client
    }

    /// The name that its certificate must have.
    pub fn server_name(&self) -> &str {
        self.url.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The target for the next call, which then counts as one of its calls. `draw` is any number, evenly spread;
    /// `but` is one that this call has tried.
    ///
    /// # Errors
    /// [`Resting`] if all that are left rest.
    pub fn take(&self, now: impl Fn() -> Ticks, draw: u32, but: Option<&Target>) -> Result<Busy, Resting> {
        if let [only] = &*self.targets {
            return match only.is_troubled().then(|| only.try_pass(now())) {
                None | Some(Ok(())) => Ok(Busy::new(only)),
                Some(Err(nanos)) => Err(Resting { nanos }),
            };
        }
        let now = now();
        let mut left: ArrayVec<&Arc<Target>, MAX_TARGETS> =
            self.targets.iter().filter(|target| but.is_none_or(|tried| tried.number != target.number)).collect();
        // Where all are ill the check is more likely to be wrong than all of them.
        if left.iter().any(|target| target.is_healthy() && target.rests_for(now).is_none()) {
            left.retain(|target| target.is_healthy());
        }
        let mut shortest = u64::MAX;
        left.retain(|target| match target.rests_for(now) {
            None => true,
            Some(nanos) => {
                shortest = shortest.min(nanos);
                false
            }
        });
        loop {
            // Read once: they change while this is decided.
            let loads: ArrayVec<Load, MAX_TARGETS> = left.iter().map(|target| target.load()).collect();
            let Some(index) = choose(&loads, draw) else { return Err(Resting { nanos: shortest }) };
            match left[index].try_pass(now) {
                Ok(()) => return Ok(Busy::new(left[index])),
                // Another call was quicker to try it.
                Err(nanos) => shortest = shortest.min(nanos),
            }
            left.swap_remove(index);
        }
    }

    /// The target that answers a call of this upstream.
    pub fn target(&self, busy: &Busy) -> &Target {
        &self.targets[busy.index]
    }

    /// A target of its own as HTTP/2 says it: with scheme and authority (RFC 9113 §8.3.1).
    pub fn absolute(&self, target: &Uri) -> Uri {
        let mut parts = target.clone().into_parts();
        parts.scheme = Some(if self.is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl Target {
    fn load(&self) -> Load {
        Load { in_flight: self.in_flight(), weight: self.weight }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NOW: Ticks = Ticks::from_nanos(1 << 40);

    fn upstream(targets: &[&str]) -> Upstream {
        let mut settings = ApiSettings::new("http://api.internal".parse().unwrap());
        settings.targets = targets.iter().map(|target| target.parse().unwrap()).collect();
        Upstream::new(&settings, None)
    }

    fn taken(upstream: &Upstream, draw: u32) -> String {
        upstream.target(&upstream.take(|| NOW, draw, None).unwrap()).address.to_string()
    }

    #[test]
    fn calls_in_flight_spread_over_all_by_weight() {
        let upstream = upstream(&["a:1", "b:1=2", "c:1=3"]);
        let busy: Vec<Busy> = (0..60).map(|n| upstream.take(|| NOW, n << 26, None).unwrap()).collect();
        let mut calls = HashMap::new();
        for busy in &busy {
            *calls.entry(upstream.target(busy).address.to_string()).or_insert(0) += 1;
        }
        assert_eq!((calls["a:1"], calls["b:1"], calls["c:1"]), (10, 20, 30));
        drop(busy);
        assert!(upstream.targets.iter().all(|target| target.in_flight() == 0), "all are given back");
    }

    #[test]
    fn loads_that_change_meanwhile_confuse_nobody() {
        let upstream = upstream(&["a:1", "b:1=3", "c:1"]);
        std::thread::scope(|scope| {
            for thread in 0..8_u32 {
                let upstream = &upstream;
                scope.spawn(move || {
                    for n in 0..20_000_u32 {
                        let draw = (n * 8 + thread).wrapping_mul(0x9E37_79B9);
                        assert!(upstream.take(|| NOW, draw, None).is_ok());
                    }
                });
            }
        });
        assert!(upstream.targets.iter().all(|target| target.in_flight() == 0));
    }

    #[test]
    fn one_that_rests_or_is_ill_is_passed_over() {
        let upstream = upstream(&["a:1", "b:1", "c:1"]);
        for _ in 0..upstream.breaker_failures {
            upstream.targets[0].failed(NOW, upstream.breaker_failures);
        }
        let ill = HealthCheck { unhealthy_after: 1, ..HealthCheck::default() };
        upstream.targets[1].checked(false, &ill);
        for n in 0..16 {
            assert_eq!(taken(&upstream, n << 28), "c:1");
        }
        upstream.targets[2].checked(false, &ill);
        assert_ne!(taken(&upstream, 0), "a:1", "where all others are ill they get calls all the same");
        assert!(upstream.take(|| NOW, 0, Some(&upstream.targets[2])).is_ok());
    }

    #[test]
    fn when_all_rest_the_call_is_told_when_to_come_again() {
        let upstream = upstream(&["a:1", "b:1"]);
        for target in &upstream.targets {
            target.failed(NOW, 1);
        }
        assert_eq!(upstream.take(|| NOW, 0, None).err(), Some(Resting { nanos: 1_000_000_000 }));
        let later = Ticks::from_nanos(NOW.as_nanos() + 1_000_000_000);
        let trials: Vec<_> = (0..3).map(|_| upstream.take(|| later, 0, None)).collect();
        assert_eq!(trials.iter().flatten().count(), 2, "one call tries each");
        upstream.targets[0].answered();
        assert_eq!(taken(&upstream, u32::MAX), "a:1");
    }

    #[test]
    fn what_is_known_stays_while_the_settings_of_the_upstream_do() {
        let mut settings = ApiSettings::new("http://api.internal".parse().unwrap());
        settings.targets = vec!["a:1".parse().unwrap()];
        let upstream = Upstream::new(&settings, None);
        settings.body_limit_bytes = 7;
        assert!(upstream.is_of(&settings, None));
        settings.targets[0].weight = 2;
        assert!(!upstream.is_of(&settings, None));
    }
}
