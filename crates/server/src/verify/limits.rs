//! `POST /v1/limits/check` and `/v1/limits/multi`: limits for whatever an owner wants to limit without a key. The question
//! has the limit in it, so nothing is set up before; counters are the engine's own, exact and all or nothing. With the
//! algorithm `concurrency` the answer has a lease, which `POST /v1/limits/release` gives back, as it does those of
//! verifications.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Request;
use hyper::body::Incoming;
use keystile_core::Code;
use keystile_core::decide::{MAX_ASKED, Weight, Weights, reading, settle};
use keystile_core::facts::Facts;
use keystile_core::id::{LeaseId, RequestId};
use keystile_core::limit::{Algorithm, DEFAULT_LEASE_SECS, LimitRule, MAX_SUBJECT_LEN, Weighed};
use serde::{Deserialize, Serialize};

use super::answer::Lease;
use super::{AskedBy, invalid, lend, may_ask, read};
use crate::enforce::counters::Apart;
use crate::gateway::Worker;
use crate::problem::Problem;
use crate::ratelimit::seconds;

/// The right to ask, where a management key is needed for it.
const CHECK_LIMITS: &str = "limits.check";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether one limit has room.
    Check,
    /// Whether several have, all of them or none.
    Multi,
    /// A lease is given back.
    Release,
}

impl Asked {
    /// What is asked at a path, if anything is.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/limits/check" => Some(Self::Check),
            "/v1/limits/multi" => Some(Self::Multi),
            "/v1/limits/release" => Some(Self::Release),
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

/// What one limit says.
#[derive(Serialize)]
struct Said<'a> {
    name: &'a str,
    allowed: bool,
    limit: u32,
    remaining: u32,
    /// Seconds until all of it is there again.
    reset: u64,
    /// Seconds after which the same would fit, if it does not now and waiting helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
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
struct One {
    limit: u32,
    remaining: u32,
    reset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Several<'a> {
    limits: Vec<Said<'a>>,
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
    let now = worker.recorder.clock.now();
    let owner = may_ask(worker, (asked_by, CHECK_LIMITS), address, request.headers(), Facts::at(now))?;
    let body = read(request).await?;
    let unread = |error: serde_json::Error| invalid(error.to_string());
    let checks = match asked {
        Asked::Check => vec![serde_json::from_slice(&body).map_err(unread)?],
        Asked::Multi => serde_json::from_slice::<Multi<'_>>(&body).map_err(unread)?.limits,
        Asked::Release => {
            let Release { lease } = serde_json::from_slice(&body).map_err(unread)?;
            let released = worker.engine.leases.give_back(lease);
            return Ok(serde_json::to_vec(&Released { released, request_id: id }).unwrap_or_default());
        }
    };
    if checks.is_empty() || checks.len() > MAX_ASKED {
        return Err(invalid(format!("limits takes 1 to {MAX_ASKED} of them.")));
    }
    let apart =
        checks.iter().map(|check| Ok(Apart { owner, ..check.apart()? })).collect::<Result<Vec<_>, Problem>>()?;
    let same = |a: &Apart<'_>, b: &Apart<'_>| {
        let told = |one: &Apart<'_>| (one.rule.algorithm, one.rule.window_seconds);
        a.rule.name == b.rule.name && told(a) == told(b) && a.subject == b.subject
    };
    if apart.iter().enumerate().any(|(n, one)| apart[..n].iter().any(|other| same(one, other))) {
        return Err(invalid(
            "The same limit of the same subject is there twice; ask for it once, with the sum of both costs.",
        ));
    }
    worker.engine.leases.end_those_over(now.ticks);
    let mut weights = Weights::new();
    let held = worker.engine.counters.charge_apart(&apart, now, &mut weights);
    let code = settle(&weights).code;
    let lease = held.map(|held| lend(worker, held, id, now));
    let said: Vec<Said<'_>> = apart.iter().zip(&weights).map(|(one, weight)| Said::of(&one.rule, weight)).collect();
    let allowed = code.is_allowed();
    let body = match (asked, &said[..]) {
        (Asked::Check, [one]) => {
            let said =
                One { limit: one.limit, remaining: one.remaining, reset: one.reset, retry_after: one.retry_after };
            serde_json::to_vec(&Answer { allowed, code, said, lease, request_id: id })
        }
        _ => serde_json::to_vec(&Answer { allowed, code, said: Several { limits: said }, lease, request_id: id }),
    };
    Ok(body.unwrap_or_default())
}

impl Check<'_> {
    fn apart(&self) -> Result<Apart<'_>, Problem> {
        if self.subject.is_empty() || self.subject.len() > MAX_SUBJECT_LEN {
            return Err(invalid(format!("subject is 1 to {MAX_SUBJECT_LEN} bytes.")));
        }
        let lease = (self.algorithm == Algorithm::Concurrency).then_some(DEFAULT_LEASE_SECS);
        let window = self.window_seconds.or(lease).ok_or_else(|| invalid("Say window_seconds."))?;
        let rule = LimitRule::new(&self.name, self.limit, window, self.algorithm, self.burst);
        let rule = rule.map_err(|error| invalid(format!("{error}.")))?;
        Ok(Apart { owner: None, rule, subject: &self.subject, cost: self.cost.unwrap_or(1) })
    }
}

impl<'a> Said<'a> {
    fn of(rule: &'a LimitRule, weight: &Weight) -> Self {
        let left = reading(weight);
        let (allowed, retry_after) = match weight.weighed {
            Weighed::Fits { .. } => (true, None),
            Weighed::Over { retry_nanos, .. } => (false, retry_nanos.map(seconds)),
        };
        let (limit, remaining) = (left.limit, left.remaining);
        Self { name: rule.name.as_str(), allowed, limit, remaining, reset: seconds(left.reset_nanos), retry_after }
    }
}
