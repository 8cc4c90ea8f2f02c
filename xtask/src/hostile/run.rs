//! Sends the cases, several connections at once, and adds up what came of them.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::case::{Case, Cases};
use super::judge::{self, Law};
use super::reader;
use super::tap::Seen;
use super::upstreams::Kind;
use crate::clock;

/// Connections in flight: enough to keep two cores busy while some wait.
const CONNECTIONS: usize = 32;
/// After so many disagreements there is no need for more.
const ENOUGH: usize = 200;

/// An API of the gateway, whose upstream is one of the servers.
pub(super) struct Api {
    /// The server.
    pub kind: Kind,
    /// The API's host.
    pub host: &'static str,
    /// What came to the server.
    pub seen: Arc<Seen>,
}

/// Where the gateway and an upstream, or the case, do not agree.
#[derive(Debug)]
pub(super) struct Disagreement {
    /// The case, as far as it is known.
    pub case: String,
    /// The upstream.
    pub upstream: &'static str,
    /// What is wrong.
    pub what: String,
}

/// What came of all cases.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Connections made.
    pub connections: u64,
    /// Requests that were passed on, answered and judged, by upstream.
    pub forwarded: BTreeMap<&'static str, u64>,
    /// Refusals of the gateway, by code.
    pub refused: BTreeMap<String, u64>,
    /// Connections that were closed without any answer, because no request was complete.
    pub silent: u64,
    /// What may not be.
    pub disagreements: Vec<Disagreement>,
    /// How long it took.
    pub took: Duration,
}

/// Sends each case to each API.
pub(super) fn run(gateway: SocketAddr, law: &Law, apis: &[Api], cases: &Cases, done: &(dyn Fn() + Sync)) -> Outcome {
    let begun = clock::now();
    let outcome = Mutex::new(Outcome::default());
    let next = AtomicU64::new(0);
    let found = AtomicUsize::new(0);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cases.count() {
                        break;
                    }
                    let case = cases.get(number);
                    for api in apis {
                        let faults = try_case(gateway, law, api, &case, &outcome);
                        enough
                            .fetch_or(found.fetch_add(faults, Ordering::Relaxed) + faults > ENOUGH, Ordering::Relaxed);
                    }
                    done();
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    left_over(apis, &mut outcome);
    outcome.took = begun.elapsed();
    outcome
}

fn try_case(gateway: SocketAddr, law: &Law, api: &Api, case: &Case, outcome: &Mutex<Outcome>) -> usize {
    let bytes = case.bytes_for(api.host, &law.key);
    let reading = reader::read(&bytes);
    let heard = super::client::send(gateway, &bytes, &case.cuts, case.slowly, &reading);
    let (answers, fault) = match heard {
        Ok(heard) => (heard.answers, heard.fault),
        Err(error) => (Vec::new(), Some(format!("no connection to the gateway: {error}"))),
    };
    let mut judgement = judge::heard(&reading, &answers, |id| api.seen.take(id));
    judgement.faults.extend(fault);
    let faults = judgement.faults.len();
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.connections += 1;
    outcome.silent += u64::from(answers.is_empty());
    *outcome.forwarded.entry(api.kind.name()).or_default() += judgement.forwarded;
    for (code, count) in judgement.refused {
        *outcome.refused.entry(code).or_default() += count;
    }
    outcome.disagreements.extend(judgement.faults.into_iter().map(|what| Disagreement {
        case: case.name.clone(),
        upstream: api.kind.name(),
        what,
    }));
    faults
}

/// Requests that came to an upstream, and that no client has an answer to: none may be.
fn left_over(apis: &[Api], outcome: &mut Outcome) {
    let known: HashSet<String> = outcome.disagreements.iter().map(|found| found.case.clone()).collect();
    for api in apis {
        let (arrivals, faults) = api.seen.rest();
        for arrival in arrivals {
            let case = arrival.sent.one("x-case").map_or_else(|| "?".into(), |n| format!("#{}", n.escape_ascii()));
            // A case that failed otherwise did not ask for all of its answers.
            if known.contains(&case) && arrival.fault.is_none() {
                continue;
            }
            let fault = arrival.fault.unwrap_or_else(|| "nobody has the answer to it".into());
            let what = format!("came to the upstream: {fault}: {}", arrival.sent.shown());
            outcome.disagreements.push(Disagreement { case, upstream: api.kind.name(), what });
        }
        for what in faults {
            outcome.disagreements.push(Disagreement { case: "?".into(), upstream: api.kind.name(), what });
        }
    }
}
