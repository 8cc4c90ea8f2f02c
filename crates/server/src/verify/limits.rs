//! `POST /v1/limits/check` and `/v1/limits/multi`: limits for whatever an owner wants to limit without a key. The question
//! has the limit in it, so nothing is set up before; counters are the engine's own, exact and all or nothing. With the
//! algorithm `concurrency` the answer has a lease, which `POST /v1/limits/release` gives back, as it does those of
//! verifications. `POST /v1/usage/report` does so too, and says what a call cost that was verified with `"report": true`: its
//! limits and what is counted of it are put right by the difference.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Request;
use hyper::body::Incoming;
use keystile_core::Code;
use keystile_core::decide::{MAX_ASKED, Weight, Weights, reading, settle};
use keystile_core::id::{LeaseId, OrganizationId, RequestId};
use keystile_core::limit::{Algorithm, LimitRule, MAX_LIMIT, MAX_SUBJECT_LEN, Weighed};
use keystile_core::time::Moment;
use keystile_core::usage::{Counts, UsageEvent};
use serde::{Deserialize, Serialize};

use super::answer::Lease;
use super::{AskedBy, hear, invalid, lend};
use crate::enforce::counters::Apart;
use crate::enforce::leases::Lent;
use crate::gateway::Worker;
use crate::problem::Problem;
use crate::ratelimit::seconds;
use crate::usage::Event;

/// The right to ask, where a management key is needed for it.
const CHECK_LIMITS: &str = "limits.check";
/// The right to say that a call has ended: whoever may begin one has it.
const END_CALLS: &str = "keys.verify OR limits.check";
/// The right to tell what calls cost.
const REPORT_USAGE: &str = "usage.report";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether one limit has room.
    Check,
    /// Whether several have, all of them or none.
    Multi,
    /// A lease is given back.
    Release,
    /// A lease is given back, and what its call cost is told.
    Report,
}

impl Asked {
    /// What is asked at a path, if anything is.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/limits/check" => Some(Self::Check),
            "/v1/limits/multi" => Some(Self::Multi),
            "/v1/limits/release" => Some(Self::Release),
            "/v1/usage/report" => Some(Self::Report),
            _ => None,
        }
    }
}

/// One limit, and whom it is counted for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check<'a> {
    /// What is limited: others of another name, window or algorithm are counted apart.
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// Whom it is counted for.
    #[serde(borrow)]
    subject: Cow<'a, str>,
    /// How much fits into a window.
    limit: u32,
    #[serde(default)]
    window_seconds: Option<u32>,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default)]
    burst: Option<u32>,
    /// What it counts; 1 if nothing is said, 0 to look without counting.
    #[serde(default)]
    cost: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Multi<'a> {
    #[serde(borrow)]
    limits: Vec<Check<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    lease: LeaseId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    lease: LeaseId,
    /// What the call cost.
    cost: u32,
}

/// What is left of one limit.
#[derive(Serialize)]
struct Left {
    limit: u32,
    remaining: u32,
    /// Seconds until all of it is there again.
    reset: u64,
    /// Seconds after which the same would fit, if it does not now and waiting helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// What one of several limits says.
#[derive(Serialize)]
struct Said<'a> {
    name: &'a str,
    allowed: bool,
    #[serde(flatten)]
    left: Left,
}

/// What is common to both answers.
#[derive(Serialize)]
struct Answer<T> {
    allowed: bool,
    code: Code,
    #[serde(flatten)]
    said: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    request_id: RequestId,
}

#[derive(Serialize)]
struct Several<'a> {
    limits: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Reported {
    /// Whether it was counted: a lease that has ended, or of which no cost was to be told, is none for that.
    reported: bool,
    request_id: RequestId,
}

#[derive(Serialize)]
struct Released {
    /// Whether it was there: one that has ended by itself is not.
    released: bool,
    request_id: RequestId,
}

pub(super) async fn answer(
    worker: &Worker,
    asked: Asked,
    asked_by: AskedBy,
    address: IpAddr,
    request: Request<Incoming>,
    id: RequestId,
) -> Result<Vec<u8>, Problem> {
    let right = match asked {
        Asked::Check | Asked::Multi => CHECK_LIMITS,
        Asked::Release => END_CALLS,
        Asked::Report => REPORT_USAGE,
    };
    let (owner, body) = hear(worker, (asked_by, right), address, request).await?;
    let now = worker.recorder.clock.now();
    let unread = |error: serde_json::Error| invalid(error.to_string());
    let checks = match asked {
        Asked::Check => vec![serde_json::from_slice(&body).map_err(unread)?],
        Asked::Multi => serde_json::from_slice::<Multi<'_>>(&body).map_err(unread)?.limits,
        Asked::Release => {
            let Release { lease } = serde_json::from_slice(&body).map_err(unread)?;
            worker.engine.leases.end_those_over(now.ticks);
            let released = worker.engine.leases.release(lease, owner);
            return Ok(serde_json::to_vec(&Released { released, request_id: id }).unwrap_or_default());
        }
        Asked::Report => {
            let Report { lease, cost } = serde_json::from_slice(&body).map_err(unread)?;
            if cost > MAX_LIMIT {
                return Err(invalid(format!("cost is 0 to {MAX_LIMIT}.")));
            }
            let reported = report(worker, (lease, owner), cost, now);
            return Ok(serde_json::to_vec(&Reported { reported, request_id: id }).unwrap_or_default());
        }
    };
    if checks.is_empty() || checks.len() > MAX_ASKED {
        return Err(invalid(format!("limits takes 1 to {MAX_ASKED} of them.")));
    }
    let apart =
        checks.iter().map(|check| Ok(Apart { owner, ..check.apart()? })).collect::<Result<Vec<_>, Problem>>()?;
    let same = |a: &Apart<'_>, b: &Apart<'_>| a.rule.identity() == b.rule.identity() && a.subject == b.subject;
    if apart.iter().enumerate().any(|(n, one)| apart[..n].iter().any(|other| same(one, other))) {
        return Err(invalid(
            "The same limit of the same subject is there twice; ask for it once, with the sum of both costs.",
        ));
    }
    worker.engine.leases.end_those_over(now.ticks);
    let mut weights = Weights::new();
    let held = worker.engine.counters.charge_apart(&apart, now, &mut weights);
    let code = settle(&weights).code;
    let lease = lend(worker, Lent { owner, held, drawn: None, reports: None }, id, now);
    let allowed = code.is_allowed();
    let body = match (asked, &weights[..]) {
        (Asked::Check, [one]) => {
            serde_json::to_vec(&Answer { allowed, code, said: Left::of(one), lease, request_id: id })
        }
        _ => {
            let said = apart.iter().zip(&weights).map(|(one, weight)| Said {
                name: one.rule.name.as_str(),
                allowed: matches!(weight.weighed, Weighed::Fits { .. }),
                left: Left::of(weight),
            });
            let said = Several { limits: said.collect() };
            serde_json::to_vec(&Answer { allowed, code, said, lease, request_id: id })
        }
    };
    Ok(body.unwrap_or_default())
}

/// Puts right what a call cost; once.
fn report(worker: &Worker, (lease, owner): (LeaseId, Option<OrganizationId>), cost: u32, now: Moment) -> bool {
    worker.engine.leases.end_those_over(now.ticks);
    let Some(lent) = worker.engine.leases.end(lease, owner, true) else { return false };
    let (Some(mut held), Some(dimensions)) = (lent.held, lent.reports) else { return false };
    if let Some(mut drawn) = lent.drawn {
        drawn.costs(cost);
    }
    let more = i64::from(cost) - i64::from(held.cost());
    held.costs(cost, now);
    let counts = Counts { cost: more, ..Counts::default() };
    let kept = UsageEvent { at: now.wall, dimensions, client: None, counts };
    worker.recorder.buffer.push(Event { kept, upstream_us: None });
    true
}

impl Check<'_> {
    fn apart(&self) -> Result<Apart<'_>, Problem> {
        if self.subject.is_empty() || self.subject.len() > MAX_SUBJECT_LEN {
            return Err(invalid(format!("subject is 1 to {MAX_SUBJECT_LEN} bytes.")));
        }
        let window = self.window_seconds.or(self.algorithm.default_window());
        let window = window.ok_or_else(|| invalid("Say window_seconds."))?;
        let rule = LimitRule::new(&self.name, self.limit, window, self.algorithm, self.burst);
        let rule = rule.map_err(|error| invalid(format!("{error}.")))?;
        Ok(Apart { owner: None, rule, subject: &self.subject, cost: self.cost.unwrap_or(1) })
    }
}

impl Left {
    fn of(weight: &Weight) -> Self {
        let left = reading(weight);
        let retry_after = match weight.weighed {
            Weighed::Fits { .. } => None,
            Weighed::Over { retry_nanos, .. } => retry_nanos.map(seconds),
        };
        let (limit, remaining) = (left.limit, left.remaining);
        Self { limit, remaining, reset: seconds(left.reset_nanos), retry_after }
    }
}
