//! A call from its head to its answer.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request};
use hyper::body::{Body, Incoming};
use keystile_core::Code;
use keystile_core::api::{Access, UnknownOperations, UpstreamProtocol};
use keystile_core::content::is_taken;
use keystile_core::facts::Facts;
use keystile_core::id::RequestId;
use keystile_core::limit::MAX_LIMIT;
use keystile_core::method::Method;
use keystile_core::target::{CanonicalTarget, TargetError};

use super::body::{Answer, BodyBound, Outgoing, Tally};
use super::caller::{Caller, Protocol, address_header};
use super::client::TrustedProxies;
use super::content::{RequestContent, answer_rule, judge_answer, longest_body};
use super::cors::{self, is_preflight};
use super::credential;
use super::forward::forward;
use super::grpc;
use super::headers::{X_REQUEST_ID, is_last, keep_private, strip_answer};
use super::lease::Lease;
use super::onward::{Onward, below, host, id_header, is_verbatim, raw_target};
use super::pauses::Pauses;
use super::pool::Pool;
use super::refusal::{LimitFields, Receipt, Refusal, Turned, Unproven, refuse, unanswered};
use super::source::{RequestSource, kept};
use super::strays;
use super::tunnel::{self, Asked, Tunnel, Watch};
use super::upgrade;
use super::via::Via;
use super::wire::Exchange;
use crate::enforce::engine::{Door, Engine, MAX_SUPPLIES, Verdict};
use crate::enforce::in_flight::{Place, Share};
use crate::enforce::operations::Label;
use crate::enforce::slow::Proof;
use crate::enforce::snapshot::{ApiView, PolicyView};
use crate::exposure::Exposures;
use crate::usage::{Pending, Recorder};
use zeroize::Zeroizing;

const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Why a key is exposed that stands where it should.
const HEADERS_BEYOND_API: &str =
    "The header fields are more, or longer, than this API takes; send fewer or shorter ones.";
const KEY_IN_CLEAR: &str =
    "A key that crosses the network unencrypted can be read by others; call over https, and replace this key.";
/// Why a certificate that was good when its connection began is none.
const CERTIFICATE_ENDED: &str = "The certificate with which this connection began has ended, or its authority is not accepted any more; connect again with one that is good.";
/// When to try again where all places are taken: nobody knows, and soon.
const OVERLOADED_RETRY_SECONDS: u64 = 1;

/// What one worker needs to answer calls. It stays on its core.
pub struct Worker {
    /// Decides.
    pub engine: Arc<Engine>,
    /// Takes the counts, and tells the time.
    pub recorder: Rc<Recorder>,
    /// Connections to upstreams.
    pub pool: Rc<Pool>,
    /// Answers that wait for their upstream.
    pub pauses: Rc<Pauses>,
    /// Its places for calls; `None` for as many as come.
    pub places: Option<Rc<Share>>,
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
        let is_grpc = caller.speaks == Protocol::Http2 && grpc::is_call(request.headers());
        let receipt = Receipt { id, id_header: id_header(&id.to_ascii()), exchange, is_grpc };
        let mut pending = Pending::new(self.recorder.clone(), self.recorder.clock.now());
        pending.is_call(&request, receipt.exchange.refused().is_none(), id, caller.address);
        // What pages in browsers are told, once the API is known.
        let mut cors = None;
        let (head, body) = request.into_parts();
        // Decided in one go, without waiting: what is kept while the upstream works is little, and copied with every call.
        let mut body = Some(body);
        let mut decided = self.decide(caller, &head, &mut body, &receipt, &mut pending, &mut cors);
        if let Err(Turned::Unproven(unproven)) = decided {
            // Boxed: a key is found out about once.
            decided = match Box::pin(self.engine.prove(&unproven.text, pending.began().ticks)).await {
                Proof::Fits => self.decide(caller, &head, &mut body, &receipt, &mut pending, &mut cors),
                Proof::Fails => Err(unproven.refusal.into()),
                Proof::Overloaded => Err(overloaded().into()),
            };
        }
        for _ in 0..MAX_SUPPLIES {
            let awaiting = match decided {
                Err(Turned::Awaiting(awaiting)) => awaiting,
                _ => break,
            };
            let (grant, refusal) = *awaiting;
            // Boxed: the first call of a period waits, and few others.
            decided = match Box::pin(grant.has_come()).await {
                true => self.decide(caller, &head, &mut body, &receipt, &mut pending, &mut cors),
                false => Err(refusal.into()),
            };
        }
        let mut going = match decided {
            Ok(going) => going,
            Err(Turned::Awaiting(awaiting)) => {
                return self.finish(caller, cors, refuse(awaiting.1, pending, receipt));
            }
            Err(Turned::Unproven(unproven)) => {
                return self.finish(caller, cors, refuse(unproven.refusal, pending, receipt));
            }
            Err(Turned::Refused(refusal)) => {
                return self.finish(caller, cors, refuse(refusal, pending, receipt));
            }
            Err(Turned::Preflight) => {
                pending.finish(Code::Allowed, StatusCode::NO_CONTENT.as_u16());
                let mut response = Response::new(Answer::own(Vec::new(), receipt.exchange));
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().insert(X_REQUEST_ID, receipt.id_header);
                return self.finish(caller, cors, response);
            }
        };
        pending.goes_on();
        if let Some(watch) = going.switch.take() {
            // Boxed: few calls are one.
            let answering = self.switch(going, &head, *watch, pending, receipt);
            return self.finish(caller, cors, Box::pin(answering).await);
        }
        let body = std::mem::replace(&mut going.body, Outgoing::Empty);
        let make = |body| going.request(self, &head, body, &receipt, &pending);
        let answer = forward(&self.pool, &going.api, going.tally.as_deref(), body, &make).await;
        if let Some(tally) = &going.tally {
            pending.received(tally.received());
        }
        let response = match answer {
            Ok((response, lease)) => {
                // Nobody takes what the client still sends once the upstream is gone, and the connection can't go on.
                let is_last = caller.speaks == Protocol::Http1
                    && going.tally.as_ref().is_some_and(|tally| !tally.is_complete())
                    && is_last(&response);
                let mut response = going.answer(response, lease, pending, self, receipt);
                if is_last {
                    response.headers_mut().insert(CONNECTION, CLOSE);
                }
                response
            }
            Err(error) => refuse(unanswered(&error, &receipt.exchange), pending, receipt),
        };
        self.finish(caller, cors, response)
    }

    async fn switch(
        &self,
        mut going: Going,
        head: &request::Parts,
        watch: Watch,
        mut pending: Pending,
        receipt: Receipt,
    ) -> Response<Answer> {
        let request = match going.request(self, head, Outgoing::Empty, &receipt, &pending) {
            Ok(request) => request,
            Err(code) => return refuse(code.into(), pending, receipt),
        };
        match tunnel::ask(&self.pool, &going.api, &watch.protocol, request).await {
            Ok(Asked::Plain(response, lease)) => going.answer(response, lease, pending, self, receipt),
            Ok(Asked::Switched(response, far)) => {
                if let Err(refusal) = judge_answer(&going.api, None, &HeaderMap::new()) {
                    return refuse(refusal.and_limits(going.limits), pending, receipt);
                }
                let (mut parts, _) = response.into_parts();
                going.read_cost(&mut parts.headers, &mut pending);
                going.dress(&mut parts, receipt.id_header);
                upgrade::put(&watch.protocol, &mut parts.headers);
                // It has no content that could be so long (RFC 9110 §8.6).
                parts.headers.remove(CONTENT_LENGTH);
                // Counted as what it is when it begins; how long it lasts and what goes through is not.
                pending.began_answer(parts.status.as_u16());
                pending.finish_allowed();
                let caller = watch.caller.clone();
                caller.tunnel.put(Tunnel { far, watch, places: pending.places() });
                Response::from_parts(parts, Answer::own(Vec::new(), receipt.exchange))
            }
            Err(error) => refuse(unanswered(&error, &receipt.exchange), pending, receipt),
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
        // What comes over HTTP/1.1 next comes with a new handshake.
        if caller.speaks == Protocol::Http1 && caller.certificate.as_ref().is_some_and(|own| !own.counted()) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response
    }

    fn decide(
        &self,
        caller: &Rc<Caller>,
        parts: &request::Parts,
        sent: &mut Option<Incoming>,
        receipt: &Receipt,
        pending: &mut Pending,
        cors: &mut Option<Box<HeaderMap>>,
    ) -> Result<Going, Turned> {
        // Taken only if the call goes on.
        let Some(body) = sent.as_ref() else { return Err(Code::RequestMalformed.into()) };
        if let Some(refused) = receipt.exchange.refused() {
            self.identify(&parts.headers, pending);
            return Err(Refusal::because(refused.code, refused.detail).into());
        }
        let Ok(method) = parts.method.as_str().parse::<Method>() else {
            self.identify(&parts.headers, pending);
            return Err(Code::MethodNotAllowed.into());
        };
        let target = CanonicalTarget::parse(raw_target(&parts.uri)).map_err(|error| {
            self.identify(&parts.headers, pending);
            let code = if error == TargetError::TooLong { Code::TargetTooLong } else { Code::RequestMalformed };
            Refusal::because(code, error.detail())
        })?;
        pending.path(target.path());
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
        let label = api.operations.label(method, path);
        pending.api(&api, label);
        if let Some(own) = &api.cors {
            let fields = cors.insert(own.answer(&parts.headers));
            if is_preflight(method, &parts.headers) {
                let may_call = own.add_preflight(fields, &parts.headers);
                return Err(if may_call { Turned::Preflight } else { Code::OriginForbidden.into() });
            }
        }
        let client = self.proxies.client(caller.address, &parts.headers);
        let encrypted = caller.encrypted || self.proxies.says_encrypted(caller.address, &parts.headers);
        pending.client(client, encrypted);
        let key = self.find_key(&api, &parts.headers, &target, encrypted, pending)?;
        if api.header_limits.is_some_and(|limits| !limits.allow(&parts.headers)) {
            if let Some(key) = key.and_then(|text| self.engine.identify(&text)) {
                pending.key(&key);
            }
            return Err(Refusal::because(Code::HeadersTooLarge, HEADERS_BEYOND_API).into());
        }
        let certificate = caller.certificate_at(pending.began().wall);
        if api.require_client_certificate && certificate.is_none() {
            return Err(match caller.certificate {
                None => Code::CertificateMissing.into(),
                Some(_) => Refusal::because(Code::CertificateMissing, CERTIFICATE_ENDED).into(),
            });
        }
        take_places(self.places.as_ref(), &api, pending)?;
        let may_switch = caller.speaks == Protocol::Http1
            && parts.version == http::Version::HTTP_11
            && api.upstream.protocol == UpstreamProtocol::Http1
            && body.is_end_stream();
        let upgrades = if may_switch { &*api.upgrades } else { &[] };
        let protocol = upgrade::asked_for(upgrades, &parts.method, &parts.headers);
        // Messages of gRPC are measured one by one as they come.
        let least = if receipt.is_grpc { 0 } else { body.size_hint().lower() };
        let content = RequestContent {
            headers: &parts.headers,
            body: (!body.is_end_stream()).then_some(least),
            switches: protocol.is_some(),
        };
        let source = RequestSource {
            headers: &parts.headers,
            client: Some(client),
            countries: &self.engine.countries,
            key_places: &api.key_places,
        };
        let facts = Facts {
            client: Some(client),
            certificate,
            method: Some(method),
            path: Some(path),
            content: Some(&content),
            source: Some(&source),
            operation: Some(label.number()),
            cost: api.costs.of(method, path),
            reports: api.cost_header.is_some(),
            ..Facts::at(pending.began())
        };
        pending.costs(facts.cost);
        let mut verdict = match (api.access, key) {
            (Access::Key, Some(text)) => {
                let mut verdict = self.engine.check(&text, Door::Api(&api), &facts);
                if verdict.key.is_none()
                    && matches!(verdict.code, Code::KeyUnknown | Code::Stale)
                    && self.engine.may_prove(&text)
                {
                    let refusal = Refusal::with_limits(verdict.code, LimitFields::of(&verdict, &api, facts.at.wall));
                    let text = Zeroizing::new(text.into_owned());
                    return Err(Turned::Unproven(Box::new(Unproven { text, refusal })));
                }
                if let Some(grant) = verdict.take_supply() {
                    if let Some(key) = &verdict.key {
                        pending.key(key);
                    }
                    let refusal = Refusal::with_limits(verdict.code, LimitFields::of(&verdict, &api, facts.at.wall));
                    let refusal = refusal.and_cut_off(Some(&verdict));
                    return Err(Turned::Awaiting(Box::new((grant, refusal))));
                }
                Some(verdict)
            }
            (Access::Key, None) if api.open.find(method, path).is_none() => return Err(Code::KeyMissing.into()),
            (Access::Key, None) | (Access::Open, _) => admit_stranger(&self.engine, &api, &facts)?,
        };
        let presented = verdict.as_ref().and_then(|verdict| verdict.key.as_ref());
        self.exposures.heed(presented);
        if let Some(key) = presented {
            pending.key(key);
        }
        if let Some(verdict) = &mut verdict {
            pending.would_refuse(verdict.shadow);
            if let Some(cost) = verdict.cost() {
                pending.costs(cost);
            }
            if let Some(held) = verdict.held.take() {
                pending.takes(Place::OfLimits(held));
            }
            if let Some(drawn) = verdict.take_drawn() {
                pending.takes(Place::OfPlan(drawn));
            }
        }
        let limits = verdict.as_ref().map(|verdict| LimitFields::of(verdict, &api, facts.at.wall)).unwrap_or_default();
        if let Some(code) = verdict.as_ref().map(|verdict| verdict.code).filter(|code| !code.is_allowed()) {
            let refusal = Refusal::with_limits(code, limits).and_types(&api);
            let refusal = refusal.and_cut_off(verdict.as_ref());
            return Err(refusal.and_missing(verdict.as_ref(), &api, api.operations.needs(method, path)).into());
        }
        if api.unknown_operations == UnknownOperations::Refuse && api.operations.is_unknown(method, path) {
            return Err(Refusal::with_limits(Code::OperationUnknown, limits).into());
        }
        let longest = longest_body(&api, verdict.as_ref());
        let bound = if receipt.is_grpc { BodyBound::messages(longest) } else { BodyBound::Whole(longest) };
        if !bound.allows(body.size_hint().lower()) {
            return Err(Code::ContentTooLarge.into());
        }
        let address = if client == caller.address { caller.forwarded_for.clone() } else { address_header(client) };
        // Over HTTP/1.1 the guard is patient for all of them; the streams of gRPC may rest as long as their answers may.
        let patience = (caller.speaks == Protocol::Http2 && !receipt.is_grpc).then_some(self.body_patience);
        let Some(body) = sent.take() else { return Err(Code::RequestMalformed.into()) };
        let (body, tally) = Outgoing::new(body, bound, patience);
        let answer_rule = answer_rule(verdict.as_ref());
        let known = verdict.and_then(|verdict| verdict.key);
        let key = known.as_ref().map(|known| (known.entry.id, known.project.clone()));
        // Of what was made for one caller caches keep nothing for others (G-20).
        let is_private = api.vary.is_some() && key.is_some() && (method == Method::Get || method == Method::Head);
        let switch = protocol.map(|protocol| {
            Box::new(Watch {
                engine: self.engine.clone(),
                clock: self.recorder.clock.clone(),
                protocol: protocol.clone(),
                api: api.number,
                key: known,
                caller: caller.clone(),
                headers: kept(&parts.headers, &api),
                client,
                method,
                path: path.into(),
                encrypted,
            })
        });
        let onward = Onward {
            key,
            address,
            encrypted,
            hides_referer: strays::in_referer(&parts.headers).any(|text| self.engine.identify(text).is_some()),
            verbatim: is_verbatim(&api, &target),
        };
        Ok(Going { api, onward, body, tally, limits, is_private, answer_rule, switch })
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
        let (places, in_clear) = (&api.key_places, api.require_tls && !encrypted);
        let found = credential::find(places, headers, target.path(), target.query());
        if in_clear || found.is_err() {
            // Each of them, whatever the call is refused for.
            for text in strays::readable(places, headers, (target.path(), target.query()), in_clear) {
                self.expose(&text, pending);
            }
        }
        // In clear they are among the readable ones.
        if found.is_err() && !in_clear {
            for text in strays::in_fields(places, headers).take(strays::MAX_READABLE) {
                self.exposures.heed(self.engine.identify(text).as_ref());
            }
        }
        match found {
            Err(code) => Err(code.into()),
            Ok(Some(_)) if in_clear => Err(Refusal::because(Code::KeyExposed, KEY_IN_CLEAR)),
            Ok(None) if in_clear => Err(Code::TlsRequired.into()),
            // One that nobody knows here is another service's, and its client's affair.
            Ok(key) => match strays::in_fields(places, headers).find_map(|text| self.engine.identify(text)) {
                None => Ok(key),
                Some(stray) => {
                    self.exposures.heed(Some(&stray));
                    pending.key(&stray);
                    Err(Code::KeyMisplaced.into())
                }
            },
        }
    }

    /// Says whose key it is that others could read, to its owner and in the count.
    fn expose(&self, text: &str, pending: &mut Pending) {
        if let Some(key) = self.engine.identify(text) {
            self.exposures.report(&key);
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

fn overloaded() -> Refusal {
    Refusal::with_limits(Code::Overloaded, LimitFields::again_in(OVERLOADED_RETRY_SECONDS))
}

/// Takes a place among the calls that the gateway bears at once, and among those that the API does.
fn take_places(all: Option<&Rc<Share>>, api: &ApiView, pending: &mut Pending) -> Result<(), Refusal> {
    if pending.has_places() {
        return Ok(());
    }
    if let Some(all) = all {
        pending.takes(all.enter().ok_or_else(overloaded)?);
    }
    if let Some(most) = api.max_concurrent_calls {
        pending.takes(api.in_flight.enter(most).ok_or_else(overloaded)?);
    }
    Ok(())
}

/// Lets a call through that needs no key, if nothing else is against it: the API is on, takes what is sent, and has room
/// for its address.
fn admit_stranger(engine: &Engine, api: &ApiView, facts: &Facts<'_>) -> Result<Option<Verdict>, Refusal> {
    if !api.active {
        return Err(Code::ApiInactive.into());
    }
    if api.request_types.as_ref().is_some_and(|types| !is_taken(types, facts.content)) {
        return Err(Refusal::from(Code::MediaTypeUnsupported).and_types(api));
    }
    let has_limits = !(api.anonymous.is_empty() && api.limits.is_empty());
    Ok(has_limits.then(|| engine.check_stranger(api, facts)))
}

/// A call that goes to its upstream.
struct Going {
    api: Arc<ApiView>,
    onward: Onward,
    /// Taken when it is sent.
    body: Outgoing,
    tally: Option<Rc<Tally>>,
    limits: LimitFields,
    /// Whether its answer is for its caller alone.
    is_private: bool,
    /// Whose word it is which answers may come, if not all may.
    answer_rule: Option<Arc<PolicyView>>,
    /// If it asks for another protocol.
    switch: Option<Box<Watch>>,
}

impl Going {
    /// The request for its upstream.
    fn request(
        &self,
        worker: &Worker,
        head: &request::Parts,
        body: Outgoing,
        receipt: &Receipt,
        pending: &Pending,
    ) -> Result<Request<Outgoing>, Code> {
        let mut request = self.onward.request(&self.api, head, body, (&worker.via, &receipt.id_header))?;
        pending.put_trace(request.headers_mut());
        Ok(request)
    }

    fn answer(
        &mut self,
        response: Response<Incoming>,
        lease: Lease,
        mut pending: Pending,
        worker: &Worker,
        receipt: Receipt,
    ) -> Response<Answer> {
        let (mut parts, incoming) = response.into_parts();
        if !incoming.is_end_stream() {
            match judge_answer(&self.api, self.answer_rule.as_deref(), &parts.headers) {
                Ok(shadow) => {
                    worker.engine.shadow.add(shadow);
                    pending.would_refuse(shadow);
                }
                // The connection goes with the lease: what is left of the answer is nobody's.
                Err(refusal) => {
                    return refuse(refusal.and_limits(std::mem::take(&mut self.limits)), pending, receipt);
                }
            }
        }
        self.read_cost(&mut parts.headers, &mut pending);
        self.dress(&mut parts, receipt.id_header);
        pending.began_answer(parts.status.as_u16());
        let pause = worker.pauses.begin(self.api.idle_timeout, self.api.total_timeout);
        let lease = (lease, worker.pool.clone());
        Response::from_parts(
            parts,
            Answer::streamed(incoming, pending, self.tally.take(), pause, lease, receipt.exchange),
        )
    }

    /// Takes what the upstream says of the cost of a call out of its answer, and counts it.
    fn read_cost(&self, headers: &mut HeaderMap, pending: &mut Pending) {
        let Some(name) = &self.api.cost_header else { return };
        let Some(value) = headers.get(name) else { return };
        let cost = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        match cost {
            // What is dearer than anything can be is not cheap.
            Some(cost) => pending.turned_out_to_cost(u32::try_from(cost).map_or(MAX_LIMIT, |cost| cost.min(MAX_LIMIT))),
            // Once for each change of the API: an upstream that says it wrongly does so all the time.
            None if !self.api.cost_noted.swap(true, Ordering::Relaxed) => tracing::warn!(
                api = %self.api.id,
                header = %name,
                "what the upstream says of the cost of a call is no whole number; such calls cost what their operation does"
            ),
            None => {}
        }
        headers.remove(name);
    }

    /// The head of an answer as the client gets it.
    fn dress(&mut self, parts: &mut Parts, id: HeaderValue) {
        parts.version = http::Version::HTTP_11;
        // Informational answers can't come: nothing asked for them.
        strip_answer(&mut parts.headers, self.is_private);
        if let Some(vary) = self.api.vary.as_ref().filter(|_| self.is_private) {
            keep_private(&mut parts.headers, vary);
        }
        parts.headers.insert(X_REQUEST_ID, id);
        std::mem::take(&mut self.limits).put(&mut parts.headers);
        parts.extensions.clear();
    }
}
