//! The way in: who has the browser is found out before a page is asked for, and what a page is refused becomes a page.
//!
//! What is dangerous takes a proof that is fresh. A form that is refused for that comes back as a question for the password, which
//! holds all that was typed; its answer proves who it is, and sends the form again.

use std::sync::Arc;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html as Page, IntoResponse, Response};
use bytes::Bytes;
use http::header::{HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::shell::{Place, Shell};
use super::visit::{SAID_COOKIE, Visit, Who, ZONE_COOKIE, cookie};
use super::{BODY_LIMIT_BYTES, Console};
use crate::api::{Refusal, Visitor};
use crate::ui::form::{Fields, Object, query};
use crate::ui::html::Html;
use crate::ui::time::Zone;

const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// The fields of a proof, beside those of the form that waits for it.
const PASSWORD: &str = "proof_password";
const CODE: &str = "proof_code";

impl IntoResponse for Refusal {
    /// Without a body yet: [`enter`] knows for whom.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Lets in whoever is logged in.
pub(super) async fn enter(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "The form is longer than this takes.").into_response();
    };
    let form = Fields::read(&body);
    if parts.method == Method::POST && is_of_another_site(&parts.headers) {
        return bare(&Refusal::own(403, "Cross-site request", "A form of another site changes nothing here."));
    }
    let path = parts.uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
    let is_partial = parts.headers.contains_key(&HX_REQUEST);
    let mut visitor = console.visitor(&parts.headers, &parts.extensions);
    let mut proven = None;
    let mut doubt = None;
    if parts.method == Method::POST && !form.exact(PASSWORD).is_empty() {
        match prove(&console, &visitor, &form).await {
            Ok(cookies) => {
                for value in &cookies {
                    visitor = visitor.with_cookie(value);
                }
                proven = Some(cookies);
            }
            Err(refusal) => doubt = Some(refusal),
        }
    }
    let who = match console.api.get::<Who>(&visitor, "/v1/whoami").await {
        Ok(who) => Arc::new(who),
        Err(refusal) if refusal.is_stranger() => return to_login(&parts.method, &path, is_partial),
        Err(refusal) => return bare(&refusal),
    };
    let said = cookie(&parts.headers, SAID_COOKIE).filter(|text| !text.is_empty());
    let said = said.map(|text| Fields::read(format!("said={text}").as_bytes()).one("said").to_owned());
    let visit = Visit {
        visitor,
        who,
        zone: zone(&parts.headers),
        now: console.time(),
        is_partial,
        origin: origin(&parts.headers),
        query: Arc::new(Fields::read(parts.uri.query().unwrap_or_default().as_bytes())),
        form: Arc::new(form),
        path,
        said,
        console,
    };
    if let Some(refusal) = doubt {
        return question(&visit, Some(&refusal));
    }
    parts.extensions.insert(visit.clone());
    let mut response = next.run(Request::from_parts(parts, Body::from(Bytes::new()))).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = refused(&visit, &refusal);
    }
    for value in proven.into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// Whether the browser says that a page of another site sent this (S-6). The API asks for more than that of what changes something;
/// here it keeps others' pages from making pages ask.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get(&SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none")
}

/// Proves who it is; the cookies that the session goes on with.
async fn prove(console: &Console, visitor: &Visitor, form: &Fields) -> Result<Vec<HeaderValue>, Refusal> {
    let body = Object::default().with("password", form.exact(PASSWORD)).text("code", form.one(CODE)).into();
    let answer = console.api.ask(visitor, Method::POST, "/v1/account/prove", Some(&body)).await?;
    Ok(answer.headers.get_all(SET_COOKIE).iter().cloned().collect())
}

/// The time zone that the browser said.
fn zone(headers: &HeaderMap) -> Zone {
    let name = cookie(headers, ZONE_COOKIE).map(|text| text.replace("%2F", "/"));
    Zone::named(name.as_deref())
}

/// Where the browser reaches this server.
fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:4401");
    let own = headers.get(http::header::ORIGIN).and_then(|origin| origin.to_str().ok());
    match own.filter(|origin| origin.ends_with(&format!("://{host}"))) {
        Some(origin) => origin.to_owned(),
        None if host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]") => {
            format!("http://{host}")
        }
        None => format!("https://{host}"),
    }
}

/// Off to log in, and back to the page afterwards.
fn to_login(method: &Method, path: &str, is_partial: bool) -> Response {
    let next = if *method == Method::GET && !is_partial && path != "/" { path } else { "" };
    let path = format!("/login?{}", query(&[("next", next)]));
    let value = HeaderValue::try_from(path.trim_end_matches('?')).unwrap_or(HeaderValue::from_static("/login"));
    if is_partial {
        return ([(HX_REDIRECT, value)], StatusCode::OK).into_response();
    }
    ([(LOCATION, value)], StatusCode::SEE_OTHER).into_response()
}

/// A page in place of one that is refused.
#[derive(Template)]
#[template(path = "console/refused.html")]
struct Refused<'a> {
    refusal: &'a Refusal,
    is_denied: bool,
    is_missing: bool,
    path: &'a str,
}

/// The same in a dialog.
#[derive(Template)]
#[template(path = "console/refused_dialog.html")]
struct RefusedDialog<'a> {
    refusal: &'a Refusal,
}

/// The question for a password.
#[derive(Template)]
#[template(path = "console/proof.html")]
struct Question<'a> {
    path: &'a str,
    kept: Vec<(&'a str, &'a str)>,
    wants_code: bool,
    has_password: bool,
    fault: Option<&'a str>,
}

fn refused(visit: &Visit, refusal: &Refusal) -> Response {
    if refusal.wants_proof() {
        return question(visit, None);
    }
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if visit.is_partial {
        return (status, visit.modal(Place::None, &refusal.title, &RefusedDialog { refusal })).into_response();
    }
    let (is_denied, is_missing) = (refusal.status == 403, refusal.status == 404);
    let content = Refused { refusal, is_denied, is_missing, path: &visit.path };
    (status, visit.page(Place::None, &refusal.title, &content)).into_response()
}

/// Asks who it is before a form is sent again, or a page read.
fn question(visit: &Visit, refusal: Option<&Refusal>) -> Response {
    let account = visit.who.account.as_ref();
    let kept = visit.form.pairs().filter(|(name, _)| ![PASSWORD, CODE].contains(name)).collect();
    let content = Question {
        path: &visit.path,
        kept,
        wants_code: account.is_some_and(|account| account.has_second_factor),
        has_password: account.is_some_and(|account| account.has_password),
        fault: refusal.map(|refusal| refusal.detail.as_str()),
    };
    (StatusCode::FORBIDDEN, visit.modal(Place::None, "Confirm it is you", &content)).into_response()
}

/// A page for whoever can't be asked who they are.
fn bare(refusal: &Refusal) -> Response {
    let content = Refused { refusal, is_denied: false, is_missing: false, path: "/" };
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Page(Html::of(&Shell::bare(&refusal.title, Html::of(&content))).into_string())).into_response()
}
