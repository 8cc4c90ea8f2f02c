//! How a request to the management API says who asks: one management key or one session's token in `Authorization`, or a
//! session in the cookie that browsers send. A browser's request that changes something must come from a page of this server
//! (S-6): cookies go along with requests of others' pages, too.

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keystile_core::Code;
use keystile_core::facts::Facts;
use keystile_core::id::RequestId;
use keystile_core::key::{KeyText, TokenKind};
use keystile_core::permission::PermissionQuery;
use keystile_core::policy::Policy;
use keystile_store::{Change, Who};
use sha2::{Digest, Sha256};

use super::app::App;
use super::asker::{Asker, Person, lacks};
use super::caller::PeerAddress;
use super::condition::{Seen, conditions};
use super::problem::{cross_site, internal, invalid, session_ended};
use super::rights::Right;
use crate::enforce::engine::Door;
use crate::gateway::credential::one_bearer;
use crate::gateway::source::RequestSource;
use crate::identity::Visitor;
use crate::problem::Problem;

/// The cookie of a session. Its name is a promise of browsers: only this host sets it, over TLS, for all of its paths.
const COOKIE_NAME: &str = "__Host-keystile_session";

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Longest `Idempotency-Key`.
const MAX_IDEMPOTENCY_KEY: usize = 255;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request shows.
enum Credential<'a> {
    Bearer(&'a str),
    Cookie(&'a str),
}

fn credential(headers: &HeaderMap) -> Result<Credential<'_>, Problem> {
    let cookie = session_cookie(headers)?;
    match (headers.contains_key(AUTHORIZATION), cookie) {
        (true, Some(_)) => Err(Problem::of(Code::CredentialsAmbiguous)),
        (false, Some(text)) => Ok(Credential::Cookie(text)),
        (_, None) => one_bearer(headers).map(Credential::Bearer).map_err(|code| match code {
            Code::KeyMissing => Problem::of(code).because(
                "Send a management key, or the token of a session, in the Authorization header as `Bearer TEXT`.",
            ),
            code => Problem::of(code),
        }),
    }
}

fn session_cookie(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    cookie(headers, COOKIE_NAME)
}

/// The one cookie of this name.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    let mut texts = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(other, _)| *other == name);
    match (texts.next(), texts.next()) {
        (Some(_), Some(_)) => Err(Problem::of(Code::CredentialsAmbiguous)),
        (found, None) => Ok(found.map(|(_, text)| text)),
        (None, Some(_)) => Ok(None),
    }
}

/// The cookie of a session that began, for the answer. Scripts don't see it, and other sites' requests that change something
/// don't carry it (S-3).
pub(super) fn cookie_of(token: &KeyText) -> HeaderMap {
    set_cookie(&format!("{COOKIE_NAME}={}; {ATTRIBUTES}", token.expose()))
}

/// The cookie of a browser that is at the identity provider: what it keeps meanwhile. It comes back with a navigation, which `Lax`
/// allows.
const JOURNEY: &str = "__Host-keystile_journey";

/// What a browser is to keep while it is at the identity provider.
pub(super) fn journey_cookie(journey: &str, life_secs: i64) -> HeaderMap {
    set_cookie(&format!("{JOURNEY}={journey}; {ATTRIBUTES}; Max-Age={life_secs}"))
}

/// What takes that back.
pub(super) fn no_journey() -> HeaderMap {
    set_cookie(&format!("{JOURNEY}=; {ATTRIBUTES}; Max-Age=0"))
}

/// What takes it back.
pub(super) fn no_cookie() -> HeaderMap {
    set_cookie(&format!("{COOKIE_NAME}=; {ATTRIBUTES}; Max-Age=0"))
}

fn set_cookie(text: &str) -> HeaderMap {
    let value = HeaderValue::try_from(text);
    value.into_iter().map(|value| (SET_COOKIE, value)).collect()
}

/// Whether a request is one that a page of this server made, as far as browsers say: `None` if nothing is said.
fn is_of_own_page(headers: &HeaderMap) -> Option<bool> {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return Some(site == "same-origin" || site == "none");
    }
    let origin = headers.get(ORIGIN)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let of = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    Some(of.is_some() && of == host)
}

/// Refuses what another site's page asks for (S-6). Whoever shows a cookie must be known to be a page of ours.
fn refuse_cross_site(method: &Method, headers: &HeaderMap, in_cookie: bool) -> Result<(), Problem> {
    let is_safe = method == Method::GET || method == Method::HEAD;
    match is_of_own_page(headers) {
        _ if is_safe => Ok(()),
        Some(false) => Err(cross_site()),
        None if in_cookie => Err(cross_site()),
        Some(true) | None => Ok(()),
    }
}

/// Whoever asks, with the right `R`.
pub(super) async fn authenticate<R: Right>(parts: &mut Parts, app: &App) -> Result<Asker, Problem> {
    let asker = match credential(&parts.headers)? {
        Credential::Cookie(text) => {
            refuse_cross_site(&parts.method, &parts.headers, true)?;
            by_session(parts, app, text, true).await?.ok_or_else(session_ended)?
        }
        Credential::Bearer(text) if TokenKind::Session.lookup(text).is_some() => {
            match by_session(parts, app, text, false).await? {
                Some(asker) => asker,
                // Keys can begin as sessions do, if their owner wants them to.
                None => by_key_noted::<R>(parts, app, text).await.map_err(|problem| match problem.code {
                    "key_unknown" => session_ended(),
                    _ => problem,
                })?,
            }
        }
        Credential::Bearer(text) => by_key_noted::<R>(parts, app, text).await?,
    };
    if !R::NAME.is_empty() {
        asker.needs::<R>()?;
    }
    if R::STEP_UP {
        asker.proven()?;
    }
    if asker.conditions.dry_run {
        asker.seen.is_dry_run();
    }
    Ok(asker)
}

async fn by_session(parts: &Parts, app: &App, text: &str, in_cookie: bool) -> Result<Option<Asker>, Problem> {
    let found = app.identity.session(text).await.map_err(|error| internal(&error))?;
    let Some((session, membership)) = found else { return Ok(None) };
    let permissions = membership.kind.within(&membership.member.granted);
    let is_just_proven = session.times.is_just_proven(&app.identity.limits, app.now());
    let common = Common::of(parts, app)?;
    Ok(Some(Asker {
        organization: membership.organization,
        owner: membership.organization_number,
        who: Who::Account(session.account.id),
        session: Some(Box::new(Person { session, membership, is_just_proven, in_cookie })),
        policy: Policy { permissions, ..Policy::default() },
        expires_at: None,
        address: common.address,
        request: common.request,
        idempotency_key: common.idempotency_key,
        conditions: common.conditions,
        seen: common.seen,
    }))
}

/// The same; that a key which there is was refused is noted, a sample of it (E-7).
async fn by_key_noted<R: Right>(parts: &Parts, app: &App, text: &str) -> Result<Asker, Problem> {
    let mut refused = None;
    let found = by_key::<R>(parts, app, text, &mut refused);
    if let Some((organization, change)) = refused {
        let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        app.identity.note_refused(&app.feed, (organization, change), (address, request_id(parts, app))).await;
    }
    found
}

/// A key that was refused, and what is noted of it.
type Refused = (keystile_core::id::OrganizationId, Change);

fn by_key<R: Right>(parts: &Parts, app: &App, text: &str, refused: &mut Option<Refused>) -> Result<Asker, Problem> {
    let common = Common::of(parts, app);
    let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
    let needs = PermissionQuery::Has(R::NAME.to_owned());
    let engine = app.feed.engine();
    let source =
        RequestSource { headers: &parts.headers, client: address, countries: &engine.countries, key_places: &[] };
    let needs = (!R::NAME.is_empty()).then_some(&needs);
    let facts = Facts { client: address, source: Some(&source), needs, ..Facts::at(app.clock.now()) };
    let verdict = engine.check(text, Door::Management, &facts);
    app.exposures.heed(verdict.key.as_ref());
    if let (Some(key), code) = (&verdict.key, verdict.code)
        && !matches!(code, Code::Allowed | Code::PermissionMissing)
    {
        *refused = Some((key.project.organization, Change::NoteRefusedKey { id: key.entry.id, code }));
    }
    let key = match (verdict.code, verdict.key) {
        (Code::Allowed, Some(key)) => key,
        (Code::PermissionMissing, _) => return Err(lacks::<R>()),
        (Code::KeyKindForbidden, _) => {
            return Err(Problem::of(Code::KeyKindForbidden)
                .because("The management API takes management keys; this key calls APIs."));
        }
        (code, _) => return Err(Problem::of(code)),
    };
    let common = common?;
    Ok(Asker {
        organization: key.project.organization,
        owner: key.project.owner,
        who: Who::ManagementKey(key.entry.id),
        session: None,
        policy: key.policy.policy.clone(),
        expires_at: key.entry.expires_at,
        address,
        request: common.request,
        idempotency_key: common.idempotency_key,
        conditions: common.conditions,
        seen: common.seen,
    })
}

/// What every request says besides who asks.
struct Common {
    address: Option<std::net::IpAddr>,
    request: RequestId,
    idempotency_key: Option<[u8; 32]>,
    conditions: keystile_store::Conditions,
    seen: Seen,
}

impl Common {
    fn of(parts: &Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self {
            address: parts.extensions.get::<PeerAddress>().map(|peer| peer.0),
            request: request_id(parts, app),
            idempotency_key: idempotency_key(parts)?,
            conditions: conditions(parts)?,
            seen: parts.extensions.get::<Seen>().cloned().unwrap_or_default(),
        })
    }
}

fn request_id(parts: &Parts, app: &App) -> RequestId {
    parts.extensions.get::<RequestId>().copied().unwrap_or_else(|| app.request_id())
}

fn idempotency_key(parts: &Parts) -> Result<Option<[u8; 32]>, Problem> {
    let mut values = parts.headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None)
            if (1..=MAX_IDEMPOTENCY_KEY).contains(&value.len())
                && value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)) =>
        {
            Ok(Some(Sha256::digest(value.as_bytes()).into()))
        }
        _ => Err(invalid(format!("Idempotency-Key is one text of 1 to {MAX_IDEMPOTENCY_KEY} ASCII characters."))),
    }
}

/// Somebody who proves who they are, or is not known yet: for the few routes that need no right.
pub(super) struct Newcomer {
    /// From where.
    pub(super) address: Option<std::net::IpAddr>,
    /// The request.
    pub(super) request: RequestId,
    agent: String,
    cookie: Option<String>,
    journey: Option<String>,
}

impl Newcomer {
    /// As the identity sees them. `replaces` is the session that ends with a new one.
    pub(super) fn visitor(&self, replaces: Option<keystile_core::id::SessionId>) -> Visitor<'_> {
        Visitor { address: self.address, request: self.request, agent: &self.agent, replaces }
    }

    /// What this browser kept while it was at the identity provider.
    pub(super) fn journey(&self) -> Option<&str> {
        self.journey.as_deref()
    }

    /// The session that this browser had, which a new login ends (S-1).
    pub(super) fn former_session(&self) -> Option<&str> {
        self.cookie.as_deref()
    }
}

impl FromRequestParts<App> for Newcomer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        // Nobody is logged in by another site's page either.
        refuse_cross_site(&parts.method, &parts.headers, false)?;
        let conditions = conditions(parts)?;
        if conditions.dry_run || conditions.expected.is_some() {
            return Err(step_without_trial());
        }
        Ok(Self {
            address: parts.extensions.get::<PeerAddress>().map(|peer| peer.0),
            request: request_id(parts, app),
            agent: agent(&parts.headers),
            cookie: session_cookie(&parts.headers)?.map(str::to_owned),
            journey: cookie(&parts.headers, JOURNEY)?.map(str::to_owned),
        })
    }
}

fn step_without_trial() -> Problem {
    invalid("This can neither be tried with dry_run nor be made dependent on a state; leave both out.")
}

/// What the program calls itself.
pub(super) fn agent(headers: &HeaderMap) -> String {
    headers.get(USER_AGENT).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn s06_a_cookie_changes_nothing_but_from_a_page_of_this_server() {
        let refused = |method: Method, list: &[(&'static str, &str)], in_cookie| {
            refuse_cross_site(&method, &fields(list), in_cookie).is_err()
        };
        for (list, with_cookie, without) in [
            (&[("sec-fetch-site", "same-origin")][..], false, false),
            (&[("sec-fetch-site", "none")], false, false),
            (&[("sec-fetch-site", "same-site")], true, true),
            (&[("sec-fetch-site", "cross-site")], true, true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")], true, true),
            (&[("origin", "http://a:1"), ("host", "a:1")], false, false),
            (&[("origin", "http://a:2"), ("host", "a:1")], true, true),
            (&[("origin", "http://a"), ("host", "a.b")], true, true),
            (&[("origin", "null"), ("host", "null")], true, true),
            (&[("host", "a:1")], true, false),
            (&[], true, false),
        ] {
            for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
                assert_eq!(refused(method.clone(), list, true), with_cookie, "{method} {list:?} with a cookie");
                assert_eq!(refused(method, list, false), without, "{list:?}");
            }
            assert!(!refused(Method::GET, list, true) && !refused(Method::HEAD, list, true), "reading is no change");
        }
    }

    #[test]
    fn s03_the_cookie_is_of_this_host_alone_and_no_script_sees_it() {
        let token = TokenKind::Session.issue(&std::array::from_fn(|n| n as u8)).unwrap();
        let headers = cookie_of(&token);
        let value = headers[SET_COOKIE].to_str().unwrap().to_owned();
        assert!(value.starts_with("__Host-") && value.len() < 4_096);
        for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(value.contains(part), "{value}");
        }
        assert!(!value.contains("Domain"));
        let sent = fields(&[("cookie", &format!("a=b; {}", value.split(';').next().unwrap()))]);
        assert_eq!(session_cookie(&sent).unwrap(), Some(token.expose()));
        let twice = fields(&[("cookie", &format!("{COOKIE_NAME}=a; {COOKIE_NAME}=b"))]);
        assert!(session_cookie(&twice).is_err());
        assert_eq!(session_cookie(&fields(&[("cookie", "x__Host-keystile_session=a; y")])).unwrap(), None);
    }
}
