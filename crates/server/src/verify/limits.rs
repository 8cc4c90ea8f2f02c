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
use utoipa::ToSchema;

use super::answer::Lease;
use super::object::list;
use super::{AskedBy, hear, invalid, lend, read};
use crate::enforce::counters::Apart;
use crate::enforce::leases::{Lent, Reports};
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
    /// All that can be asked.
    pub(super) const ALL: [Self; 4] = [Self::Check, Self::Multi, Self::Release, Self::Report];

    /// Where it is asked.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Check => "/v1/limits/check",
            Self::Multi => "/v1/limits/multi",
            Self::Release => "/v1/limits/release",
            Self::Report => "/v1/usage/report",
        }
    }

    /// The right that it takes where a management key is needed.
    pub(super) const fn right(self) -> &'static str {
        match self {
            Self::Check | Self::Multi => CHECK_LIMITS,
            Self::Release => END_CALLS,
            Self::Report => REPORT_USAGE,
        }
    }
}

/// One limit, and whom it is counted for.
#[derive(Deserialize, ToSchema)]
#[schema(as = LimitQuestion)]
#[serde(deny_unknown_fields)]
pub(super) struct Check<'a> {
    /// What is limited: others of another name, window or algorithm are counted apart.
    #[serde(borrow)]
    #[schema(example = "mails")]
    name: Cow<'a, str>,
    /// Whom it is counted for, in 1 to 256 bytes.
    #[serde(borrow)]
    #[schema(example = "ada")]
    subject: Cow<'a, str>,
    /// How much fits into a window.
    limit: u32,
    /// The window; of `concurrency`, how long a call counts of which nobody says that it has ended: 60 if nothing is said.
    #[serde(default)]
    window_seconds: Option<u32>,
    /// `sliding_window` (if nothing is said), `token_bucket`, `fixed_window` (of the calendar in UTC; weeks begin on Monday)
    /// or `concurrency` (calls that are being answered: the answer has a lease).
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    algorithm: Algorithm,
    /// For a token bucket: how much at once; the limit itself if nothing is said. An empty bucket is full again within a hundred
    /// years at most.
    #[serde(default)]
    burst: Option<u32>,
    /// What it counts; 1 if nothing is said, 0 to look without counting.
    #[serde(default)]
    cost: Option<u32>,
}

/// Several limits, which count all together or not at all.
#[derive(Deserialize, ToSchema)]
#[schema(as = LimitsQuestion)]
#[serde(deny_unknown_fields)]
pub(super) struct Multi<'a> {
    /// No limit of the same subject twice.
    #[serde(borrow, deserialize_with = "list")]
    limits: Vec<Check<'a>>,
}

/// A call has ended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// The `lease.id` of the answer that let it through.
    #[schema(value_type = String)]
    lease: LeaseId,
}

/// A call has ended, and what it cost is known.
#[derive(Deserialize, ToSchema)]
#[schema(as = UsageReport)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// The `lease.id` of the verification that let it through.
    #[schema(value_type = String)]
    lease: LeaseId,
    /// What the call cost.
    cost: u32,
}

/// What one limit says.
#[derive(Serialize, ToSchema)]
#[schema(as = LimitAnswer)]
pub(super) struct Answer {
    /// Whether it has room; what was asked for is counted then.
    allowed: bool,
    /// `allowed` or `rate_limited`.
    #[schema(value_type = String)]
    code: Code,
    /// How much it is.
    limit: u32,
    /// How much of it is left.
    remaining: u32,
    /// Seconds until all of it is there again.
    reset: u64,
    /// Seconds after which the same would fit, if it does not now and waiting helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    retry_after: Option<u64>,
    /// Of the algorithm `concurrency`, if it has room: the place of the call among those in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Lease, required = false)]
    lease: Option<Lease>,
    /// The id of this answer, as it stands in logs.
    #[schema(value_type = String)]
    request_id: RequestId,
}

/// What several limits say.
#[derive(Serialize, ToSchema)]
#[schema(as = LimitsAnswer)]
pub(super) struct Answers<'a> {
    /// Whether all of them have room; what was asked for is counted then, else none of it.
    allowed: bool,
    /// `allowed` or `rate_limited`.
    #[schema(value_type = String)]
    code: Code,
    /// What each of them says, in the order in which they were asked.
    limits: Vec<Said<'a>>,
    /// If one is of the algorithm `concurrency` and all have room: the place of the call among those in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Lease, required = false)]
    lease: Option<Lease>,
    /// The id of this answer, as it stands in logs.
    #[schema(value_type = String)]
    request_id: RequestId,
}

/// What one of several limits says.
#[derive(Serialize, ToSchema)]
#[schema(as = LimitSaid)]
struct Said<'a> {
    /// Its name.
    name: &'a str,
    /// Whether it has room.
    allowed: bool,
    /// How much it is.
    limit: u32,
    /// How much of it is left.
    remaining: u32,
    /// Seconds until all of it is there again.
    reset: u64,
    /// Seconds after which the same would fit, if it does not now and waiting helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    retry_after: Option<u64>,
}

/// Whether a call is counted no more.
#[derive(Serialize, ToSchema)]
pub(super) struct Released {
    /// Whether it was there: one that has ended by itself is not.
    released: bool,
    /// The id of this answer, as it stands in logs.
    #[schema(value_type = String)]
    request_id: RequestId,
}

/// Whether what a call cost was put right.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageReported)]
pub(super) struct Reported {
    /// Whether it was counted: a lease that has ended, or of which no cost was to be told, is none for that.
    reported: bool,
    /// The id of this answer, as it stands in logs.
    #[schema(value_type = String)]
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
    let (owner, body) = hear(worker, (asked_by, asked.right()), address, request).await?;
    let now = worker.recorder.clock.now();
    let checks = match asked {
        Asked::Check => vec![read(&body)?],
        Asked::Multi => read::<Multi<'_>>(&body)?.limits,
        Asked::Release => {
            let Release { lease } = read(&body)?;
            worker.engine.leases.end_those_over(now.ticks);
            let released = worker.engine.leases.release(lease, owner);
            return Ok(serde_json::to_vec(&Released { released, request_id: id }).unwrap_or_default());
        }
        Asked::Report => {
            let Report { lease, cost } = read(&body)?;
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
            let Left { limit, remaining, reset, retry_after } = Left::of(one);
            serde_json::to_vec(&Answer { allowed, code, limit, remaining, reset, retry_after, lease, request_id: id })
        }
        _ => {
            let said = apart.iter().zip(&weights).map(|(one, weight)| {
                let Left { limit, remaining, reset, retry_after } = Left::of(weight);
                let allowed = matches!(weight.weighed, Weighed::Fits { .. });
                Said { name: one.rule.name.as_str(), allowed, limit, remaining, reset, retry_after }
            });
            serde_json::to_vec(&Answers { allowed, code, limits: said.collect(), lease, request_id: id })
        }
    };
    Ok(body.unwrap_or_default())
}

/// Puts right what a call cost; once.
fn report(worker: &Worker, (lease, owner): (LeaseId, Option<OrganizationId>), cost: u32, now: Moment) -> bool {
    worker.engine.leases.end_those_over(now.ticks);
    let Some(lent) = worker.engine.leases.end(lease, owner, true) else { return false };
    let (Some(mut held), Some(Reports { dimensions, facets })) = (lent.held, lent.reports) else { return false };
    if let Some(mut drawn) = lent.drawn {
        drawn.costs(cost);
    }
    let more = i64::from(cost) - i64::from(held.cost());
    held.costs(cost, now);
    let counts = Counts { cost: more, ..Counts::default() };
    let kept = UsageEvent { at: now.wall, dimensions, client: None, facets, counts };
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

/// What is left of one limit.
struct Left {
    limit: u32,
    remaining: u32,
    reset: u64,
    retry_after: Option<u64>,
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
