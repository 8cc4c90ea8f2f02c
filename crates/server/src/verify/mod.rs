//! Verification: `POST /v1/verify` answers the same question as the gateway, from the same engine, with the same codes,
//! for services that stand in front of their own API. Served by the gateway's workers, because it is as hot a path.
//!
//! [`question`] and [`answer`] are the wire forms; this file carries one to the other. [`limits`] answers those who limit
//! something else than calls with a key, [`credits`] those who charge for something else. [`route`] lists what can be asked, and
//! `/openapi.json` describes it (`describe/`).

pub(crate) mod answer;
mod codes;
mod credits;
mod describe;
pub(crate) mod described;
mod limits;
mod object;
pub(crate) mod question;
mod route;
pub(crate) mod told_headers;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use keystile_core::Code;
use keystile_core::facts::Facts;
use keystile_core::id::{OrganizationId, RequestId};
use keystile_core::limit::{MAX_LIMIT, TagName};
use keystile_core::permission::PermissionQuery;
use keystile_core::time::Moment;
use keystile_core::usage::{Dimensions, Facets};
use serde::Deserialize;

use crate::enforce::counters::Held;
use crate::enforce::engine::{Door, Verdict};
use crate::enforce::leases::{Lent, Reports};
use crate::enforce::operations::Label;
use crate::enforce::slow::Proof;
use crate::enforce::snapshot::ApiView;
use crate::gateway::Worker;
use crate::gateway::credential::one_bearer;
use crate::gateway::source::RequestSource;
use crate::gateway::wire::Exchange;
use crate::problem::{CHALLENGE, PROBLEM_JSON, Problem};
use crate::ratelimit::seconds;
use crate::usage::Pending;
pub use describe::document;
use described::Described;
use object::Object;
use question::Question;
use route::Route;

/// The right to ask about keys, where a management key is needed for it.
const VERIFY_KEYS: &str = "keys.verify";
/// Longest question.
const MAX_QUESTION_BYTES: usize = 64 << 10;
/// How long the cost of a call can be told after its verification.
const REPORT_NANOS: u64 = 600 * 1_000_000_000;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Whether whoever asks must show a management key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// Anybody who reaches the listener.
    Anybody,
    /// Holders of a management key with the right to what they ask: `keys.verify`, `limits.check`, `usage.report`, `credits.spend`.
    KeyHolders,
}

/// Answers a request on the check listener.
pub async fn call(
    worker: &Worker,
    asked_by: AskedBy,
    address: IpAddr,
    request: Request<Incoming>,
    exchange: Exchange,
) -> Response<Full<Bytes>> {
    let id = worker.next_request_id();
    if let Some(refused) = exchange.refused() {
        return refuse(&Problem::of(refused.code).because(refused.detail), id);
    }
    let route = Route::at(request.uri().path());
    let answered = match (request.method(), request.uri().path(), route) {
        (&Method::POST, _, Some(route)) => {
            let answered = match route {
                Route::Verify => verify(worker, asked_by, address, request, id).await,
                Route::Limits(asked) => limits::answer(worker, asked, asked_by, address, request, id).await,
                Route::Credits(asked) => credits::answer(worker, asked, asked_by, address, request, id).await,
            };
            // Of a body that breaks off, the guard knows why.
            let broken = exchange.body_refused().filter(|_| answered.is_err());
            let answered = broken.map_or(answered, |refused| Err(Problem::of(refused.code).because(refused.detail)));
            debug_assert!(
                answered.as_ref().err().is_none_or(|problem| describe::has(route, problem)),
                "{answered:?} is not in the document"
            );
            answered.map(Bytes::from)
        }
        (_, _, Some(_)) => Err(Problem::of(Code::MethodNotAllowed).because("Ask with POST.")),
        (&Method::GET | &Method::HEAD, "/openapi.json", _) => Ok(describe::json()),
        (&Method::GET | &Method::HEAD, "/healthz", _) => Ok(Bytes::from_static(b"{\"status\":\"ok\"}")),
        (_, "/openapi.json" | "/healthz", _) => Err(Problem::of(Code::MethodNotAllowed).because("Read it with GET.")),
        _ => Err(Problem::of(Code::RouteUnknown).because("What can be asked here, GET /openapi.json says.")),
    };
    match answered {
        Ok(body) => {
            let mut response = Response::new(Full::new(body));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
            response
        }
        Err(problem) => refuse(&problem, id),
    }
}

fn refuse(problem: &Problem, id: RequestId) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(problem.to_json(id))));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    if let Some(seconds) = problem.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status == 401 {
        response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    response
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem { status: 400, code: "invalid", title: "Invalid question", detail: detail.into() }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map(|Object(question)| question).map_err(|error| invalid(error.to_string()))
}

async fn verify(
    worker: &Worker,
    asked_by: AskedBy,
    address: IpAddr,
    request: Request<Incoming>,
    id: RequestId,
) -> Result<Vec<u8>, Problem> {
    let began = worker.recorder.clock.now();
    let (owner, body) = hear(worker, (asked_by, VERIFY_KEYS), address, request).await?;
    let question: Question<'_> = read(&body)?;
    let needs: Option<PermissionQuery> = question
        .permissions
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error: keystile_core::permission::PermissionError| invalid(error.to_string()))?;
    let api = match question.api.as_deref() {
        Some(api) => Some(
            find_api(worker, api)
                .ok_or_else(|| invalid("There is no such API, or several of this name; name it by its id."))?,
        ),
        None => None,
    };
    let mut pending = Pending::new(worker.recorder.clone(), began);
    pending.is_question(id, address);
    pending.received(body.len() as u64);
    let answer = judge(worker, &question, needs.as_ref(), api.as_deref(), &mut pending, (id, owner)).await;
    // A question that was not understood is no call.
    answer.inspect_err(|_| pending.withdraw())
}

/// A question, and the organization that asks it, if a key says so. It may have taken its time to come: what is decided is
/// decided at a later moment.
async fn hear(
    worker: &Worker,
    asks: (AskedBy, &str),
    address: IpAddr,
    request: Request<Incoming>,
) -> Result<(Option<OrganizationId>, Bytes), Problem> {
    let owner = may_ask(worker, asks, address, request.headers(), Facts::at(worker.recorder.clock.now()))?;
    let body = Limited::new(request.into_body(), MAX_QUESTION_BYTES).collect().await;
    let body = body.map_err(|_| Problem::of(Code::ContentTooLarge).because("A question has at most 64 KiB."))?;
    Ok((owner, body.to_bytes()))
}

async fn judge(
    worker: &Worker,
    question: &Question<'_>,
    needs: Option<&PermissionQuery>,
    api: Option<&ApiView>,
    pending: &mut Pending,
    (id, owner): (RequestId, Option<OrganizationId>),
) -> Result<Vec<u8>, Problem> {
    let described = Described::new(question.operation.as_ref(), question.client.as_ref())?;
    let code = described.refused(api);
    let source = described.source(&worker.engine.countries, api);
    let end_user = question.end_user.as_deref();
    if end_user.is_some_and(|name| !question::is_end_user(name)) {
        return Err(invalid("end_user is 1 to 256 bytes without control characters; leave it out if nobody is known."));
    }
    let tags = &question.tags.0;
    let now = worker.recorder.clock.now();
    let described = described.facts(now, &source);
    let (method, path) = (described.method, described.path);
    pending.is_about(method, path);
    let of_operation = || Some(api?.costs.of(method?, path?));
    if question.cost.is_some_and(|cost| cost > MAX_LIMIT) {
        return Err(invalid(format!("cost is 0 to {MAX_LIMIT}.")));
    }
    let cost = question.cost.or_else(of_operation).unwrap_or(1);
    let charges_api = owner.is_none() || owner == api.map(|api| api.organization);
    let cost_is_told = question.cost.is_some();
    let facts = Facts { needs, cost, cost_is_told, charges_api, reports: question.report, end_user, tags, ..described };
    pending.costs(cost);
    let door = api.map_or(Door::KeyAlone, Door::Api);
    let label = match (api, method, path) {
        (Some(api), Some(method), Some(path)) => api.operations.label(method, path),
        _ if code.is_some() => Label::INVALID,
        _ => Label::UNNAMED,
    };
    let facts = Facts { operation: path.map(|_| label.number()), ..facts };
    match api {
        Some(api) => pending.api(api, label),
        None => pending.label(label),
    }
    let of_operation = match (api, method, path) {
        (Some(api), Some(method), Some(path)) => api.operations.needs(method, path),
        _ => None,
    };
    let mut verdict = match code {
        Some(code) => Verdict { key: worker.engine.identify(&question.key), ..Verdict::without_key(code) },
        None => check(worker, &question.key, door, &facts).await,
    };
    if verdict.code == Code::Overloaded {
        pending.finish(verdict.code, Code::Overloaded.status());
        return Err(Problem::of(Code::Overloaded));
    }
    if let Some(client) = facts.client {
        pending.asked_for(client);
    }
    worker.exposures.heed(verdict.key.as_ref());
    if let Some(key) = &verdict.key {
        pending.key(key);
    }
    pending.would_refuse(verdict.shadow);
    if let Some(cost) = verdict.cost() {
        pending.costs(cost);
    }
    // What is told of calls of others' things is no statistic of theirs.
    let is_own = match (api, &verdict.key) {
        (Some(_), _) => charges_api,
        (None, Some(key)) => owner.is_none_or(|owner| owner == key.project.organization),
        (None, None) => false,
    };
    let facets = Facets {
        country: question.client.as_ref().and_then(|client| client.country),
        end_user: end_user.map(Into::into),
        tags: tags.iter().filter_map(|(name, value)| Some((TagName::of(name)?, (**value).into()))).collect(),
    };
    let facets = (is_own && facets != Facets::default()).then(|| Box::new(facets));
    let reported = question.report.then(|| facets.clone()).flatten();
    pending.facets(facets);
    let explanation =
        question.explain.unwrap_or(false).then(|| worker.engine.explain(&question.key, door, &facts, &verdict));
    let metadata = verdict.key.as_ref().and_then(|key| worker.engine.snapshot.written.of(key.entry.number));
    let reports = (question.report && verdict.code.is_allowed()).then(|| {
        let dimensions = Dimensions { code: verdict.code, status: 200, ..pending.dimensions() };
        Reports { dimensions, facets: reported }
    });
    let lent = Lent { owner, held: verdict.held.take(), drawn: verdict.take_drawn(), reports };
    let lease = lend(worker, lent, id, facts.at);
    let told = [needs, of_operation];
    let body =
        answer::write(&verdict, api, metadata.as_deref(), told, explanation.as_ref(), (id, lease, facts.at.wall));
    pending.sent(body.len() as u64);
    pending.finish(verdict.code, 200);
    Ok(body)
}

/// The verdict on a key; of one that nobody is known by, after it was found out whether a slow hash is of it.
async fn check(worker: &Worker, text: &str, door: Door<'_>, facts: &Facts<'_>) -> Verdict {
    let verdict = worker.engine.check_with_time(text, door, facts).await;
    let is_unknown = verdict.key.is_none() && matches!(verdict.code, Code::KeyUnknown | Code::Stale);
    if !is_unknown || !worker.engine.may_prove(text) {
        return verdict;
    }
    match Box::pin(worker.engine.prove(text, facts.at.ticks)).await {
        Proof::Fits => {
            let facts = Facts { at: worker.recorder.clock.now(), ..facts.clone() };
            worker.engine.check_with_time(text, door, &facts).await
        }
        Proof::Fails => verdict,
        Proof::Overloaded => Verdict::without_key(Code::Overloaded),
    }
}

/// Keeps what of a call is not settled until whoever asked says that it has ended, or what it cost.
fn lend(worker: &Worker, lent: Lent, id: RequestId, at: Moment) -> Option<answer::Lease> {
    let in_flight = lent.held.as_ref().and_then(Held::lease_nanos);
    let nanos = in_flight.or_else(|| lent.reports.is_some().then_some(REPORT_NANOS))?;
    let id = worker.engine.leases.lend(id, lent, at.ticks, nanos);
    let expires_at = at.wall.plus_secs(i64::try_from(seconds(nanos)).unwrap_or(i64::MAX));
    Some(answer::Lease { id, expires_at })
}

/// Whether whoever asks may, and for which organization, if a key says so.
fn may_ask(
    worker: &Worker,
    (asked_by, right): (AskedBy, &str),
    address: IpAddr,
    headers: &HeaderMap,
    facts: Facts<'_>,
) -> Result<Option<OrganizationId>, Problem> {
    if asked_by == AskedBy::Anybody {
        return Ok(None);
    }
    let key = one_bearer(headers).map_err(Problem::of)?;
    let needs: PermissionQuery = right.parse().expect("rights are written as questions");
    let source = RequestSource { headers, client: Some(address), countries: &worker.engine.countries, key_places: &[] };
    let facts = Facts { client: Some(address), source: Some(&source), needs: Some(&needs), ..facts };
    let verdict = worker.engine.check(key, Door::Management, &facts);
    worker.exposures.heed(verdict.key.as_ref());
    match verdict.code {
        Code::Allowed => Ok(verdict.key.map(|key| key.project.organization)),
        code => Err(Problem::of(code)),
    }
}

/// The API of this id, or the only one of this name.
fn find_api(worker: &Worker, wanted: &str) -> Option<Arc<ApiView>> {
    let router = worker.engine.snapshot.router.load();
    match wanted.parse() {
        Ok(id) => router.apis().find(|api| api.id == id).cloned(),
        Err(_) => {
            let mut named = router.apis().filter(|api| &*api.name == wanted);
            named.next().filter(|_| named.next().is_none()).cloned()
        }
    }
}
