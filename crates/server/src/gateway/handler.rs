//! A call from its head to its answer.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, VIA,
    WWW_AUTHENTICATE,
};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use keystile_core::Code;
use keystile_core::api::Access;
use keystile_core::facts::Facts;
use keystile_core::id::RequestId;
use keystile_core::method::{Method, MethodSet};
use keystile_core::target::{CanonicalTarget, TargetError};

use super::body::{Answer, BodyEnd, Outgoing, Tally};
use super::client::TrustedProxies;
use super::cors::{self, is_preflight};
use super::credential;
use super::forward::{ForwardError, forward};
use super::headers::{
    X_CONSUMER_ID, X_CONSUMER_USERNAME, X_CREDENTIAL_IDENTIFIER, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO,
    X_REQUEST_ID, forwarded, strip_answer,
};
use super::pool::Pool;
use super::tunnel::{self, Asked, Slot, Tunnel, Watch};
use super::via::Via;
use super::websocket;
use super::wire::Exchange;
use crate::enforce::engine::{Door, Engine, Verdict};
use crate::enforce::operations::Label;
use crate::enforce::snapshot::ApiView;
use crate::exposure::Exposures;
use crate::problem::{CHALLENGE, PROBLEM_JSON, Problem};
use crate::ratelimit;
use crate::usage::{Pending, Recorder};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
/// Why a key is exposed that stands where it should.
const KEY_IN_CLEAR: &str =
    "A key that crosses the network unencrypted can be read by others; call over https, and replace this key.";
/// When to try again where all places are taken: nobody knows, and soon.
const OVERLOADED_RETRY_SECONDS: u64 = 1;
/// Fields that the gateway adds to a call.
const ADDED_FIELDS: usize = 9;

/// What one worker needs to answer calls. It stays on its core.
pub struct Worker {
    /// Decides.
    pub engine: Arc<Engine>,
    /// Takes the counts, and tells the time.
    pub recorder: Rc<Recorder>,
    /// Connections to upstreams.
    pub pool: Rc<Pool>,
    /// Whose word about the caller's address counts.
    pub proxies: TrustedProxies,
    /// Where keys are reported that were sent where others could read them.
    pub exposures: Exposures,
    /// What browsers are told over TLS.
    pub hsts: Option<HeaderValue>,
    /// The process, as its calls name it to upstreams and as it knows them when they come back.
    pub via: Via,
    /// How long the body of a request may pause over HTTP/2.
    pub body_patience: Duration,
    /// Random at its start: request ids are unique, not secret.
    pub request_seed: u64,
    /// Requests so far.
    pub requests: Cell<u64>,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

/// What is the same for all calls of a connection.
pub struct Caller {
    /// The other end.
    pub address: IpAddr,
    /// The same as a header.
    pub forwarded_for: HeaderValue,
    /// Whether what it says is encrypted on its way here.
    pub encrypted: bool,
    /// What it speaks.
    pub speaks: Protocol,
    /// Its certificate, which an accepted authority issued, by its SHA-256.
    pub certificate: Option<[u8; 32]>,
    /// What becomes of the connection when it has switched to a WebSocket.
    pub tunnel: Slot,
}

impl Caller {
    /// The other end of a connection, and what is known of it by how the connection began.
    pub fn new(address: IpAddr, speaks: Protocol, encrypted: bool, certificate: Option<[u8; 32]>) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            forwarded_for: address_header(address),
            speaks,
            encrypted,
            certificate,
            tunnel: Slot::default(),
        }
    }
}

fn address_header(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).expect("addresses are visible ASCII")
}

/// Why a call is not carried on.
struct Refusal {
    problem: Problem,
    code: Code,
    /// Boxed: refusals are rare, and every step hands one on.
    limits: Option<Box<LimitFields>>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { problem: Problem::of(code), code, limits: None }
    }
}

/// Why a call does not go to its upstream.
enum Turned {
    /// It may not.
    Refused(Refusal),
    /// A browser asked whether a page may call, and it may.
    Preflight,
}

impl<R: Into<Refusal>> From<R> for Turned {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Refusal {
    fn because(code: Code, detail: &'static str) -> Self {
        Self { problem: Problem::of(code).because(detail), code, limits: None }
    }
}

impl Worker {
    /// An id for a request of this worker.
    pub fn next_request_id(&self) -> RequestId {
        let count = self.requests.get().wrapping_add(1);
        self.requests.set(count);
        // Multiplied by an odd constant: ids of neighbours look different, and none comes twice.
        let low = count.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.request_seed.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        RequestId::from_entropy(bytes)
    }

    /// Answers a call. `exchange` is what the wire guard knows of it.
    pub async fn call(&self, caller: &Rc<Caller>, request: Request<Incoming>, exchange: Exchange) -> Response<Answer> {
        let id = self.next_request_id();
        let id_header = id_header(&id.to_ascii());
        let mut pending = Pending::new(self.recorder.clone(), self.recorder.clock.now());
        // What pages in browsers are told, once the API is known.
        let mut cors = None;
        // Decided in one go, without waiting: what is kept while the upstream works is little, and copied with every call.
        let mut going = match self.decide(caller, request, &exchange, &id_header, &mut pending, &mut cors) {
            Ok(going) => going,
            Err(Turned::Refused(refusal)) => {
                return self.finish(caller, cors, refuse(refusal, pending, id, id_header, exchange));
            }
            Err(Turned::Preflight) => {
                pending.finish(Code::Allowed, StatusCode::NO_CONTENT.as_u16());
                let mut response = Response::new(Answer::own(Vec::new(), exchange));
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().insert(X_REQUEST_ID, id_header);
                return self.finish(caller, cors, response);
            }
        };
        if let Some(watch) = going.websocket.take() {
            // Boxed: few calls are one.
            let answering = self.open_websocket(going, *watch, pending, id, id_header, exchange);
            return self.finish(caller, cors, Box::pin(answering).await);
        }
        let answer = forward(&self.pool, &going.api, &mut going.request, going.tally.as_deref()).await;
        if let Some(tally) = &going.tally {
            pending.received(tally.received());
        }
        let response = match answer {
            Ok((response, sender)) => going.answer(response, sender, pending, id_header, &self.pool, exchange),
            Err(error) => refuse(unanswered(&error, &exchange), pending, id, id_header, exchange),
        };
        self.finish(caller, cors, response)
    }

    async fn open_websocket(
        &self,
        mut going: Going,
        watch: Watch,
        mut pending: Pending,
        id: RequestId,
        id_header: HeaderValue,
        exchange: Exchange,
    ) -> Response<Answer> {
        let Some(request) = going.request.take() else {
            return refuse(Code::UpstreamUnreachable.into(), pending, id, id_header, exchange);
        };
        match tunnel::ask(&self.pool, &going.api, request).await {
            Ok(Asked::Plain(response, sender)) => {
                going.answer(response, sender, pending, id_header, &self.pool, exchange)
            }
            Ok(Asked::Switched(response, far)) => {
                let (mut parts, _) = response.into_parts();
                going.dress(&mut parts, id_header);
                websocket::put(&mut parts.headers);
                // Counted as what it is when it begins; how long it lasts and what goes through is not.
                pending.began_answer(parts.status.as_u16());
                pending.finish_allowed();
                let caller = watch.caller.clone();
                caller.tunnel.put(Tunnel { far, watch, place: pending.place() });
                Response::from_parts(parts, Answer::own(Vec::new(), exchange))
            }
            Err(error) => refuse(unanswered(&error, &exchange), pending, id, id_header, exchange),
        }
    }

    /// What is said in every answer alike.
    fn finish(
        &self,
        caller: &Caller,
        cors: Option<Box<HeaderMap>>,
        mut response: Response<Answer>,
    ) -> Response<Answer> {
        if let Some(cors) = cors {
            cors::put(*cors, response.headers_mut());
        }
        // The gateway's word over TLS, whatever the upstream says of its own hosts (RFC 6797 §6.1).
        if let Some(hsts) = self.hsts.as_ref().filter(|_| caller.encrypted) {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        response
    }

    fn decide(
        &self,
        caller: &Rc<Caller>,
        request: Request<Incoming>,
        exchange: &Exchange,
        id: &HeaderValue,
        pending: &mut Pending,
        cors: &mut Option<Box<HeaderMap>>,
    ) -> Result<Going, Turned> {
        let (parts, body) = request.into_parts();
        if let Some(refused) = exchange.refused() {
            self.identify(&parts.headers, pending);
            return Err(Refusal::because(refused.code, refused.detail).into());
        }
        let Ok(method) = parts.method.as_str().parse::<Method>() else {
            self.identify(&parts.headers, pending);
            return Err(Code::MethodNotAllowed.into());
        };
        let raw = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let target = CanonicalTarget::parse(raw).map_err(|error| {
            self.identify(&parts.headers, pending);
            let code = if error == TargetError::TooLong { Code::TargetTooLong } else { Code::RequestMalformed };
            Refusal::because(code, error.detail())
        })?;
        if self.via.is_in(&parts.headers) {
            self.identify(&parts.headers, pending);
            return Err(Code::LoopDetected.into());
        }
        let host = host(&parts.uri, &parts.headers);
        let Some(api) = self.engine.snapshot.router.load().find(&host, target.path()).cloned() else {
            self.identify(&parts.headers, pending);
            pending.label(Label::UNROUTED);
            return Err(Code::RouteUnknown.into());
        };
        let path = below(&api, target.path());
        pending.api(&api, api.operations.label(method, path));
        if let Some(own) = &api.cors {
            *cors = Some(own.answer(&parts.headers));
            if is_preflight(method, &parts.headers) {
                *cors = Some(own.preflight(&parts.headers).ok_or(Code::OriginForbidden)?);
                return Err(Turned::Preflight);
            }
        }
        let client = self.proxies.client(caller.address, &parts.headers);
        let encrypted = caller.encrypted || self.proxies.says_encrypted(caller.address, &parts.headers);
        let key = self.find_key(&api, &parts.headers, &target, encrypted, pending)?;
        if api.require_client_certificate && caller.certificate.is_none() {
            return Err(Code::CertificateMissing.into());
        }
        take_place(&api, pending)?;
        let facts = Facts {
            client: Some(client),
            certificate: caller.certificate,
            method: Some(method),
            path: Some(path),
            ..Facts::at(pending.began())
        };
        let verdict = match (api.access, key) {
            (Access::Open, _) if api.active => None,
            (Access::Open, _) => return Err(Code::ApiInactive.into()),
            (Access::Key, None) => return Err(Code::KeyMissing.into()),
            (Access::Key, Some(text)) => Some(self.engine.check(&text, Door::Api(&api), &facts)),
        };
        if let Some(key) = verdict.as_ref().and_then(|verdict| verdict.key.as_ref()) {
            pending.key(key);
        }
        let limits = verdict.as_ref().map(LimitFields::of).unwrap_or_default();
        if let Some(code) = verdict.as_ref().map(|verdict| verdict.code).filter(|code| !code.is_allowed()) {
            return Err(Refusal { limits: Some(Box::new(limits)), ..code.into() }.into());
        }
        if body.size_hint().lower() > api.body_limit_bytes {
            return Err(Code::ContentTooLarge.into());
        }
        let address = if client == caller.address { caller.forwarded_for.clone() } else { address_header(client) };
        // Over HTTP/1.1 the guard is patient for all of them.
        let patience = (caller.speaks == Protocol::Http2).then_some(self.body_patience);
        let asks_for_websocket = caller.speaks == Protocol::Http1
            && parts.version == http::Version::HTTP_11
            && body.is_end_stream()
            && websocket::is_asked_for(&parts.method, &parts.headers);
        let (outgoing, tally) = Outgoing::new(body, api.body_limit_bytes, patience);
        let mut request = Request::new(outgoing);
        *request.uri_mut() = upstream_uri(&api, &target, &parts.uri)?;
        *request.headers_mut() = upstream_headers(&api, &parts.headers, verdict.as_ref(), address, id);
        request.headers_mut().insert(X_FORWARDED_PROTO, if encrypted { HTTPS } else { HTTP });
        request.headers_mut().insert(VIA, self.via.after(&parts.headers));
        if request.body().size_hint().exact().is_none() {
            // Said outright: of a method that seldom has a body the engine would leave it out.
            request.headers_mut().insert(TRANSFER_ENCODING, CHUNKED);
        }
        *request.method_mut() = parts.method;
        let websocket = asks_for_websocket.then(|| {
            websocket::put(request.headers_mut());
            Box::new(Watch {
                engine: self.engine.clone(),
                clock: self.recorder.clock.clone(),
                api: api.number,
                key: verdict.and_then(|verdict| verdict.key),
                caller: caller.clone(),
                client,
                path: path.into(),
                encrypted,
            })
        });
        Ok(Going { api, request: Some(request), tally, limits, websocket })
    }

    /// The key of a call to this API. One that others could read is refused and reported.
    fn find_key<'a>(
        &self,
        api: &ApiView,
        headers: &'a HeaderMap,
        target: &'a CanonicalTarget<'_>,
        encrypted: bool,
        pending: &mut Pending,
    ) -> Result<Option<Cow<'a, str>>, Refusal> {
        match credential::find(&api.key_places, headers, target.path(), target.query()) {
            Err(Code::KeyExposed) => {
                self.expose(credential::in_address(target.path(), target.query()), pending);
                Err(Code::KeyExposed.into())
            }
            Err(code) => Err(code.into()),
            Ok(Some(key)) if api.require_tls && !encrypted => {
                self.expose(Some(key), pending);
                Err(Refusal::because(Code::KeyExposed, KEY_IN_CLEAR))
            }
            Ok(None) if api.require_tls && !encrypted => Err(Code::TlsRequired.into()),
            Ok(key) => Ok(key),
        }
    }

    /// Says whose key it is that others could read, to its owner and in the count.
    fn expose(&self, text: Option<Cow<'_, str>>, pending: &mut Pending) {
        if let Some(key) = text.and_then(|text| self.engine.identify(&text)) {
            self.exposures.report(key.project.organization, key.entry.id);
            pending.key(&key);
        }
    }

    /// Whose call it is, for calls that are refused before an API is found and still count as somebody's.
    fn identify(&self, headers: &HeaderMap, pending: &mut Pending) {
        pending.label(Label::INVALID);
        let bearer = headers.get(AUTHORIZATION).and_then(|value| credential::bearer(value.as_bytes()));
        let text = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes));
        if let Some(key) =
            text.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| self.engine.identify(text))
        {
            pending.key(&key);
        }
    }
}

/// Takes a place among the calls that an API bears at once.
fn take_place(api: &ApiView, pending: &mut Pending) -> Result<(), Refusal> {
    let Some(most) = api.max_concurrent_calls else { return Ok(()) };
    match api.in_flight.enter(most) {
        Some(place) => {
            pending.takes(place);
            Ok(())
        }
        None => {
            let limits = LimitFields { retry_after: Some(OVERLOADED_RETRY_SECONDS), ..LimitFields::default() };
            Err(Refusal { limits: Some(Box::new(limits)), ..Code::Overloaded.into() })
        }
    }
}

/// What the client hears when the upstream gave no answer.
fn unanswered(error: &ForwardError, exchange: &Exchange) -> Refusal {
    match error {
        ForwardError::Upstream(code) => (*code).into(),
        ForwardError::Body(BodyEnd::TooLarge) => Code::ContentTooLarge.into(),
        ForwardError::Body(BodyEnd::Stalled) => Code::RequestTimeout.into(),
        ForwardError::Body(BodyEnd::Broken) => match exchange.body_refused() {
            Some(refused) => Refusal::because(refused.code, refused.detail),
            None => Code::ClientGone.into(),
        },
    }
}

/// A call that goes to its upstream.
struct Going {
    api: Arc<ApiView>,
    /// Taken when it is sent.
    request: Option<Request<Outgoing>>,
    tally: Option<Rc<Tally>>,
    limits: LimitFields,
    /// If it asks for one.
    websocket: Option<Box<Watch>>,
}

impl Going {
    fn answer(
        mut self,
        response: Response<Incoming>,
        sender: SendRequest<Outgoing>,
        mut pending: Pending,
        id: HeaderValue,
        pool: &Rc<Pool>,
        exchange: Exchange,
    ) -> Response<Answer> {
        let (mut parts, incoming) = response.into_parts();
        self.dress(&mut parts, id);
        pending.began_answer(parts.status.as_u16());
        let lease = (sender, self.api.upstream.clone(), pool.clone());
        Response::from_parts(parts, Answer::streamed(incoming, pending, self.tally, lease, exchange))
    }
}

impl Going {
    /// The head of an answer as the client gets it.
    fn dress(&mut self, parts: &mut Parts, id: HeaderValue) {
        parts.version = http::Version::HTTP_11;
        // Informational answers can't come: nothing asked for them.
        strip_answer(&mut parts.headers);
        parts.headers.insert(X_REQUEST_ID, id);
        std::mem::take(&mut self.limits).put(&mut parts.headers);
        parts.extensions.clear();
    }
}

/// The gateway's own answer: a problem.
fn refuse(
    refusal: Refusal,
    mut pending: Pending,
    id: RequestId,
    id_header: HeaderValue,
    exchange: Exchange,
) -> Response<Answer> {
    let body = refusal.problem.to_json(id);
    pending.sent(body.len() as u64);
    let mut response = Response::new(Answer::own(body, exchange));
    *response.status_mut() = StatusCode::from_u16(refusal.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(X_REQUEST_ID, id_header);
    if refusal.code.wants_challenge() {
        headers.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if refusal.code == Code::MethodNotAllowed {
        headers
            .insert(ALLOW, HeaderValue::try_from(MethodSet::ALL.to_string()).expect("method names are visible ASCII"));
    }
    if let Some(limits) = refusal.limits {
        limits.put(headers);
    }
    pending.finish(refusal.code, refusal.problem.status);
    response
}

/// The text of an id as a header value.
fn id_header(text: &[u8]) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text)).expect("ids are visible ASCII")
}

/// What a client is told of its limits.
#[derive(Default)]
struct LimitFields {
    policy: Option<HeaderValue>,
    state: Option<HeaderValue>,
    retry_after: Option<u64>,
}

impl LimitFields {
    fn of(verdict: &Verdict) -> Self {
        let Some(key) = &verdict.key else { return Self::default() };
        let is_limited = verdict.code == Code::RateLimited;
        Self {
            policy: key.policy.limits_header.clone(),
            state: ratelimit::state_field(&key.policy.policy.rate_limits, &verdict.readings),
            retry_after: verdict.retry_nanos.filter(|_| is_limited).map(ratelimit::seconds),
        }
    }

    fn put(self, headers: &mut HeaderMap) {
        if let Some(policy) = self.policy {
            headers.insert(RATELIMIT_POLICY, policy);
        }
        if let Some(state) = self.state {
            headers.insert(RATELIMIT, state);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// The host of a call in lower case and without its port. The wire guard has seen that there is exactly one.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> std::borrow::Cow<'a, str> {
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    let end = if authority.starts_with('[') {
        authority.find(']').map_or(authority.len(), |end| end + 1)
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let host = &authority[..end];
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

/// The path as the API's document and its keys' restrictions know it: without the prefix, if that is taken off.
fn below<'a>(api: &ApiView, path: &'a str) -> &'a str {
    if !api.strip_prefix {
        return path;
    }
    match path.strip_prefix(&*api.path_prefix) {
        Some("") | None => "/",
        Some(rest) => rest,
    }
}

/// The target as the upstream gets it: exactly what was judged.
fn upstream_uri(api: &ApiView, target: &CanonicalTarget<'_>, uri: &Uri) -> Result<Uri, Code> {
    let without_keys = target.query().and_then(|query| credential::query_without_keys(&api.key_places, query));
    if target.is_verbatim() && !api.strip_prefix && api.upstream.base_path.is_empty() && without_keys.is_none() {
        return Ok(uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from));
    }
    let path = below(api, target.path());
    let query = without_keys.as_deref().or(target.query());
    let mut text = String::with_capacity(api.upstream.base_path.len() + path.len() + query.map_or(0, |q| q.len() + 1));
    text.push_str(&api.upstream.base_path);
    text.push_str(path);
    if let Some(query) = query.filter(|query| without_keys.is_none() || !query.is_empty()) {
        text.push('?');
        text.push_str(query);
    }
    PathAndQuery::try_from(text).map(Uri::from).map_err(|_| Code::RequestMalformed)
}

fn upstream_headers(
    api: &ApiView,
    client_headers: &HeaderMap,
    verdict: Option<&Verdict>,
    client: HeaderValue,
    id: &HeaderValue,
) -> HeaderMap {
    let mut headers = forwarded(client_headers, &api.key_places, api.upstream.host_header.clone(), ADDED_FIELDS);
    if let Some(key) = verdict.and_then(|verdict| verdict.key.as_ref()) {
        headers.insert(X_CONSUMER_ID, key.project.id_header.clone());
        headers.insert(X_CONSUMER_USERNAME, key.project.name_header.clone());
        headers.insert(X_CREDENTIAL_IDENTIFIER, id_header(&key.entry.id.to_ascii()));
    }
    headers.insert(X_REQUEST_ID, id.clone());
    headers.insert(X_FORWARDED_FOR, client);
    if let Some(host) = client_headers.get(HOST) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    headers
}
